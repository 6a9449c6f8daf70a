"""Every YAML file with a rate of dropout for each place ended in a traceback before any data was read."""

import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml
from recipe_tools import RECIPES

from s3_speechbrain.brains import experiment
from s3_speechbrain.errors import UserError

FILES = sorted(path for path in RECIPES.glob("*/*/hparams/*.yaml") if path.name != "common.yaml")


def loaded(file: Path, *options: str) -> dict:
    """Do what a program does with its command line, up to the objects; what a user has to name is filled in."""
    try:
        if file.parts[-3] == "pretraining":  # whose teachers come from the hub as soon as they are made
            return experiment.read_settings([str(file), *options])
        return load_hyperpyyaml(experiment._resolve([str(file), *options])[0])
    except UserError as error:
        missing = re.findall(r"--(\w+)", str(error).partition(";")[0])
        if not str(error).startswith("missing ") or not missing:
            raise
        return loaded(file, *options, *(f"--{name}=x" for name in missing))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_it_is_read_and_its_objects_are_made(file):
    assert "output_folder" in loaded(file)


@pytest.mark.parametrize("rates", ["null", "0.1", "{hidden: 0.1}"])
def test_dropout_may_be_given_in_each_way(rates):
    file = RECIPES / "CommonVoice" / "mask_finetuning" / "hparams" / "demo.yaml"
    given = loaded(file, f"--dropout={rates}")["encoder"]["build"].keywords["dropout"]
    assert given == {"null": None, "0.1": 0.1, "{hidden: 0.1}": {"hidden": 0.1}}[rates]
