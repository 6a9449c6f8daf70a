"""One ranking of all matrices in which each has a threshold that trains."""

import copy
import math

import pytest
import torch

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import (
    MaskConfig,
    bake_,
    keep_masks,
    mask_,
    mask_languages_,
    masks_of,
    set_language_,
    sparsity_report,
    warm_start_,
)
from s3_speechbrain.masking.thresholds import _between

BOTH = ("ffn", "attention")
WAVS = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))


def learned(encoder, **settings):
    """Mask an encoder with thresholds that train."""
    mask_(encoder, MaskConfig(**{"sparsity": 0.25, "groups": BOTH, "scope": "threshold", **settings}))
    return masks_of(encoder)


def removed(encoder):
    """Count what each matrix loses."""
    return {name: int((~keep).sum()) for name, keep in keep_masks(encoder).items()}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sparsity": 0.0},
        {"sparsity": {"ffn": 0.5, "attention": 0.1}},
        {"layer_sparsity": [0.6, 0.1]},
        {"init": "magnitude"},
        {"init": "binary_magnitude"},
        {"structure": "row"},
    ],
)
def test_first_masks_are_those_of_single_matrices(encoder, settings):
    alone = copy.deepcopy(encoder)
    mask_(alone, MaskConfig(**{"sparsity": 0.25, "groups": BOTH, **settings}))
    learned(encoder, **settings)
    wanted = keep_masks(alone)
    assert all(torch.equal(keep, wanted[name]) for name, keep in keep_masks(encoder).items())


def test_the_number_between_two_parts():
    magnitudes = torch.tensor([1.0, 2.0, 4.0])
    assert [_between(magnitudes, zeros) for zeros in range(4)] == [0.5, 1.5, 3.0, 6.0]


def test_a_matrix_with_more_gain_keeps_more_and_all_together_lose_as_many(encoder):
    masks = learned(encoder)
    before = removed(encoder)
    name = next(iter(masks))
    with torch.no_grad():
        masks[name].gain += 0.5
    after = removed(encoder)
    assert after[name] < before[name]
    assert all(after[other] >= before[other] for other in before if other != name)
    assert sum(after.values()) == sum(before.values())


def test_the_mask_is_that_of_the_scores_times_their_gain(encoder):
    """The threshold that the fast path compares with is the one of the ranking."""
    masks = learned(encoder)
    with torch.no_grad():
        for place, masked in enumerate(masks.values()):
            masked.gain += 0.1 * place
    encoder(WAVS)
    for masked in masks.values():
        assert torch.equal(masked.keep, masked.ranked().abs() > masked.threshold)


@pytest.mark.parametrize("ste", ["identity", "sigmoid"])
def test_gradients_are_those_of_autograd(encoder, ste):
    masks = learned(encoder, ste=ste)
    layer = encoder.encoder.layers[0].feed_forward.intermediate_dense
    masked = layer.parametrizations.weight[0]
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    layer(x).square().sum().backward()

    score, gain = (each.detach().clone().requires_grad_() for each in (masked.score, masked.gain))
    magnitude = (score * gain.exp()).abs()
    soft = magnitude if ste == "identity" else torch.sigmoid(magnitude)
    mask = masked.keep + soft - soft.detach()
    weight = layer.parametrizations.weight.original.detach() * mask
    torch.nn.functional.linear(x, weight, layer.bias).square().sum().backward()
    torch.testing.assert_close(masked.score.grad, score.grad)
    torch.testing.assert_close(masked.gain.grad, gain.grad / math.sqrt(score.numel()))
    assert [other.gain.grad for other in masks.values() if other is not masked] == [None] * (len(masks) - 1)


def test_every_step_of_an_optimiser_is_noticed(encoder):
    masks = learned(encoder)
    before = removed(encoder)
    optimizer = torch.optim.Adam([masked.gain for masked in masks.values()], lr=0.3, fused=True)
    encoder(WAVS).last_hidden_state.square().sum().backward()
    optimizer.step()
    encoder(WAVS)
    assert {name: int((~masked.keep).sum()) for name, masked in masks.items()} != before


def test_a_checkpoint_and_a_copy_bring_them_back(encoder):
    fresh = copy.deepcopy(encoder)
    masks = learned(encoder)
    with torch.no_grad():
        next(iter(masks.values())).gain -= 1.0
    wanted = removed(encoder)
    learned(fresh)
    fresh.load_state_dict(encoder.state_dict())
    assert removed(fresh) == removed(copy.deepcopy(encoder)) == wanted


def test_they_are_no_part_of_the_encoder(encoder):
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    learned(encoder)
    report = sparsity_report(encoder)
    assert report["masked"] == 0.25
    total = sum(removed(encoder).values())
    assert report["model"] == total / parameters
    output = encoder(WAVS).last_hidden_state
    bake_(encoder)
    assert torch.equal(encoder(WAVS).last_hidden_state, output)
    assert not [name for name, _ in encoder.named_parameters() if name.endswith((".gain", ".score"))]


def test_scores_of_zero_have_no_threshold(encoder):
    with pytest.raises(UserError, match="choose another init"):
        learned(encoder, init="zero")


def test_they_begin_between_what_another_language_keeps_and_removes(encoder):
    other = copy.deepcopy(encoder)
    mask_(other, MaskConfig(sparsity=0.25, groups=BOTH, scope="global", init="normal", seed=9))
    masks = keep_masks(other)
    learned(encoder)
    warm_start_(encoder, masks)
    assert all(torch.equal(keep, masks[name]) for name, keep in keep_masks(encoder).items())


def test_each_language_has_its_own(encoder):
    config = MaskConfig(sparsity=0.25, groups=BOTH, scope="threshold")
    mask_languages_(encoder, {"fr": config, "it": config})
    first = removed(encoder)
    with torch.no_grad():
        next(iter(masks_of(encoder).values())).gain += 1.0
    assert removed(encoder) != first
    set_language_(encoder, "it")
    assert removed(encoder) == first
