"""Scores that begin with another language's mask."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import MaskConfig, keep_masks, mask_, masks_of, warm_start_
from s3_speechbrain.masking.warm_start import _rearrange_

BOTH = ("ffn", "attention")


def random_masks(encoder, sparsity=0.25, seed=9):
    """Masks that have nothing to do with the weights, as another language's may."""
    other = copy.deepcopy(encoder)
    mask_(other, MaskConfig(sparsity=sparsity, groups=BOTH, init="normal", seed=seed))
    return keep_masks(other)


def test_by_hand():
    scores = [torch.tensor([0.1, -0.4, 0.2, 0.3])]
    _rearrange_(scores, torch.tensor([True, True, False, False]))
    # removed first: the third (0.2) and fourth (0.3) take the two smallest values, the others the two largest
    assert torch.equal(scores[0], torch.tensor([0.3, -0.4, 0.1, 0.2]))


@pytest.mark.parametrize("init", ["order_preserving", "kaiming_uniform"])
def test_at_equal_sparsity_the_first_mask_is_the_other_one(encoder, init):
    masks = random_masks(encoder)
    mask_(encoder, MaskConfig(sparsity=0.25, groups=BOTH, init=init))
    before = {name: member.score.detach().clone() for name, member in masks_of(encoder).items()}
    warm_start_(encoder, masks)
    for name, keep in keep_masks(encoder).items():
        assert torch.equal(keep, masks[name])
    for name, member in masks_of(encoder).items():  # the same values in other places
        assert torch.equal(member.score.flatten().sort()[0], before[name].flatten().sort()[0])
        assert member.score.requires_grad


@pytest.mark.parametrize(("sparsity", "inside"), [(0.1, "removed"), (0.4, "kept")])
def test_at_another_sparsity_one_part_holds_the_other(encoder, sparsity, inside):
    masks = random_masks(encoder)
    mask_(encoder, MaskConfig(sparsity=sparsity, groups=BOTH))
    warm_start_(encoder, masks)
    for name, keep in keep_masks(encoder).items():
        if inside == "removed":
            assert not (~keep & masks[name]).any()
        else:
            assert not (keep & ~masks[name]).any()


def test_one_ranking_of_all_matrices_begins_with_the_other_masks_too(encoder):
    masks = random_masks(encoder)
    mask_(encoder, MaskConfig(sparsity=0.25, groups=BOTH, scope="global"))
    warm_start_(encoder, masks)
    assert all(torch.equal(keep, masks[name]) for name, keep in keep_masks(encoder).items())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-9, 9, width=32), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_values_stay_removed_ranks_below_kept_and_each_part_keeps_its_order(entries, cut):
    values, kept = torch.tensor([value for value, _ in entries]), torch.tensor([keep for _, keep in entries])
    cut = min(cut, len(entries))
    parts = [values[:cut].clone(), values[cut:].clone()]
    _rearrange_(parts, kept)
    after = torch.cat(parts)
    assert torch.equal(after.sort()[0], values.sort()[0])
    size = after.abs()
    if kept.any() and not kept.all():
        assert size[~kept].max() <= size[kept].min()
    for part in (kept, ~kept):
        order = values[part].abs().argsort(stable=True)
        assert (size[part][order].diff() >= 0).all()


def test_other_layers_or_shapes_are_refused_before_anything_changes(encoder):
    masks = random_masks(encoder)
    mask_(encoder, MaskConfig(sparsity=0.25, groups=("ffn",)))
    before = keep_masks(encoder)
    with pytest.raises(UserError, match=r"Only the other masks mask .* same --groups"):
        warm_start_(encoder, masks)
    own = {name: keep for name, keep in masks.items() if name in before}
    name = next(iter(own))
    with pytest.raises(UserError, match="same --structure"):
        warm_start_(encoder, {**own, name: own[name][:1]})
    own.pop(name)
    with pytest.raises(UserError, match="Only this run mask"):
        warm_start_(encoder, own)
    assert all(torch.equal(keep, before[name]) for name, keep in keep_masks(encoder).items())
