"""A clip that could not be read was counted again after each resume."""

from recipe_tools import RECIPES, killed_after, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.report import read_metrics

DENSE = "CommonVoice/finetuning"


def test_once_in_all_runs_together(tiny_encoder, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    for split in ("train", "dev", "test"):
        (corpus / "en" / "clips" / f"{split}_1.wav").write_bytes(b"broken")

    def go(folder):
        load_recipe(DENSE).main(
            [
                str(RECIPES / DENSE / "hparams" / "demo.yaml"),
                *(
                    f"--data_folder={corpus}",
                    f"--source={tiny_encoder}",
                    f"--output_folder={tmp_path / folder}",
                ),
                *("--language=en", "--updates=12", "--valid_every=4", "--batch_seconds=6", "--noprogressbar"),
                *("--method=dense", "--cache=False", "--prepare={check_audio: False}"),
            ]
        )
        return read_metrics(tmp_path / folder)["cost"]["clips_skipped"]

    with killed_after(9):
        go("killed")
    assert go("killed") == go("whole") == 3
