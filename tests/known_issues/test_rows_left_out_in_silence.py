"""A training run did not say how many rows of its data it had left out; only the preparation script did."""

import logging

from cv_corpus import line
from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.report.metrics import read_metrics


def test_a_run_tells_and_records_them(tiny_encoder, tmp_path, caplog):
    root = write_corpus(tmp_path / "data")
    with (root / "en" / "test.tsv").open("a") as table:
        table.write(line("absent.wav", "gone") + "\n")
    recipe, folder = "CommonVoice/finetuning", tmp_path / "run"
    options = ("--language=en", "--method=frozen", "--updates=2", "--valid_every=2", "--batch_seconds=6")
    with caplog.at_level(logging.INFO):
        load_recipe(recipe).main(
            [
                str(RECIPES / recipe / "hparams" / "demo.yaml"),
                *(f"--data_folder={root}", f"--source={tiny_encoder}", f"--output_folder={folder}"),
                *("--noprogressbar", *options),
            ]
        )
    told = (folder / "log.txt").read_text() + caplog.text
    assert "1 missing_audio" in told
    assert "report.json there lists what was dropped" in told
    assert read_metrics(folder / "metrics.json")["data"]["dropped"] == {"test": {"missing_audio": 1}}
