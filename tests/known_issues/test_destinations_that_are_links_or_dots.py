"""A destination of ``.`` ended in a traceback, and a link to an earlier folder was replaced, with a false error."""

import os

import pytest
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import replacing, write_model
from s3_speechbrain.modelfolder.replacing import place_of, put_in_place, under_construction
from s3_speechbrain.report.metrics import write_text_atomic


@pytest.fixture
def pair(tmp_path):
    """A folder, and the one that takes its place."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "new", tmp_path / "old"


def test_the_folder_that_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    recogniser = make_model(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path / "here")
    write_model(".", recogniser, tokenizer(), FACTS)
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "here" / "model.safetensors").is_file()


def test_a_file_named_like_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError):
        write_text_atomic(tmp_path.relative_to(tmp_path), "text")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path):
    recogniser = make_model(tmp_path / "encoder")
    target, link = tmp_path / "target", tmp_path / "link"
    write_model(target, recogniser, tokenizer(), FACTS)
    link.symlink_to(target)
    write_model(link, recogniser, tokenizer(), FACTS, metrics={"language": "fr"})
    assert link.is_symlink()
    assert (target / "metrics.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "link", "target"]


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="leads nowhere"):
        place_of(tmp_path / "a")
    with pytest.raises(UserError, match="root of the disk"):
        place_of(tmp_path / "/")


def test_the_former_folder_comes_back_if_the_new_one_cannot_take_its_place(pair, monkeypatch):
    part, folder = pair
    rename = os.rename

    def failing(old, new):
        if old == part:
            raise OSError(5, "Input/output error")
        rename(old, new)

    monkeypatch.setattr(replacing.os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        put_in_place(part, folder)
    assert (folder / "file").read_text() == "old"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["new", "old"]


def test_nothing_fails_after_the_folder_is_in_place(pair, monkeypatch):
    def failing(_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(replacing, "flush", failing)
    put_in_place(*pair)
    assert (pair[1] / "file").read_text() == "new"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), r"cannot write .*place \(No space"),
        (FileNotFoundError(2, "No such file", "clip.wav"), r"cannot make .*place: .*clip\.wav"),
    ],
)
def test_the_destination_is_blamed_only_for_what_it_did(tmp_path, error, reason):
    with pytest.raises(UserError, match=reason), under_construction(tmp_path / "place"):
        raise error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), under_construction(tmp_path / "file" / "place"):
        pass
