"""Masks that keep almost all of a large layer could not be stored: too few bytes for so many entries."""

import pytest
import torch
from bank_entries import make_entry

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank import read_entry, read_header, write_entry

LABELS = ["", "a", "b"]


@pytest.mark.parametrize("zeros", [0, 1, 5000])
def test_a_large_mask_of_ones_comes_back(tmp_path, tiny_encoder, zeros):
    mask = torch.ones(4096, 4096, dtype=torch.bool)
    mask.view(-1)[:zeros] = False
    encoder = SpeechEncoder(str(tiny_encoder), freeze=True)
    head = torch.nn.Linear(encoder.width, len(LABELS)).state_dict()
    entry = make_entry(
        encoder,
        masks={"layer": mask},
        head={f"classifier.{name}": value for name, value in head.items()},
        tokenizer={"kind": "characters", "labels": LABELS, "model": None},
    )
    size = write_entry(tmp_path / "fr.safetensors", entry)
    assert torch.equal(read_entry(tmp_path / "fr.safetensors").masks["layer"], mask)
    assert size < mask.numel() / 50  # a sixth of a bit


def test_small_masks_are_stored_as_before(tmp_path, tiny_encoder):
    encoder = SpeechEncoder(str(tiny_encoder), freeze=True)
    masks = {name: torch.ones(32, 16, dtype=torch.bool) for name in ("first", "second")}
    write_entry(tmp_path / "fr.safetensors", make_entry(encoder, masks=masks))
    assert {layer.coding for layer in read_header(tmp_path / "fr.safetensors").layers} == {"gaps"}
