"""SAFARI's rounds and their baselines on a toy encoder, update by update."""

import copy
from dataclasses import replace

import pytest
import torch
from toy_encoders import toy_wav2vec2

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.config import StructuredConfig
from s3_speechbrain.structured.importance import comparable, magnitude
from s3_speechbrain.structured.masks import release_
from s3_speechbrain.structured.report import layer_table, unit_sparsity
from s3_speechbrain.structured.rounds import Rounds
from s3_speechbrain.structured.selection import counts_of, select
from s3_speechbrain.structured.slicing import slice_
from s3_speechbrain.structured.units import parameter_at, per_unit

WAVS = torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))
TARGET = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(1))
UPDATES = 12
CONFIG = StructuredConfig(
    keep=0.6, floor={"heads": 1, "neurons": 4}, start=0.25, until=0.84, every=2, drop=0.5, window=2
)


def made(config=CONFIG):
    encoder = toy_wav2vec2().requires_grad_(True).train()
    encoder.config.layerdrop = encoder.config.mask_time_prob = encoder.config.mask_feature_prob = 0.0
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    rounds = Rounds(encoder, config, UPDATES)
    return encoder, rounds, torch.optim.Adam(encoder.parameters(), lr=0.01)


def go(encoder, rounds, optimizer, first=0, last=UPDATES, watch=None):
    if first == 0:
        rounds.after(0, optimizer)
    for update in range(first, last):
        rounds.before(update)
        optimizer.zero_grad()
        (encoder(WAVS).last_hidden_state - TARGET).square().mean().backward()
        optimizer.step()
        event = rounds.after(update + 1, optimizer)
        if watch is not None:
            watch(update + 1, event)
    return rounds.kept()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("strategy", ["safari", "no_adjust", "random", "one_shot", "parp", "parp_final"])
def test_the_budget_is_kept_from_the_first_removal_on(strategy):
    encoder, rounds, optimizer = made(replace(CONFIG, strategy=strategy))
    seen = {}

    def watch(update, event):
        counts = counts_of(rounds.kept())
        seen[update] = event
        if rounds.plan.at_budget(update):
            assert rounds.cost.total(counts) <= rounds.budget < rounds.cost.total(counts) + 33
            assert all(counts[name] >= CONFIG.floor[name.split(".")[0]] for name in counts)
        else:
            assert counts == rounds.cost.dense

    go(encoder, rounds, optimizer, watch=watch)
    assert {update for update, event in seen.items() if event == "adjust"} == (
        {5, 7, 9} if strategy == "safari" else set()
    )


def test_adjusting_moves_units_and_ends_in_a_network_that_slices():
    encoder, rounds, optimizer = made()
    history = {}
    go(encoder, rounds, optimizer, watch=lambda update, event: history.setdefault(update, rounds.kept()))
    assert not same(history[3], history[5])
    assert same(history[9], history[12])
    keep = rounds.kept()
    report = unit_sparsity(encoder, rounds.units, keep)
    encoder.eval()
    with torch.no_grad():
        masked = encoder(WAVS).last_hidden_state
        total = sum(parameter.numel() for parameter in encoder.parameters())
        slice_(encoder, release_(encoder, rounds.units))
        torch.testing.assert_close(encoder(WAVS).last_hidden_state, masked, atol=1e-5, rtol=0)
    left = sum(parameter.numel() for parameter in encoder.parameters())
    assert report["model"] == pytest.approx(1 - left / total)
    assert report["masked"] == pytest.approx(0.4, abs=0.02)
    assert set(report["per_layer"]) == {g.place for g in rounds.units.values()}
    assert layer_table(rounds.units, keep)["heads.0"] == [int(keep["heads.0"].sum()), 2]


@pytest.mark.parametrize("stop", [4, 7, 10])
@pytest.mark.parametrize("strategy", ["safari", "parp_final"])
def test_a_run_that_stops_anywhere_goes_on_the_same(strategy, stop):
    config = replace(CONFIG, strategy=strategy, grow_from="pretrained")
    encoder, rounds, optimizer = made(config)
    go(encoder, rounds, optimizer, last=stop)
    again, other, resumed = made(config)
    again.load_state_dict(encoder.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    go(encoder, rounds, optimizer, first=stop)
    go(again, other, resumed, first=stop)
    ours, theirs = encoder.state_dict(), again.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_baselines_choose_what_they_say():
    encoder, rounds, optimizer = made(replace(CONFIG, strategy="one_shot"))
    pretrained = magnitude(encoder, rounds.units)
    wanted = select(comparable(pretrained, "kind"), rounds.cost, rounds.budget, CONFIG.floor)
    assert same(go(encoder, rounds, optimizer), wanted)
    drawn = [go(*made(replace(CONFIG, strategy="random", seed=seed))) for seed in (1, 1, 2)]
    assert same(drawn[0], drawn[1])
    assert not same(drawn[0], drawn[2])
    fixed, adjusted = (go(*made(replace(CONFIG, strategy=strategy))) for strategy in ("no_adjust", "safari"))
    assert not same(fixed, adjusted)
    assert not same(adjusted, go(*made(replace(CONFIG, grow="random"))))
    by_contribution = go(*made(replace(CONFIG, strategy="no_adjust", score="contribution")))
    assert not same(fixed, by_contribution)


def test_parp_lets_zeros_train_and_zeroes_them_again():
    encoder, rounds, optimizer = made(replace(CONFIG, strategy="parp"))
    moved = []

    def watch(update, event):
        keep = rounds.kept()
        removed = [
            per_unit(parameter_at(encoder, group.columns.parameter).detach(), group.columns)[~keep[name]]
            for name, group in rounds.units.items()
        ]
        moved.append((event, update, any(bool(values.any()) for values in removed)))

    go(encoder, rounds, optimizer, watch=watch)
    after = {update: any_moved for event, update, any_moved in moved if update >= 3}
    assert not any(after[update] for update in (3, 5, 7, 9, 11, 12))
    assert all(after[update] for update in (4, 6, 8, 10))


def test_impossible_runs_are_told_before_they_start():
    frozen = toy_wav2vec2()
    with pytest.raises(UserError, match="frozen"):
        Rounds(frozen, CONFIG, UPDATES)
    with pytest.raises(UserError, match="floor"):
        made(replace(CONFIG, keep=0.1, floor={"neurons": 32}))
    with pytest.raises(UserError, match="cannot be met"):
        made(replace(CONFIG, keep=0.1, budget="parameters"))


@pytest.mark.parametrize(
    ("changes", "missing", "present"),
    [
        ({}, {"seconds"}, {"drop", "grow", "until", "window", "side"}),
        ({"strategy": "random"}, {"drop", "grow", "score", "side", "window"}, {"start"}),
        ({"strategy": "one_shot"}, {"start", "every", "until", "grow_from"}, {"score"}),
        ({"strategy": "parp"}, {"until", "drop", "window"}, {"every", "side"}),
        ({"grow": "random"}, {"window"}, {"grow"}),
        ({"score": "contribution", "strategy": "parp_final"}, {"grow", "side"}, {"window", "until"}),
        ({"budget": "total_macs"}, set(), {"seconds"}),
    ],
)
def test_a_record_names_the_settings_that_matter(changes, missing, present):
    found = replace(CONFIG, **changes).used.keys()
    assert not missing & found
    assert present | {"strategy", "keep", "budget", "kinds", "floor"} <= found
