"""Files of masks that were spoiled or made by someone else ended in tracebacks, or were believed."""

import json

import pytest
import torch
from bank_entries import make_entry
from safetensors import safe_open
from safetensors.torch import save_file

from s3_speechbrain.analysis import read_masks
from s3_speechbrain.brains.addition import settings_of
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.pruning import load_masks, masks_about, save_masks

DEEP = "[" * 100_000


@pytest.fixture
def spoiled(tmp_path):
    """Write a file of one mask with other metadata or another tensor."""

    def write(tensor=None, **metadata):
        file = save_masks(tmp_path / "mask.safetensors", {"a": torch.tensor([True, False] * 4)}, {"seed": 1})
        with safe_open(file, framework="pt") as opened:
            told, tensors = opened.metadata(), {"a": opened.get_tensor("a")}
        save_file(tensors if tensor is None else {"a": tensor}, file, {**told, **metadata})
        return file

    return write


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.bool, torch.int8])
def test_other_types(spoiled, dtype):
    with pytest.raises(UserError, match=r"mask.safetensors is damaged \(its masks are no packed bits\)"):
        load_masks(spoiled(torch.zeros(1).to(dtype)))


@pytest.mark.parametrize(
    "shapes",
    [{"a": [2**70, 0]}, {"a": [float("inf")]}, {"a": "8"}, {"a": [8.7]}, {"a": [True]}, {"a": [-1]}, []],
)
def test_odd_shapes(spoiled, shapes):
    with pytest.raises(UserError, match="its list of shapes cannot be read"):
        load_masks(spoiled(shapes=json.dumps(shapes)))


def test_deep_texts(spoiled):
    with pytest.raises(UserError, match="its list of shapes cannot be read"):
        load_masks(spoiled(shapes=DEEP))
    with pytest.raises(UserError, match="what it says about itself cannot be read"):
        masks_about(spoiled(about=DEEP))
    with pytest.raises(UserError, match="what it says about itself cannot be read"):
        masks_about(spoiled(about="[1]"))


@pytest.mark.parametrize("content", [torch.zeros(2), {"name": 3}, {1: torch.zeros(2)}], ids=str)
def test_checkpoints_of_other_things(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match="holds no"):
        read_masks(tmp_path / "x.pt")


@pytest.mark.parametrize("config", [[], "text", 3, None], ids=str)
def test_bank_entries_with_an_odd_record(tiny_encoder, tmp_path, config):
    bank = MaskBank(tmp_path / "bank")
    bank.add(make_entry(SpeechEncoder(str(tiny_encoder)), metrics={"config": config}))
    shared, differing = settings_of(bank)
    assert "head" in shared
    assert not differing
