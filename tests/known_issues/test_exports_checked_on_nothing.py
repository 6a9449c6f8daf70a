"""An export passed its check where all clips that it was compared on were too short for a frame."""

import pytest
import torch
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.export.command import PARITY_CLIPS, Speech, parse_arguments, write_files
from s3_speechbrain.export.parity import Parity
from s3_speechbrain.modelfolder import read_model, write_model

SHORT = torch.zeros(100)


@pytest.fixture
def written(tmp_path):
    """Return a function that exports a model after a look at some clips."""
    folder = write_model(tmp_path / "model", make_model(tmp_path / "encoder"), tokenizer(), FACTS)
    given = parse_arguments([str(folder), "--data_folder=nowhere", "--formats=fp32", "--threads=1"])

    def write(clips):
        speech = Speech(clips, [""] * len(clips))
        return write_files(given, read_model(folder), "fr", tmp_path / "out", speech)

    return write


def test_no_clips_show_nothing():
    assert not Parity(0, 0.0, 0.0).exact
    assert Parity(1, 0.0, 0.0).exact


def test_clips_without_a_frame_are_told(written, tmp_path):
    with pytest.raises(UserError, match=r"none of 3 test clips .* longer clips"):
        written([SHORT] * 3)
    assert not list((tmp_path / "out").glob("*"))


def test_clips_with_a_frame_are_looked_for(written):
    noise = torch.randn(9000, generator=torch.Generator().manual_seed(0))
    _, parities = written([*[SHORT] * PARITY_CLIPS, noise])
    assert parities["fp32"]["clips"] == 1
