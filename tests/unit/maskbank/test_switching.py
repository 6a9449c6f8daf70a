"""Switching writes what baking would, from weights that nothing changes."""

import copy

import numpy as np
import pytest
import torch
from bank_entries import random_masks

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import select_layers
from s3_speechbrain.maskbank import MaskSwitch, fingerprint, switching
from s3_speechbrain.maskbank.packing import pack
from s3_speechbrain.masking import MaskConfig, bake_, load_keep_masks_, mask_

GROUPS = {"ffn": ("ffn",), "all": ("ffn", "attention", "projection"), "convolutions": ("extractor",)}


def packed(masks):
    return {name: pack(mask) for name, mask in masks.items()}


def shapes(masks):
    return {name: tuple(mask.shape) for name, mask in masks.items()}


def baked(encoder, masks):
    other = copy.deepcopy(encoder)
    load_keep_masks_(other, masks)
    bake_(other)
    return other


def assert_bit_identical(encoder, other):
    theirs = dict(other.named_parameters())
    assert dict(encoder.named_parameters()).keys() == theirs.keys()
    for name, ours in encoder.named_parameters():
        assert torch.equal(ours.view(torch.int32), theirs[name].view(torch.int32)), name


def structured(encoder, axis):
    generator = torch.Generator().manual_seed(3)
    sizes = {name: layer.weight.shape[axis] for name, layer in select_layers(encoder, ["ffn"]).items()}
    drawn = {name: torch.rand(size, generator=generator) > 0.3 for name, size in sizes.items()}
    return {name: keep[:, None] if axis == 0 else keep[None] for name, keep in drawn.items()}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("groups", GROUPS)
def test_a_switch_is_bit_identical_to_loading_and_baking(encoder, groups, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(switching, "BLOCK", 64)  # several blocks, the last one not full
    pristine = copy.deepcopy(encoder)
    masks = random_masks(encoder, 0.4, 1, GROUPS[groups])
    switch = MaskSwitch(encoder, [shapes(masks)])
    switch.apply(packed(masks))
    assert_bit_identical(encoder, baked(pristine, masks))
    switch.restore()
    assert_bit_identical(encoder, pristine)


@pytest.mark.parametrize("axis", [0, 1])
def test_structured_masks_are_switched_too(encoder, axis):
    pristine, masks = copy.deepcopy(encoder), structured(encoder, axis)
    MaskSwitch(encoder, [shapes(masks)]).apply(packed(masks))
    assert_bit_identical(encoder, baked(pristine, masks))


def test_layers_that_the_next_language_leaves_alone_are_restored(encoder):
    pristine = copy.deepcopy(encoder)
    first, second = random_masks(encoder, 0.3, 1), random_masks(encoder, 0.3, 2, ("attention",))
    switch = MaskSwitch(encoder, [shapes(first), shapes(second)])
    switch.apply(packed(first))
    switch.apply(packed(second))
    assert_bit_identical(encoder, baked(pristine, second))


def test_the_backbone_survives_a_thousand_switches(encoder):
    pristine, before = copy.deepcopy(encoder), fingerprint(encoder)
    sets = [random_masks(encoder, sparsity, 5, GROUPS["all"]) for sparsity in (0.02, 0.5, 0.9)]
    sets += [structured(encoder, 0), {}]
    switch = MaskSwitch(encoder, [shapes(masks) for masks in sets])
    coded = [packed(masks) for masks in sets]
    for index in np.random.default_rng(0).integers(len(sets), size=1000):
        switch.apply(coded[index])
    assert_bit_identical(encoder, baked(pristine, sets[index]))
    switch.restore()
    assert fingerprint(encoder) == before


def test_an_interrupted_switch_is_made_good_by_the_next(encoder, monkeypatch):
    pristine = copy.deepcopy(encoder)
    first, second = random_masks(encoder, 0.3, 1), random_masks(encoder, 0.3, 2, ("attention",))
    switch = MaskSwitch(encoder, [shapes(first), shapes(second)])
    write, calls = switch._write, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise MemoryError
        write(*arguments)

    monkeypatch.setattr(switch, "_write", failing)
    with pytest.raises(MemoryError):
        switch.apply(packed(first))
    switch.apply(packed(second))
    assert_bit_identical(encoder, baked(pristine, second))


def test_weights_of_half_precision_are_switched_bit_by_bit(encoder):
    encoder = encoder.to(torch.bfloat16)
    pristine, masks = copy.deepcopy(encoder), random_masks(encoder, 0.4, 1)
    MaskSwitch(encoder, [shapes(masks)]).apply(packed(masks))
    for name, keep in masks.items():
        expected = torch.where(keep, pristine.get_submodule(name).weight, 0)
        assert torch.equal(encoder.get_submodule(name).weight, expected)


def test_what_does_not_fit_is_refused(encoder):
    masks = shapes(random_masks(encoder, 0.4, 1))
    name = next(iter(masks))
    for wrong in ({"model.encoder.layers.9.feed_forward.output_dense": (16, 32)}, {name: (16, 16)}):
        with pytest.raises(UserError, match="use the backbone it was made for"):
            MaskSwitch(encoder, [wrong])
    mask_(encoder, MaskConfig(sparsity=0.1))
    with pytest.raises(UserError, match="masked already"):
        MaskSwitch(encoder, [masks])
