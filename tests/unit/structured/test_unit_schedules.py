"""When units go, come and are held: every update of small runs."""

import math

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.config import StructuredConfig
from s3_speechbrain.structured.schedules import Plan


def plan(strategy, **changes):
    return Plan(
        strategy, **{"updates": 20, "start": 4, "until": 14, "every": 3, "drop": 0.4, "window": 2, **changes}
    )


def events(strategy, **changes):
    made = plan(strategy, **changes)
    return {update: made.event(update) for update in range(21) if made.event(update)}


def test_what_happens_when():
    adjusting = dict.fromkeys((7, 10, 13), "adjust")
    assert events("safari") == {4: "select", **adjusting}
    assert events("no_adjust") == events("random") == {4: "select"}
    assert events("one_shot") == {0: "select"}
    assert events("parp") == {4: "select", **dict.fromkeys((7, 10, 13, 16, 19, 20), "reprune")}
    assert events("parp_final") == {4: "select", **dict.fromkeys((7, 10, 13, 14), "reprune")}
    assert events("safari", start=0, until=6) == {0: "select", 3: "adjust"}


def test_removed_units_are_held_except_under_parp():
    for strategy in ("safari", "no_adjust", "random", "one_shot"):
        assert all(plan(strategy).enforced(update) for update in range(21))
    assert not any(plan("parp").enforced(update) for update in range(21))
    assert [update for update in range(21) if plan("parp_final").enforced(update)] == list(range(14, 21))


def test_gradients_are_collected_right_before_what_needs_them():
    def collecting(made, events):
        return [update for update in range(20) if made.collecting(update, events)]

    assert collecting(plan("safari"), {"adjust"}) == [5, 6, 8, 9, 11, 12]
    assert collecting(plan("safari"), {"select", "adjust"}) == [2, 3, 5, 6, 8, 9, 11, 12]
    assert collecting(plan("safari", window=3), {"adjust"}) == list(range(4, 13))
    assert collecting(plan("parp"), {"adjust"}) == []


def test_the_dropped_share_falls_along_a_cosine():
    made = plan("safari")
    assert made.drop_at(4) == 0.4
    assert made.drop_at(9) == pytest.approx(0.2)
    assert made.drop_at(7) == pytest.approx(0.2 * (1 + math.cos(0.3 * math.pi)))
    assert made.drop_at(14) == made.drop_at(20) == 0
    assert plan("safari", until=4).drop_at(4) == 0


def test_checkpoints_count_from_the_first_removal():
    assert [update for update in range(6) if plan("safari").at_budget(update)] == [4, 5]
    assert plan("one_shot").at_budget(0)


def test_shares_of_a_config_become_updates():
    made = StructuredConfig(start=0.25, until=0.75, every=5, window=8).plan(400)
    assert (made.start, made.until, made.window) == (100, 300, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 15}, "in this order"),
        ({"until": 21}, "in this order"),
        ({"every": 0}, "every is 0"),
        ({"window": 4}, "window 4"),
        ({"drop": 1.5}, "drop is 1.5"),
        ({"strategy": "imp"}, "strategy is 'imp'"),
    ],
)
def test_impossible_plans_are_told(changes, message):
    with pytest.raises(UserError, match=message):
        plan(**{"strategy": "safari", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "flops"}, "budget is 'flops'"),
        ({"side": "rows"}, "side is 'rows'"),
        ({"scale": "layer"}, "scale is 'layer'"),
        ({"score": "taylor"}, "score is 'taylor'"),
        ({"score": "contribution"}, "begin later"),
        ({"score": "contribution", "start": 0.5, "strategy": "one_shot"}, "begin later"),
        ({"grow": "magnitude"}, "grow is 'magnitude'"),
        ({"grow_from": "noise"}, "grow_from is 'noise'"),
        ({"floor": {"head": 1}}, "floor names 'head'"),
        ({"seconds": 0}, "seconds is 0"),
    ],
)
def test_impossible_settings_are_told(changes, message):
    with pytest.raises(UserError, match=message):
        StructuredConfig(**changes)
