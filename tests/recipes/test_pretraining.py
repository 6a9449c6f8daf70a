"""The pretraining recipe, end to end on seconds of audio and a tiny teacher."""

import json

import numpy as np
import pytest
import soundfile
import torch
from recipe_tools import RECIPES, load_recipe
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.encoders import SpeechEncoder

RECIPE = RECIPES / "CommonVoice" / "pretraining"
TINY = "{width: 32, layers: 2, heads: 4, ffn: 64, conv_dim: [16, 8, 8, 8]}"


def load_train():
    return load_recipe("CommonVoice/pretraining")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    root = tmp_path_factory.mktemp("pretraining")
    clips = root / "clips"
    clips.mkdir()
    for number in range(12):
        generator = np.random.default_rng(number)
        soundfile.write(clips / f"{number}.wav", 0.1 * generator.standard_normal(12000 + 800 * number), 16000)
    torch.manual_seed(0)
    WhisperEncoder(
        WhisperConfig(d_model=32, encoder_layers=6, encoder_attention_heads=4, encoder_ffn_dim=64)
    ).save_pretrained(root / "teacher")
    WhisperFeatureExtractor().save_pretrained(root / "teacher")
    return root


def arguments(name, material, folder, updates):
    return [
        str(RECIPE / "hparams" / f"{name}.yaml"),
        f"--folders=[{material / 'clips'}]",
        f"--teacher={material / 'teacher'}",
        f"--output_folder={folder}",
        f"--student={TINY}",
        f"--updates={updates}",
        "--updates_per_epoch=2",
        "--batch_seconds=4",
        "--held_out=0.3",
        "--threads=1",
        "--noprogressbar",
    ]


@pytest.mark.parametrize("name", ["distil_whisper", "best_rq", "hubert_mfcc", "hubert_teacher"])
def test_each_target_ends_in_a_backbone(name, material, tmp_path):
    extra = {
        "distil_whisper": ["--take_layers=[0, 1]", "--pairs=[[1, 2], [2, 6]]"],
        "hubert_teacher": ["--labeller={units: 8}"],
        "hubert_mfcc": ["--labeller={units: 8}"],
    }
    load_train().main(arguments(name, material, tmp_path, 4) + extra.get(name, []))
    found = json.loads((tmp_path / "backbone" / "pretraining.json").read_text())
    assert found["updates"] == 4
    assert found["folders"]["clips"]["kept"] == 12
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert SpeechEncoder(str(tmp_path / "backbone")).width == 32


def test_a_stopped_run_goes_on_and_ends_where_the_whole_run_does(material, tmp_path):
    train = load_train()
    train.main(arguments("best_rq", material, tmp_path / "whole", 4))
    command = arguments("best_rq", material, tmp_path / "parts", 4)
    with pytest.MonkeyPatch.context() as patch:  # a run that is killed after its first validation

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(
            train.PretrainingBrain, "on_fit_batch_end", lambda self, *_: self.optimizer_step == 3 and killed()
        )
        with pytest.raises(KeyboardInterrupt):
            train.main(command)
    train.main(command)
    whole, parts = (
        SpeechEncoder(str(tmp_path / name / "backbone")).state_dict() for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_mistakes_are_told_in_one_line(material, tmp_path, capsys):
    with pytest.raises(SystemExit):
        load_train().main(
            [*arguments("best_rq", material, tmp_path, 2), f"--folders=[{tmp_path / 'none'}]"][1:2]
        )
    assert "error:" in capsys.readouterr().err
    wrong = arguments("best_rq", material, tmp_path, 2)
    wrong[1] = f"--folders=[{tmp_path / 'none'}]"
    with pytest.raises(SystemExit):
        load_train().main(wrong)
    assert "no audio folder" in capsys.readouterr().err
