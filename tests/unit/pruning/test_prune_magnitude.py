"""Magnitude masks keep exactly the largest entries, over weights and biases together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import layer_index
from s3_speechbrain.masking import sparsity_report
from s3_speechbrain.pruning import (
    enforce_,
    magnitude_masks,
    prunable,
    prune_further,
    random_masks,
    removed,
)

LAYER = "encoder.layers.0"


def test_the_pruned_set_is_weights_and_biases_of_six_linears_per_layer(encoder):
    found = prunable(encoder)
    assert len(found) == 2 * 6 * 2
    assert sum(parameter.numel() for parameter in found.values()) == 2 * (2048 + 4 * 16 + 32 + 16)
    named = dict(encoder.named_parameters())
    assert all(named[name] is parameter for name, parameter in found.items())
    assert not [name for name in found if "norm" in name or "projection" in name or "conv" in name]


def test_groups_and_biases_can_be_chosen(encoder):
    found = prunable(encoder, groups=["ffn"], biases=False)
    assert [name.removeprefix(f"{LAYER}.") for name in found][:2] == [
        "feed_forward.intermediate_dense.weight",
        "feed_forward.output_dense.weight",
    ]
    assert len(found) == 4


def test_whispers_keys_have_no_bias():
    config = WhisperConfig(d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32)
    found = prunable(WhisperEncoder(config))
    assert len(found) == 11
    assert "layers.0.self_attn.k_proj.bias" not in found


def test_the_same_parameters_are_found_below_enforced_masks(encoder):
    before = prunable(encoder)
    enforce_(encoder, magnitude_masks(before, 0.5))
    after = prunable(encoder)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_a_worked_example():
    tensors = {"a.weight": torch.tensor([[0.5, -0.1], [0.3, 0.2]]), "a.bias": torch.tensor([-0.15, 0.4])}
    # of 6 entries half go: 0.1, 0.15 and 0.2, wherever they are
    masks = magnitude_masks(tensors, 0.5)
    assert masks["a.weight"].tolist() == [[True, False], [True, False]]
    assert masks["a.bias"].tolist() == [False, True]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.5, 0.9])
def test_global_masks_are_those_of_torch_prune(encoder, sparsity):
    tensors = prunable(encoder)
    masks = magnitude_masks({name: p.detach().clone() for name, p in tensors.items()}, sparsity)
    places = [tuple(name.rsplit(".", 1)) for name in tensors]
    prune.global_unstructured(
        [(encoder.get_submodule(layer), role) for layer, role in places],
        pruning_method=prune.L1Unstructured,
        amount=sparsity,
    )
    for layer, role in places:
        torch_mask = getattr(encoder.get_submodule(layer), f"{role}_mask")
        assert torch.equal(masks[f"{layer}.{role}"], torch_mask.bool())


def test_layers_can_be_ranked_apart(encoder):
    with torch.no_grad():
        for name, parameter in prunable(encoder).items():
            if layer_index(name) == 0:
                parameter.mul_(0.01)
    counts = {}
    for scope in ("global", "layer"):
        masks = magnitude_masks(prunable(encoder), 0.25, scope)
        per_layer = [{n: m for n, m in masks.items() if layer_index(n) == index} for index in (0, 1)]
        counts[scope] = [removed(part) for part in per_layer]
    assert counts["layer"] == [540, 540]  # a quarter of 2,160 each
    assert sum(counts["global"]) == 1080
    assert counts["global"][0] > 1000


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=2, max_size=40), st.floats(0, 0.99))
@settings(max_examples=50, deadline=None)
def test_counts_are_exact_and_nothing_removed_is_larger_than_what_is_kept(values, sparsity):
    tensors = {"a": torch.tensor(values[: len(values) // 2]), "b": torch.tensor(values[len(values) // 2 :])}
    masks = magnitude_masks(tensors, sparsity)
    kept = torch.cat([tensors[name][keep].abs() for name, keep in masks.items()])
    gone = torch.cat([tensors[name][~keep].abs() for name, keep in masks.items()])
    assert abs(len(gone) - sparsity * len(values)) <= 0.5 + 1e-9
    assert removed(masks) == len(gone)
    assert not len(gone) or not len(kept) or gone.max() <= kept.min()


def test_pruning_further_never_brings_anything_back(encoder):
    tensors = {name: p.detach().clone() for name, p in prunable(encoder).items()}
    first = prune_further(
        tensors, {name: torch.ones_like(t, dtype=torch.bool) for name, t in tensors.items()}, 0.3
    )
    assert all(torch.equal(first[name], keep) for name, keep in magnitude_masks(tensors, 0.3).items())
    changed = {
        name: t + 10 * ~first[name] for name, t in tensors.items()
    }  # removed entries are now the largest
    second = prune_further(changed, first, 0.6)
    assert removed(second) == round(0.6 * 4320)
    assert all(bool((first[name] | ~keep).all()) for name, keep in second.items())
    with pytest.raises(UserError, match="raise the sparsity"):
        prune_further(tensors, second, 0.5)


def test_weights_that_are_zero_but_kept_are_not_mistaken_for_removed_ones():
    masks = prune_further(
        {"a": torch.tensor([9.0, 0.0, 1.0, 2.0])}, {"a": torch.tensor([False, True, True, True])}, 0.5
    )
    assert masks["a"].tolist() == [False, False, True, True]


def test_random_masks_are_exact_uniform_and_reproducible(encoder):
    tensors = prunable(encoder)
    masks = random_masks(tensors, 0.4, seed=1)
    assert removed(masks) == 1728  # 0.4 * 4320
    again, other = random_masks(tensors, 0.4, seed=1), random_masks(tensors, 0.4, seed=2)
    assert all(torch.equal(masks[name], again[name]) for name in masks)
    assert not all(torch.equal(masks[name], other[name]) for name in masks)
    biases = {name: keep for name, keep in masks.items() if name.endswith(".bias")}
    assert 50 < removed(biases) < 130  # of 224, about 90: biases are treated like weights


def test_random_pruning_as_published_removes_zero_biases_first():
    torch.manual_seed(0)
    linears = nn.ModuleDict({str(i): nn.Linear(20, 20) for i in range(2)})
    for linear in linears.values():
        nn.init.zeros_(linear.bias)
    masks = magnitude_masks(dict(linears.named_parameters()), 0.1)
    assert not masks["0.bias"].any()
    assert not masks["1.bias"].any()
    assert removed(masks) == 84


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 50])
def test_sparsity_out_of_range_is_told(sparsity):
    with pytest.raises(UserError, match=r"not in \[0, 1\)"):
        magnitude_masks({"a": torch.ones(3)}, sparsity)


def test_an_unknown_scope_and_weights_that_are_not_numbers_are_told():
    with pytest.raises(UserError, match="scope is 'matrix'"):
        magnitude_masks({"a": torch.ones(3)}, 0.5, "matrix")
    with pytest.raises(UserError, match="learning rate"):
        magnitude_masks({"a": torch.tensor([1.0, float("nan"), 2.0])}, 0.4)


def test_the_report_counts_biases_where_they_belong(encoder):
    masks = magnitude_masks(prunable(encoder), 0.5)
    report = sparsity_report(encoder, masks)
    weights = {name: keep for name, keep in masks.items() if name.endswith(".weight")}
    assert report["masked"] == 0.5
    assert report["linears"] == removed(weights) / 4096
    assert report["model"] == 2160 / sum(p.numel() for p in encoder.parameters())
    assert len(report["per_layer"]) == 12
    enforce_(encoder, masks)
    assert sparsity_report(encoder, masks) == report
