"""Masks held over units: nothing passes, nothing moves, and what grows starts as configured."""

import copy

import pytest
import torch
from structured_tools import ALL, FAMILIES, random_keep, stirred, zero_columns_
from toy_encoders import toy_wav2vec2

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.importance import chance, comparable, magnitude
from s3_speechbrain.structured.masks import (
    change_,
    collected,
    hold_,
    kept_units,
    release_,
    set_modes_,
    snapshot,
    unit_masks,
    zero_,
)
from s3_speechbrain.structured.slicing import slice_
from s3_speechbrain.structured.units import find_units, parameter_at, per_unit

WAVS = torch.randn(2, 2800, generator=torch.Generator().manual_seed(0))
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
}


def outputs(encoder):
    if encoder.config.model_type != "whisper":
        return encoder(WAVS).last_hidden_state
    hidden = torch.nn.functional.gelu(encoder.conv1(WAVS[:, :2400].reshape(2, 80, 30)))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    for layer in encoder.layers:
        hidden = layer(hidden, None)
    return hidden


def trained(encoder, optimizer, steps=1):
    for _ in range(steps):
        optimizer.zero_grad()
        (outputs(encoder)[..., 0] - 1).square().mean().backward()
        optimizer.step()


def held(family="wav2vec2-layer", kinds=("heads", "neurons"), seed=1):
    encoder = stirred(family).train()
    for name in ("layerdrop", "mask_time_prob", "mask_feature_prob"):
        setattr(encoder.config, name, 0.0)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    units = find_units(encoder, kinds)
    hold_(encoder, units)
    return encoder, units, random_keep(encoder, seed, kinds, least=1)


def part_values(encoder, units, keep):
    """What belongs to the units that are not in keep, as they are below the masks."""
    return [
        per_unit(parameter_at(encoder, part.parameter).detach(), part)[~keep[name]].clone()
        for name, group in units.items()
        for part in group.parts
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_released_and_sliced_agree(family):
    encoder, units, keep = held(family, ALL)
    with torch.no_grad():
        dense = outputs(copy.deepcopy(encoder).eval())
        change_(encoder, units, keep)
        masked = outputs(encoder.eval())
        assert not torch.allclose(masked, dense, atol=1e-3)
        assert all(torch.equal(mask, keep[name]) for name, mask in release_(encoder, units).items())
        slice_(encoder, keep)
        torch.testing.assert_close(outputs(encoder), masked, atol=1e-5, rtol=1e-5)


def test_all_units_active_changes_no_bit():
    encoder, units, _ = held(kinds=ALL)
    fresh = stirred("wav2vec2-layer").eval()
    with torch.no_grad():
        assert torch.equal(outputs(encoder.eval()), outputs(fresh))
    assert all(bool(mask.all()) for mask in kept_units(encoder, units).values())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_removed_units_get_no_update(optimizer):
    encoder, units, keep = held()
    optimizer = OPTIMIZERS[optimizer](encoder.parameters())
    trained(encoder, optimizer, 2)  # so that there is momentum to forget
    change_(encoder, units, keep, optimizer)
    before = part_values(encoder, units, keep)
    trained(encoder, optimizer, 3)
    for old, new in zip(before, part_values(encoder, units, keep), strict=True):
        assert torch.equal(old, new)
    for name, group in units.items():
        columns = encoder.get_parameter(_masked(group)).grad
        assert not bool(per_unit(columns, group.columns)[~keep[name]].any())
        assert bool(per_unit(columns, group.columns)[keep[name]].any())


def _masked(group):
    place, _, role = group.columns.parameter.rpartition(".")
    return f"{place}.parametrizations.{role}.original"


def test_collecting_adds_up_over_batches_and_stops():
    encoder, units, keep = held(kinds=ALL)
    change_(encoder, units, keep)
    set_modes_(encoder, units, enforced=True, collecting=True)
    sums = []
    for _ in range(2):
        (outputs(encoder)[..., 0] - 1).square().mean().backward()
        sums.append(collected(encoder, units, "gradient"))
    for name, values in sums[1].items():
        assert bool((values > 0).all())
        torch.testing.assert_close(values, 2 * sums[0][name])
    set_modes_(encoder, units, enforced=True, collecting=False)
    (outputs(encoder)[..., 0] - 1).square().mean().backward()
    assert all(torch.equal(collected(encoder, units, "gradient")[name], sums[1][name]) for name in units)
    change_(encoder, units, keep)
    assert not any(bool(values.any()) for values in collected(encoder, units, "gradient").values())


@pytest.mark.parametrize("family", ["wav2vec2-group", "wavlm", "whisper"])
def test_dense_gradients_against_an_encoder_with_zeros(family):
    encoder, units, keep = held(family)
    change_(encoder, units, keep)
    set_modes_(encoder, units, enforced=True, collecting=True)
    (outputs(encoder)[..., 0] - 1).square().mean().backward()
    zeros, _, _ = held(family)
    release_(zeros, units)
    zero_columns_(zeros, keep)
    (outputs(zeros)[..., 0] - 1).square().mean().backward()
    for name, values in collected(encoder, units, "gradient").items():
        part = units[name].columns
        gradient = per_unit(zeros.get_parameter(part.parameter).grad, part)
        torch.testing.assert_close(values, gradient.abs().mean(1), rtol=1e-4, atol=1e-9)
        weight = per_unit(parameter_at(encoder, part.parameter).detach(), part)
        contribution = collected(encoder, units, "contribution")[name]
        torch.testing.assert_close(contribution, (gradient * weight).mean(1).abs(), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("start", ["zero", "held", "pretrained"])
def test_grown_units_start_as_configured_and_without_a_past(start):
    encoder, units, keep = held()
    first = snapshot(encoder, units)
    optimizer = OPTIMIZERS["adam"](encoder.parameters())
    trained(encoder, optimizer, 2)
    change_(encoder, units, keep, optimizer)
    trained(encoder, optimizer, 2)
    came = {name: ~mask for name, mask in keep.items()}
    kept = part_values(encoder, units, came)  # of the active units
    old = snapshot(encoder, units)
    everything = {name: torch.ones_like(mask) for name, mask in keep.items()}
    with torch.no_grad():
        before = outputs(encoder)
        change_(encoder, units, everything, optimizer, start, first)
        after = outputs(encoder)
    assert torch.equal(before, after) == (start == "zero")
    for earlier, now in zip(kept, part_values(encoder, units, came), strict=True):
        assert torch.equal(earlier, now)
    for name, group in units.items():
        for part in group.parts:
            parameter = parameter_at(encoder, part.parameter)
            now = per_unit(parameter.detach(), part)[came[name]]
            source = first if start == "pretrained" else old
            wanted = per_unit(source[part.parameter], part)[came[name]]
            if start == "zero" and part is group.columns:
                wanted = torch.zeros_like(wanted)
            assert torch.equal(now, wanted)
            for moment in ("exp_avg", "exp_avg_sq"):
                assert not bool(per_unit(optimizer.state[parameter][moment], part)[came[name]].any())
    trained(encoder, optimizer)
    moved = per_unit(
        parameter_at(encoder, units["neurons.0"].columns.parameter).detach(), units["neurons.0"].columns
    )
    assert bool(moved[came["neurons.0"]].any())


def test_a_unit_of_zeros_alone_cannot_return_but_one_with_zero_columns_can():
    """The reason why masks sit on columns, and why structured PARP zeroes columns alone."""
    for everything, returns in ((True, False), (False, True)):
        encoder, units, keep = held()
        change_(encoder, units, keep, start="held")
        set_modes_(encoder, units, enforced=False, collecting=False)
        zero_(encoder, units)
        if everything:
            with torch.no_grad():
                for group in units.values():
                    for part in group.parts:
                        parameter_at(encoder, part.parameter).zero_()
        trained(encoder, OPTIMIZERS["adam"](encoder.parameters()), 3)
        columns = units["neurons.1"].columns
        values = per_unit(parameter_at(encoder, columns.parameter).detach(), columns)[~keep["neurons.1"]]
        assert bool(values.any()) == returns


def test_masks_that_are_not_enforced_act_in_evaluation_only():
    encoder, units, keep = held()
    with torch.no_grad():
        dense = outputs(encoder)
        change_(encoder, units, keep, start="held")
        masked = outputs(encoder)
        set_modes_(encoder, units, enforced=False, collecting=False)
        assert torch.equal(outputs(encoder), dense)
        torch.testing.assert_close(outputs(encoder.eval()), masked, atol=1e-6, rtol=0)
    assert not torch.allclose(dense, masked, atol=1e-3)


def test_state_dict_holds_masks_and_collected_gradients():
    encoder, units, keep = held()
    change_(encoder, units, keep)
    set_modes_(encoder, units, enforced=True, collecting=True)
    trained(encoder, OPTIMIZERS["adam"](encoder.parameters()))
    fresh, _, _ = held()
    fresh.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert torch.equal(outputs(fresh), outputs(encoder))
    assert all(torch.equal(mask, keep[name]) for name, mask in kept_units(fresh, units).items())
    one, other = collected(fresh, units, "gradient"), collected(encoder, units, "gradient")
    assert all(torch.equal(one[name], other[name]) for name in units)


def test_magnitude_by_hand():
    encoder = toy_wav2vec2()
    units = find_units(encoder)
    first, second = (
        encoder.encoder.layers[0].feed_forward.intermediate_dense,
        encoder.encoder.layers[0].feed_forward.output_dense,
    )
    attention = encoder.encoder.layers[1].attention
    by_hand = (first.weight[3].abs().sum() + first.bias[3].abs() + second.weight[:, 3].abs().sum()) / (
        16 + 1 + 16
    )
    rows = sum(
        layer.weight[8:].abs().sum() + layer.bias[8:].abs().sum()
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    head = (rows + attention.out_proj.weight[:, 8:].abs().sum()) / (3 * 8 * 17 + 16 * 8)
    found = magnitude(encoder, units)
    assert found["neurons.0"][3].item() == pytest.approx(by_hand.item(), rel=1e-6)
    assert found["heads.1"][1].item() == pytest.approx(head.item(), rel=1e-6)
    columns = magnitude(encoder, units, "columns")
    assert columns["neurons.0"][3].item() == pytest.approx(second.weight[:, 3].abs().mean().item(), rel=1e-6)
    assert torch.equal(chance(units, 3)["heads.0"], chance(units, 3)["heads.0"])
    assert not torch.equal(chance(units, 3)["neurons.0"], chance(units, 4)["neurons.0"])
    with pytest.raises(UserError, match="side is 'rows'"):
        magnitude(encoder, units, "rows")


def test_comparable_scores_by_hand():
    scores = {
        "heads.0": torch.tensor([1.0, 3.0]),
        "heads.1": torch.tensor([8.0]),
        "neurons.0": torch.tensor([0.0]),
    }
    assert {n: v.tolist() for n, v in comparable(scores, "kind").items()} == {
        "heads.0": [0.25, 0.75],
        "heads.1": [2.0],
        "neurons.0": [0.0],
    }
    assert comparable(scores, "group")["heads.0"].tolist() == [0.5, 1.5]
    assert comparable(scores, "none")["heads.1"].tolist() == [8.0]
    ranks = comparable({**scores, "neurons.1": torch.tensor([5.0, 9.0, 5.0, 1.0])}, "rank")
    assert ranks["heads.0"].tolist() == [0.5, 1.0]
    assert ranks["heads.1"].tolist() == [1.0]
    assert ranks["neurons.1"].tolist() == [0.75, 1.0, 0.5, 0.25]  # equal ones by position
    with pytest.raises(UserError, match="scale is 'layer'"):
        comparable(scores, "layer")


def test_releasing_a_copy_leaves_the_encoder_as_it_was():
    encoder, units, keep = held(kinds=ALL)
    with torch.no_grad():
        change_(encoder, units, keep)
        masked = outputs(encoder.eval())
        copied = copy.deepcopy(encoder)
        release_(copied, units)
        assert torch.equal(outputs(encoder), masked)
        kinds = [type(module).__name__ for module in copied.modules()]
        assert kinds == [type(module).__name__ for module in stirred("wav2vec2-layer").modules()]
        release_(encoder, units)
    names = {name for name, _ in stirred("wav2vec2-layer").named_parameters()}
    assert {name for name, _ in encoder.named_parameters()} == names


def test_mistakes_are_told():
    encoder, units, keep = held()
    with pytest.raises(UserError, match="masked"):
        hold_(encoder, units)
    with pytest.raises(UserError, match="start is 'noise'"):
        change_(encoder, units, keep, start="noise")
    with pytest.raises(UserError, match="no masks"):
        unit_masks(stirred("wav2vec2-layer"), units)
