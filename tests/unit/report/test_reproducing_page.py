"""The page on the papers' own settings names files and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from s3_speechbrain.brains.experiment import read_settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reproducing_the_papers.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"^python (\w+\.py) (hparams/\S+) (.*?)(?:#.*)?$", re.MULTILINE)
RUNTIME = {"precision"}  # an option of SpeechBrain where no file names it
OF_THE_MATRIX = {"languages"}  # of cross_lingual.py itself


def chain(path):
    """Return the text of a YAML file and of all that it is a variant of."""
    text = path.read_text(encoding="utf-8")
    others = re.findall(r"^(?:base|add): (\S+\.yaml)$", text, re.MULTILINE)
    return text + "".join(chain((path.parent / other).resolve()) for other in others)


def folders(script, yaml):
    found = [path.parent for path in (ROOT / "recipes").rglob(script) if (path.parent / yaml).is_file()]
    return [
        folder for folder in found if str(folder.relative_to(ROOT)) in PAGE or f"../{folder.name}" in PAGE
    ]


@pytest.mark.parametrize("command", COMMAND.findall(PAGE), ids=lambda each: " ".join(each)[:60])
def test_a_command_names_a_file_and_options_that_exist(command):
    script, yaml, options = command
    names = set(re.findall(r"--(\w+)", options)) - RUNTIME - OF_THE_MATRIX
    places = folders(script, yaml)
    assert places
    known = [set(re.findall(r"^ *(\w+):", chain(folder / yaml), re.MULTILINE)) for folder in places]
    able = [folder for folder, each in zip(places, known, strict=True) if names <= each]
    assert able, names
    if script != "cross_lingual.py":
        for folder in able:
            words = shlex.split(options)
            languages = ["--languages=[nl]"] if folder.name == "multilingual" else []
            read_settings([str(folder / yaml), *words, *languages])


def test_recipe_folders_on_the_page_exist():
    for folder in re.findall(r"`(recipes/[\w/]+)`", PAGE):
        assert (ROOT / folder / "train.py").is_file()
