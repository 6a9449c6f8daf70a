"""Comparisons of two settings: by hand, against scipy, and properties that hold for any numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from s3_speechbrain.report.paired import Side, bootstrap, compare, flip_test, paired, sign_test, widened
from s3_speechbrain.report.runs import Setting
from s3_speechbrain.report.scatter import Scatter

RUNS = st.lists(st.lists(st.integers(0, 20), min_size=6, max_size=6), min_size=1, max_size=3)


def side(*runs, length=10, scatter=None):
    edits = np.array(runs, dtype=float)
    errors = [(seed, 100 * row.sum() / (length * len(row))) for seed, row in enumerate(edits)]
    return Side(errors, edits, np.full(edits.shape[1], float(length)), scatter)


def test_the_change_is_that_of_the_mean_over_languages_by_hand():
    # fr: 3 of 20 against 4 of 20, 15 and 20 %; it: 5 and 5 %; means 10 and 12.5: a fifth less
    pairs = {"fr": (side([1, 2]), side([1, 3])), "it": (side([1, 0]), side([0, 1]))}
    found = compare(pairs)
    assert found.change == pytest.approx(-20)
    assert (found.languages, found.runs, found.utterances) == (("fr", "it"), (2, 2), 4)
    assert found.changes == (pytest.approx(-25), pytest.approx(0))


def test_seeds_of_a_side_are_averaged_and_paired_where_both_have_them():
    found = compare({"fr": (side([1, 1], [3, 3]), side([2, 2], [2, 2], [8, 8]))})
    assert found.change == pytest.approx(100 * (2 / 4 - 1))
    assert found.changes == (pytest.approx(-50), pytest.approx(50))
    assert (found.runs, found.single) == ((2, 3), False)


def test_without_utterances_there_are_means_and_a_sign_test():
    sides = Side([(1, 10.0), (2, 12.0)]), Side([(1, 20.0), (3, 24.0)])
    found = compare({"fr": sides})
    assert (found.interval, found.utterances) == (None, 0)
    assert found.change == pytest.approx(-50)
    assert found.changes == (pytest.approx(-50),)  # seed 1 alone is in both
    assert found.p == 1.0
    apart = compare({"fr": (Side([(1, 10.0)]), Side([(2, 20.0)]))})
    assert apart.changes == (pytest.approx(-50),)  # no seed in both: the means


def test_a_language_without_utterances_leaves_means_for_all():
    found = compare({"fr": (side([1, 2]), side([2, 3])), "it": (Side([(0, 5.0)]), Side([(0, 10.0)]))})
    assert found.interval is None
    assert found.change == pytest.approx(100 * ((15 + 5) / (25 + 10) - 1))


def test_languages_of_one_training_are_one_pair_and_share_what_a_seed_does():
    def run(edits, joint):
        return replace(side([edits, edits], scatter=Scatter(4.0, 10**6)), joint=joint)

    pairs = {language: (run(2, True), run(3, False)) for language in ("en", "es", "fr", "it")}
    found = compare(pairs)
    assert found.runs == (1, 4)
    assert found.changes == (pytest.approx(100 * (2 / 3 - 1)),)
    low, high = found.interval  # 4 % of the one training, 4 % / sqrt(4) of the four; the ratio is two thirds
    assert (high - low) / 2 == pytest.approx(1.96 * (4**2 + 2**2) ** 0.5 * 2 / 3, rel=1e-3)


def test_nothing_to_compare_gives_nothing():
    assert compare({}) is None
    assert compare({"fr": (side([1]), side([0]))}) is None  # no error to relate to


def test_the_sign_test_by_hand():
    assert sign_test([-1.0] * 5) == pytest.approx(2 / 32)
    assert sign_test([-1.0] * 6) == pytest.approx(2 / 64)
    assert sign_test([-1.0, 1.0]) == 1.0
    assert sign_test([2.0] * 6, margin=3.0) == pytest.approx(2 / 64)
    assert sign_test([0.0, 0.0]) == 1.0  # ties count for neither


def test_sign_flips_agree_with_scipy():
    generator = np.random.default_rng(0)
    pairs = {
        language: (side(generator.poisson(low, 40)), side(generator.poisson(3.0, 40)))
        for language, low in (("fr", 2.4), ("it", 2.6))
    }
    values = [
        np.concatenate([pair[place].edits[0] / pair[place].lengths.sum() for pair in pairs.values()])
        for place in (0, 1)
    ]
    theirs = permutation_test(
        values,
        lambda x, y, axis: (x - y).sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    )
    assert flip_test(pairs, 20_000) == pytest.approx(theirs.pvalue, abs=0.01)
    assert flip_test(pairs) == pytest.approx(theirs.pvalue, abs=0.03)


def test_the_interval_of_one_language_agrees_with_a_plain_loop():
    generator = np.random.default_rng(3)
    ours, theirs = generator.poisson(2.0, 60), generator.poisson(3.0, 60)
    changes = []
    for _ in range(4000):
        taken = generator.integers(0, 60, 60)
        changes.append(100 * (ours[taken].sum() / theirs[taken].sum() - 1))
    low, high = bootstrap({"fr": (side(ours), side(theirs))}, 4000)
    assert (low, high) == (
        pytest.approx(np.percentile(changes, 2.5), abs=2),
        pytest.approx(np.percentile(changes, 97.5), abs=2),
    )


def test_what_seeds_change_is_added_in_squares():
    assert widened((-14.0, -7.0), -10.0, 0.0) == (-14.0, -7.0)
    # 3.33 % of nine tenths are 3: hypot(4, 3) below, hypot(3, 3) above
    assert widened((-14.0, -7.0), -10.0, 10 / 3) == (pytest.approx(-15), pytest.approx(-10 + 18**0.5))


def test_without_a_measure_of_scatter_there_is_no_interval():
    for known in (None, Scatter(5.0, 4)):  # of one side is not enough
        assert compare({"fr": (side([1, 2], scatter=known), side([2, 3]))}).interval is None


def test_each_side_has_its_own_scatter():
    pair = side([2, 2], scatter=Scatter(3.0, 10**6)), side([2, 2], scatter=Scatter(4.0, 10**6))
    low, high = compare({"fr": pair}).interval
    assert (high - low) / 2 == pytest.approx(1.96 * 5, rel=1e-3)


def test_more_trainings_and_languages_narrow_what_seeds_change():
    def width(languages, seeds):
        pair = tuple(side(*[[edits, edits]] * seeds, scatter=Scatter(6.0, 30)) for edits in (2, 3))
        low, high = compare(dict.fromkeys(languages, pair)).interval
        return high - low  # utterances do not differ

    one = width(["fr"], 1)
    assert one == pytest.approx(2 * 2.0423 * 6 * 2**0.5 * 2 / 3, rel=1e-4)  # t of 30; the ratio is two thirds
    assert width(["fr"], 4) == pytest.approx(one / 2)
    assert width(["fr", "it", "es", "en"], 1) == pytest.approx(one / 2)


def test_nineteen_of_twenty_intervals_hold_the_true_change():
    """Trainings and utterances drawn as the intervals suppose: a tenth less error, 6 % between seeds."""
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(200):
        pairs = {}
        for name in ("fr", "it"):
            hard = generator.gamma(2.0, 1.0, 150)  # utterances that are hard for all
            pairs[name] = tuple(
                side(
                    generator.poisson(rate * hard * generator.normal(1, 0.06)),
                    length=30,
                    scatter=Scatter(6.0, 200),
                )
                for rate in (0.9, 1.0)
            )
        low, high = compare(pairs).interval
        held += low <= -10 <= high
    assert 180 <= held <= 200


@given(RUNS, RUNS)
def test_properties_of_any_comparison(ours, theirs):
    pair = tuple(side(*runs, scatter=Scatter(5.0, 4)) for runs in (ours, theirs))
    found = compare({"fr": pair})
    if found is None:
        assert pair[1].edits.sum() == 0
        return
    low, high = found.interval
    assert low <= high
    assert 0 < found.p <= 1
    assert compare({"fr": pair}) == found  # the same numbers give the same page
    same = compare({"fr": (pair[1], pair[1])})
    assert same.change == pytest.approx(0)
    assert same.p == 1.0


def told(make_run, seed, edits, clips="c", **changes):
    lengths = " ".join(["10"] * len(edits.split()))
    return make_run(seed=seed, utterances={"clips": clips, "edits": edits, "lengths": lengths}, **changes)


def test_settings_are_paired_on_the_clips_that_most_runs_share(make_run):
    ours = Setting(
        (told(make_run, 1, "1 2"), told(make_run, 2, "3 4"), told(make_run, 3, "9 9 9", clips="d"))
    )
    theirs = Setting((told(make_run, 1, "2 2"), told(make_run, 2, "3 3")))
    first, second = paired(ours, theirs)
    assert first.edits.tolist() == [[1, 2], [3, 4]]
    assert (second.edits.tolist(), second.lengths.tolist()) == ([[2, 2], [3, 3]], [10, 10])


def test_seeds_that_both_sides_have_are_compared(make_run):
    ours = Setting(tuple(told(make_run, seed, f"{seed} 0") for seed in (1, 2, 3)))
    for seeds, left in (
        ((2, 4), [2]),
        ((3, 1), [1, 3]),
        ((4,), [1, 2, 3]),
    ):  # the last: all, as none is shared
        first, second = paired(ours, Setting(tuple(told(make_run, seed, "5 5") for seed in seeds)))
        assert [seed for seed, _ in first.errors] == left
        assert len(first.edits) == len(left)
        assert len(second.edits) == (1 if len(seeds) == 1 else len(left))


def test_runs_without_utterances_or_on_other_clips_are_means(make_run):
    for other in (make_run(seed=1), told(make_run, 1, "1 2", clips="d")):
        first, second = paired(Setting((told(make_run, 1, "1 2"),)), Setting((other,)))
        assert first.edits is None
        assert second.edits is None
        assert first.errors == [(1, 13.0)]
