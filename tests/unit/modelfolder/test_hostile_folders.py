"""Folders that a stranger might send: each is refused with one line, without running or allocating anything."""

import shutil
import tracemalloc

import pytest
from hostile_models import CASES
from model_folders import write_toy_model

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import read_model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A sound folder, to be copied."""
    place = tmp_path_factory.mktemp("good")
    return write_toy_model(place / "model", place / "encoder")


def test_there_are_many_cases_and_the_folder_that_they_spoil_is_sound(good):
    assert len(CASES) >= 60
    assert read_model(good).languages == ("fr",)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_in_one_line(name, good, tmp_path, monkeypatch):
    spoil, match = CASES[name]
    folder = tmp_path / "inner" / "model"
    shutil.copytree(good, folder)
    spoil(folder)
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=match) as caught:
            read_model(folder)
        allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder} is refused: ")
    assert len(str(caught.value)) < 600
    assert allocated < 200e6
    assert not (tmp_path / "exploded").exists()
