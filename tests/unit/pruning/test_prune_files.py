"""A file of masks gives back what was stored, and is refused when it is not what it should be."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import load_masks, masks_about, save_masks

MASKS = {
    "b.weight": torch.tensor([[True, False, True], [False, False, True]]),
    "a.bias": torch.tensor([True] * 9),
}


@pytest.fixture
def path(tmp_path):
    return save_masks(tmp_path / "runs" / "mask.safetensors", MASKS, {"language": "es", "sparsity": 0.5})


def test_masks_come_back_in_their_order_with_what_was_said_about_them(path):
    found = load_masks(path)
    assert list(found) == ["b.weight", "a.bias"]
    assert all(found[name].dtype == torch.bool for name in found)
    assert all(torch.equal(found[name], keep) for name, keep in MASKS.items())
    assert masks_about(path) == {"language": "es", "sparsity": 0.5}
    assert [file.name for file in path.parent.iterdir()] == ["mask.safetensors"]


def test_a_mask_costs_one_bit_per_weight(tmp_path):
    keep = torch.rand(1000, 800) > 0.5
    path = save_masks(tmp_path / "mask.safetensors", {"weight": keep})
    assert 100_000 < path.stat().st_size < 100_000 + 1000


@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=4), seed=st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_any_shapes_survive(shapes, seed, tmp_path_factory):
    generator = torch.Generator().manual_seed(seed)
    masks = {str(i): torch.rand(shape, generator=generator) > 0.5 for i, shape in enumerate(shapes)}
    found = load_masks(save_masks(tmp_path_factory.mktemp("masks") / "mask.safetensors", masks))
    assert found.keys() == masks.keys()
    assert all(torch.equal(found[name], keep) for name, keep in masks.items())


@pytest.mark.parametrize("size", [0, 4, 60, -1])
def test_a_truncated_file_is_refused(path, size):
    content = path.read_bytes()
    path.write_bytes(content[:size])
    for read in (load_masks, masks_about):
        with pytest.raises(UserError, match="damaged") as error:
            read(path)
        assert "\n" not in str(error.value)


def rewrite(path, tensors=None, **metadata):
    """Write the file anew with other content."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        old = dict(file.metadata())
    save_file(load_file(path) if tensors is None else tensors, path, {**old, **metadata})


def test_changed_bits_sizes_and_lists_are_refused(path):
    good = load_file(path)
    flipped = {**good, "a.bias": good["a.bias"] ^ np.uint8(128)}
    shapes = {"b.weight": [2, 3], "a.bias": [9]}
    changes = [
        ({"tensors": flipped}, "checksum"),
        ({"shapes": json.dumps({**shapes, "a.bias": [90]})}, "has not the size"),
        ({"shapes": json.dumps({**shapes, "a.bias": [-9, -1]})}, "list of shapes"),
        ({"shapes": json.dumps({"b.weight": [2, 3]})}, "not those that it lists"),
        ({"shapes": "[]"}, "list of shapes"),
        ({"format": "something else"}, "no masks of this project"),
    ]
    for change, message in changes:
        save_masks(path, MASKS)
        rewrite(path, **change)
        with pytest.raises(UserError, match=message):
            load_masks(path)


def test_what_cannot_be_saved_or_found_is_told(tmp_path):
    with pytest.raises(UserError, match="not of type bool"):
        save_masks(tmp_path / "mask.safetensors", {"weight": torch.ones(3)})
    with pytest.raises(UserError, match="no masks"):
        save_masks(tmp_path / "mask.safetensors", {})
    with pytest.raises(UserError, match="no file of masks"):
        load_masks(tmp_path / "nothing.safetensors")
    assert list(tmp_path.iterdir()) == []
