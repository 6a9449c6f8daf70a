"""Publishing and writing a model deleted whatever folder had a config, weights and a card: any clone of the hub."""

import json
import shutil

import pytest
from model_folders import FACTS, make_model, tokenizer, write_toy_model

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import write_model
from s3_speechbrain.publish import publish


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    return write_toy_model(place / "model", place / "encoder")


@pytest.fixture
def recogniser(tmp_path):
    return make_model(tmp_path / "encoder")


@pytest.fixture
def published(model, tmp_path):
    return publish(model, tmp_path / "published", clips=0).folder


def others(folder):
    """Make a folder as a clone of the hub leaves it."""
    folder.mkdir()
    (folder / "README.md").write_text("# theirs")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(bytes(16))
    return folder


def content(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder, model, recogniser):
    before = content(folder)
    with pytest.raises(UserError, match=r"not published.*give a new folder"):
        publish(model, folder, clips=0)
    with pytest.raises(UserError, match=r"other than a model.*give a new folder"):
        write_model(folder, recogniser, tokenizer(), FACTS)
    assert content(folder) == before


def test_a_model_of_somebody_else(model, recogniser, tmp_path):
    refused(others(tmp_path / "theirs"), model, recogniser)


def test_a_config_that_is_too_large_or_no_json(model, recogniser, tmp_path):
    folder = others(tmp_path / "theirs")
    for text in ("{", "[" * 100_000, '{"s3_speechbrain": {}}' + " " * (1 << 23)):
        (folder / "config.json").write_text(text)
        refused(folder, model, recogniser)


@pytest.mark.parametrize(
    "name", [".git/HEAD", "notes.txt", "thesis/chapter.tex", "train.py", ".gitattributes"]
)
def test_a_folder_of_ours_with_something_else_in_it(model, recogniser, published, name):
    (published / name).parent.mkdir(exist_ok=True)
    (published / name).write_text("all of it")
    refused(published, model, recogniser)


def test_a_folder_of_ours_made_of_links(model, recogniser, published, tmp_path):
    (published / "README.md").rename(tmp_path / "card")
    (published / "README.md").symlink_to(tmp_path / "card")
    refused(published, model, recogniser)


def test_what_says_that_it_is_a_bank(model, recogniser, tmp_path):
    folder = others(tmp_path / "theirs")
    for text in ("{}", "no JSON", json.dumps({"format": 1, "backbone": "bert"})):
        (folder / "bank.json").write_text(text)
        refused(folder, model, recogniser)


def test_what_was_published_and_what_is_empty_is_replaced(model, published, tmp_path):
    (published / "example-fr.wav").write_bytes(b"an older clip")
    publish(model, published, clips=0)
    assert not (published / "example-fr.wav").exists()
    (tmp_path / "empty").mkdir()
    publish(model, tmp_path / "empty", clips=0)
    assert (tmp_path / "empty" / "README.md").is_file()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_model_of_a_run_is_not_a_published_folder(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    with pytest.raises(UserError, match=r"has no README\.md"):
        publish(model, folder, clips=0)
