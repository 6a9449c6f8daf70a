"""Damaged or foreign files ended reports and analyses in tracebacks, or users were told to delete what is theirs."""

import json

import pytest
from bank_entries import make_entry

from s3_speechbrain.analysis import read_masks
from s3_speechbrain.analysis.inventories import relate
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import write_entry
from s3_speechbrain.pruning import load_masks
from s3_speechbrain.report.gather import export_name
from s3_speechbrain.webpage.gathering import gather


@pytest.mark.parametrize("record", [{"a": 1}, {"run": 5}, {"run": "../.."}])
def test_a_record_of_an_export_without_a_run(record):
    with pytest.raises(UserError, match="does not name its run"):
        export_name(record)


def test_a_file_that_is_no_overlap(tmp_path):
    with pytest.raises(UserError, match="holds no masks"):
        relate(json.loads("{}"), {}, tmp_path)


def test_damaged_checkpoints(tmp_path):
    (tmp_path / "checkpoints" / "CKPT+1").mkdir(parents=True)
    (tmp_path / "checkpoints" / "CKPT+1" / "CKPT.yaml").touch()
    with pytest.raises(UserError, match="cannot be read"):
        read_masks(tmp_path)


def test_the_file_of_a_language_is_not_called_damaged(tmp_path, tiny_encoder):
    write_entry(tmp_path / "fr.safetensors", make_entry(SpeechEncoder(str(tiny_encoder), freeze=True)))
    with pytest.raises(UserError, match="holds no masks of this project"):
        load_masks(tmp_path / "fr.safetensors")


def test_nobody_is_told_to_delete_a_file_that_is_no_record(tmp_path):
    (tmp_path / "fr.safetensors").write_bytes(b"weights")
    with pytest.raises(UserError, match="is no run: give its output folder"):
        gather([tmp_path / "fr.safetensors"])
