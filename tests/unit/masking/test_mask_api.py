"""The verbs on a whole encoder: counts per ranking, freezing, fixed masks, baking, the report."""

import pytest
import torch
from torch import nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import GROUPS, group_of, layer_index
from s3_speechbrain.masking import (
    MaskConfig,
    bake_,
    keep_masks,
    load_keep_masks_,
    mask_,
    masks_of,
    sparsity_report,
)

BOTH = ("ffn", "attention")
WAVS = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))


def zeros_by(encoder, key):
    """Count removed entries, summed over the layers with equal ``key(name)``."""
    counts = {}
    for name, keep in keep_masks(encoder).items():
        counts[key(name)] = counts.get(key(name), 0) + int((~keep).sum())
    return counts


def test_each_matrix_loses_its_share(encoder):
    mask_(encoder, MaskConfig(sparsity=0.1))
    assert set(zeros_by(encoder, lambda name: name).values()) == {51}  # 0.1 * 32 * 16 = 51.2


@pytest.mark.parametrize(
    ("scope", "key", "wanted"),
    [
        ("layer", layer_index, {0: 205, 1: 205}),  # 0.1 * (2 * 512 + 4 * 256) = 204.8
        ("group", group_of, {"ffn": 205, "attention": 205}),
        ("global", lambda name: None, {None: 410}),  # 409.6
    ],
)
def test_joint_rankings_lose_exactly_their_share(encoder, scope, key, wanted):
    mask_(encoder, MaskConfig(sparsity=0.1, groups=BOTH, scope=scope))
    assert zeros_by(encoder, key) == wanted


def test_a_joint_ranking_lets_sparsity_flow_to_where_weights_are_small(encoder):
    with torch.no_grad():
        encoder.encoder.layers[0].feed_forward.output_dense.weight.mul_(0.01)
    mask_(encoder, MaskConfig(sparsity=0.25, scope="global"))
    counts = list(zeros_by(encoder, lambda name: name).values())
    assert counts[1] > 450
    assert sum(counts) == 512


def test_ffn_and_attention_can_differ(encoder):
    mask_(encoder, MaskConfig(sparsity={"ffn": 0.5, "attention": 0.25}, groups=BOTH))
    assert zeros_by(encoder, group_of) == {"ffn": 4 * 256, "attention": 8 * 64}


def test_layers_can_differ_and_what_is_outside_stays_dense(encoder):
    mask_(encoder, MaskConfig(layer_sparsity=[0.5, 0.0], groups=("ffn", "projection")))
    assert zeros_by(encoder, layer_index) == {None: 0, 0: 512, 1: 0}


def test_rows_and_columns_vanish_whole(encoder):
    mask_(encoder, MaskConfig(sparsity=0.25, structure="row"))
    first = encoder.encoder.layers[0].feed_forward.intermediate_dense.weight
    assert int((first == 0).all(1).sum()) == 8
    assert int((first == 0).sum()) == 8 * 16


def test_convolutions_can_be_masked(encoder):
    mask_(encoder, MaskConfig(sparsity=0.5, groups=GROUPS))
    encoder(WAVS).last_hidden_state.sum().backward()
    conv = encoder.feature_extractor.conv_layers[1].conv
    assert int((conv.weight == 0).sum()) == 8 * 8 * 3 // 2
    assert conv.parametrizations.weight[0].score.grad is not None


def test_a_matrix_gets_the_same_scores_whatever_else_is_masked(encoder):
    first = {name: m.score.clone() for name, m in mask_(encoder, MaskConfig(init="uniform")).items()}
    bake_(encoder)
    again = mask_(encoder, MaskConfig(init="uniform", groups=BOTH))
    assert all(torch.equal(again[name].score, score) for name, score in first.items())


def test_only_filtered_layers_are_masked(encoder):
    masks = mask_(encoder, MaskConfig(), lambda name: layer_index(name) == 1)
    assert {layer_index(name) for name in masks} == {1}


def test_fixed_masks_replace_learned_ones_over_the_full_weights(encoder):
    name = "encoder.layers.0.feed_forward.intermediate_dense"
    full = encoder.get_submodule(name).weight.clone()
    mask_(encoder, MaskConfig(sparsity=0.3))
    wanted = torch.rand(full.shape) > 0.5
    load_keep_masks_(encoder, {name: wanted})
    assert list(masks_of(encoder)) == [name]
    assert torch.equal(encoder.get_submodule(name).weight, full * wanted)
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("encoder.layers.9.feed_forward.intermediate_dense", torch.ones(32, 16, dtype=torch.bool)),
        ("encoder.layers.0.feed_forward.intermediate_dense", torch.ones(16, 32, dtype=torch.bool)),
        ("encoder.layers.0.feed_forward.intermediate_dense", torch.ones(32, 16)),
    ],
)
def test_masks_that_do_not_fit_are_refused_before_anything_changes(encoder, name, mask):
    good = {"encoder.layers.1.feed_forward.intermediate_dense": torch.ones(32, 16, dtype=torch.bool)}
    with pytest.raises(UserError, match="backbone it was made for"):
        load_keep_masks_(encoder, {**good, name: mask})
    assert masks_of(encoder) == {}


def test_baking_leaves_an_ordinary_encoder(encoder):
    keys = list(encoder.state_dict())
    mask_(encoder, MaskConfig(sparsity=0.3, groups=BOTH))
    masks, hidden = keep_masks(encoder), encoder(WAVS).last_hidden_state
    bake_(encoder)
    assert sorted(encoder.state_dict()) == sorted(keys)
    assert torch.equal(encoder(WAVS).last_hidden_state, hidden)
    for name, keep in masks.items():
        layer = encoder.get_submodule(name)
        assert type(layer) is nn.Linear
        assert bool((layer.weight[~keep] == 0).all())


def test_masking_twice_is_refused(encoder):
    mask_(encoder, MaskConfig())
    with pytest.raises(UserError, match="masked already"):
        mask_(encoder, MaskConfig(groups=("attention",)))


@pytest.mark.parametrize(
    "settings",
    [
        {"sparsity": 8},
        {"sparsity": -0.1},
        {"sparsity": {"ffn": 0.1}, "groups": BOTH},
        {"layer_sparsity": [0.1, 1.0]},
        {"scope": "everything"},
        {"init": "ones"},
        {"structure": "block"},
        {"ste": "tanh"},
        {"magnitude_scale": 0},
    ],
)
def test_wrong_settings_are_told_in_one_line(settings):
    with pytest.raises(UserError) as error:
        MaskConfig(**settings)
    assert "\n" not in str(error.value)


def test_layer_sparsity_needs_one_number_per_layer(encoder):
    with pytest.raises(UserError, match="2 layers"):
        mask_(encoder, MaskConfig(layer_sparsity=[0.1]))


def test_a_filter_that_leaves_nothing_is_told(encoder):
    with pytest.raises(UserError, match="layer_filter"):
        mask_(encoder, MaskConfig(), lambda name: False)


@pytest.mark.parametrize("structure", ["element", "row"])
def test_the_report_has_three_denominators(encoder, structure):
    parameters = sum(p.numel() for p in encoder.parameters())
    mask_(encoder, MaskConfig(sparsity=0.5, structure=structure))
    report = sparsity_report(encoder)
    assert report["masked"] == 0.5
    assert report["linears"] == 1024 / 4096  # FFN 2,048 weights, attention 2,048
    assert report["model"] == pytest.approx(1024 / parameters)
    assert set(report["per_layer"].values()) == {0.5}
    bake_(encoder)
    assert sparsity_report(encoder) == {"masked": 0, "linears": 0, "model": 0, "per_layer": {}}
