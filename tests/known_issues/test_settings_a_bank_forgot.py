"""A language that was added to a bank did not get all settings of the bank's languages."""

import pytest
from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.brains.addition import settings_of
from s3_speechbrain.maskbank import MaskBank

LANGUAGES = "CommonVoice/multilingual"


@pytest.mark.parametrize("name", ["demo", "demo_joint"])
def test_they_are_kept(tiny_encoder, tmp_path, name):
    root = tmp_path / "corpora"
    write_corpus(root, "en")
    write_corpus(root, "fr", ("la", "le", "lu", "ma", "me", "mu", "no", "nu"))
    odd = {"dropout": 0.1, "max_grad_norm": 5.0, "ste": "sigmoid", "pieces": 12, "valid_every": 2}
    load_recipe(LANGUAGES).main(
        [
            str(RECIPES / LANGUAGES / "hparams" / f"{name}.yaml"),
            *(f"--data_folder={root}", f"--source={tiny_encoder}", f"--output_folder={tmp_path / 'run'}"),
            *("--languages=[en, fr]", "--updates=4", "--batch_seconds=6", "--noprogressbar"),
            *("--freeze_updates=0", *(f"--{option}={value}" for option, value in odd.items())),
        ]
    )
    shared, differing = settings_of(MaskBank(tmp_path / "run" / "bank"))
    assert {option: shared.get(option) for option in odd} == odd
    assert shared["updates"] == 4
    assert not differing
