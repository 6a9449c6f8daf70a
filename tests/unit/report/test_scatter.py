"""What seeds change, pooled over settings."""

import pytest

from s3_speechbrain.report.runs import pool
from s3_speechbrain.report.scatter import Scatter, scatter_of


def test_relative_deviations_are_pooled_by_hand(make_run):
    runs = [
        make_run(seed=seed, language=language, test__CER=error)
        for language, errors in (("fr", (9.0, 11.0)), ("it", (19.0, 20.0, 21.0)), ("es", (30.0,)))
        for seed, error in enumerate(errors)
    ]
    found = scatter_of(pool(runs))
    # fr: variance 2 of 10^2, one degree; it: variance 1 of 20^2, two degrees; es tells nothing
    assert found.percent == pytest.approx(100 * ((0.02 + 2 * 0.0025) / 3) ** 0.5)
    assert found.freedom == 3


def test_single_trainings_tell_no_scatter(make_run):
    assert scatter_of(pool([make_run(seed=1)])) is None
    assert scatter_of([]) is None


def test_few_degrees_of_freedom_reach_further():
    alone = [(1.0, 1), (1.0, 1)]
    assert Scatter(5.0, 10**6).reach(alone) == pytest.approx(1.96 * 5 * 2**0.5, rel=1e-3)
    assert Scatter(5.0, 1).reach(alone) == pytest.approx(12.706 * 5 * 2**0.5, rel=1e-3)
    assert Scatter(5.0, 4).reach([(1.0, 3), (1.0, 3)]) < Scatter(5.0, 4).reach(alone)
