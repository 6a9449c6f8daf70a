"""Zero once, re-prune, enforce, bake: what is zero, what gets a gradient, what the optimiser keeps."""

import copy

import pytest
import torch
from torch import nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import (
    bake_,
    enforce_,
    enforced_masks,
    magnitude_masks,
    prunable,
    prune_once_,
    removed,
    reprune_,
)

WAVS = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))


def backward(encoder):
    encoder(WAVS).last_hidden_state.square().sum().backward()


def hidden(encoder):
    with torch.no_grad():
        return encoder(WAVS).last_hidden_state


def count_zeros(tensors):
    return sum(int((tensor == 0).sum()) for tensor in tensors.values())


def test_pruning_once_leaves_ordinary_weights_with_a_full_gradient(encoder):
    parameters = prunable(encoder)
    masks = magnitude_masks(parameters, 0.5)
    prune_once_(parameters, masks)
    assert count_zeros(parameters) == 2160
    assert enforced_masks(encoder) == {}
    backward(encoder)
    gone = torch.cat(
        [parameters[name].grad[~keep] for name, keep in masks.items() if "k_proj.bias" not in name]
    )
    assert float((gone != 0).float().mean()) > 0.99  # a key's bias cancels in the softmax


def test_enforced_masks_zero_the_output_and_the_gradient_of_what_is_removed(encoder):
    pruned = copy.deepcopy(encoder)
    masks = magnitude_masks(prunable(encoder), 0.5)
    prune_once_(prunable(pruned), masks)
    enforce_(encoder, masks)
    torch.testing.assert_close(hidden(encoder), hidden(pruned), rtol=0, atol=0)
    for model in (encoder, pruned):
        backward(model)
    bare = prunable(pruned)
    for name, parameter in prunable(encoder).items():
        keep = masks[name]
        assert parameter.requires_grad
        assert not parameter.grad[~keep].any()
        torch.testing.assert_close(parameter.grad[keep], bare[name].grad[keep])
    assert count_zeros(prunable(encoder)) < 10  # the values below the mask are kept


def test_enforced_weights_stay_masked_while_an_optimiser_trains_them(encoder):
    enforce_(encoder, magnitude_masks(prunable(encoder), 0.5))
    before = {name: parameter.detach().clone() for name, parameter in prunable(encoder).items()}
    masks = enforced_masks(encoder)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        backward(encoder)
        optimizer.step()
    for name, parameter in prunable(encoder).items():
        assert torch.equal(parameter[~masks[name]], before[name][~masks[name]])
    bake_(encoder)
    assert count_zeros(prunable(encoder)) == 2160


def test_frozen_parameters_stay_frozen_under_a_mask(encoder):
    encoder.requires_grad_(False)
    enforce_(encoder, magnitude_masks(prunable(encoder), 0.5))
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_masks_are_read_back_and_baked_without_a_trace(encoder):
    keys, kind = list(encoder.state_dict()), type(encoder.encoder.layers[0].feed_forward.intermediate_dense)
    masks = magnitude_masks(prunable(encoder), 0.3)
    enforce_(encoder, masks)
    found, before = enforced_masks(encoder), hidden(encoder)
    assert list(found) == list(masks)
    assert all(torch.equal(found[name], keep) for name, keep in masks.items())
    bake_(encoder)
    assert sorted(encoder.state_dict()) == sorted(keys)
    assert type(encoder.encoder.layers[0].feed_forward.intermediate_dense) is kind is nn.Linear
    assert torch.equal(hidden(encoder), before)
    assert enforced_masks(encoder) == {}
    assert all(torch.equal(parameter != 0, masks[name]) for name, parameter in prunable(encoder).items())


def adam_after_a_step(encoder):
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    backward(encoder)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("reset", [False, True])
def test_repruning_is_exact_and_keeps_or_resets_the_moments_of_what_it_removes(encoder, reset):
    parameters = prunable(encoder)
    optimizer = adam_after_a_step(encoder)
    name = "encoder.layers.0.feed_forward.output_dense.weight"
    before = optimizer.state[parameters[name]]["exp_avg"].clone()
    masks = reprune_(parameters, 0.37, optimizer=optimizer if reset else None)
    assert removed(masks) == count_zeros(parameters) == 1598  # 0.37 * 4320 = 1598.4
    after, keep = optimizer.state[parameters[name]], masks[name]
    assert torch.equal(after["exp_avg"][keep], before[keep])
    assert bool(after["exp_avg"][~keep].any()) is not reset
    assert bool(after["exp_avg_sq"][~keep].any()) is not reset
    assert after["step"] == 1


def test_a_weight_comes_back_when_training_makes_it_large(encoder):
    parameters = prunable(encoder)
    name = "encoder.layers.1.attention.q_proj.weight"
    place = tuple((~reprune_(parameters, 0.5)[name]).nonzero()[0])
    with torch.no_grad():
        parameters[name][place] = 5.0
    assert bool(reprune_(parameters, 0.5)[name][place])


def test_repruning_pruned_weights_changes_nothing(encoder):
    parameters = prunable(encoder)
    first = reprune_(parameters, 0.6)
    values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    second = reprune_(parameters, 0.6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(values[name], parameter) for name, parameter in parameters.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda masks: masks | {"encoder.layers.9.attention.q_proj.weight": torch.ones(1) > 0},
            "no parameter",
        ),
        (lambda masks: {name: keep.float() for name, keep in masks.items()}, "torch.float32"),
        (lambda masks: {name: keep[:1] for name, keep in masks.items()}, "expected torch.bool"),
    ],
)
@pytest.mark.parametrize("verb", ["enforce", "prune_once"])
def test_masks_that_do_not_fit_are_refused_before_anything_changes(encoder, change, message, verb):
    before = copy.deepcopy(encoder.state_dict())
    masks = change(magnitude_masks(prunable(encoder), 0.5))
    with pytest.raises(UserError, match=message) as error:
        enforce_(encoder, masks) if verb == "enforce" else prune_once_(prunable(encoder), masks)
    assert "\n" not in str(error.value)
    after = encoder.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_pruning_once_wants_all_masks_and_enforcing_twice_is_refused(encoder):
    masks = magnitude_masks(prunable(encoder), 0.5)
    some = dict(list(masks.items())[1:])
    with pytest.raises(UserError, match="The masks lack"):
        prune_once_(prunable(encoder), some)
    enforce_(encoder, some)
    with pytest.raises(UserError, match="masked already"):
        enforce_(encoder, masks)
