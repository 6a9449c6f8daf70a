import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from s3_speechbrain.analysis import grouping, mantel
from s3_speechbrain.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)


def similarity(items, seed):
    half = np.random.default_rng(seed).normal(size=(items, items))
    return half + half.T


def test_a_mantel_test_worked_by_hand():
    # distances on a line: three points at 0, 1, 3 against 0, 2, 6
    first = np.abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    found = mantel(first, 2 * first)
    assert found.statistic == pytest.approx(1)
    assert (found.permutations, found.exact) == (6, True)
    # triangles (1, 3, 2) permuted: only the identity gives a correlation of 1, its mirror order -1 or less
    triangle = [1.0, 3.0, 2.0]
    sizes = [abs(np.corrcoef(triangle, order)[0, 1]) for order in itertools.permutations(triangle)]
    assert found.p == pytest.approx(np.mean([size >= 1 - 1e-9 for size in sizes]))


@given(SEEDS)
def test_mantel_is_the_correlation_of_the_triangles(seed):
    first, second = similarity(5, seed), similarity(5, seed + 1)
    above = np.triu_indices(5, 1)
    for kind, known in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        found = mantel(first, second, kind)
        assert found.statistic == pytest.approx(known(first[above], second[above]).statistic)
        assert found.p >= 1 / found.permutations == 1 / 120


def test_random_permutations_approach_all_of_them():
    first, second = similarity(6, 1), similarity(6, 2)
    all_of_them, some = mantel(first, second), mantel(first, second, draws=700)
    assert (all_of_them.exact, some.exact) == (True, False)
    assert some.p == pytest.approx(all_of_them.p, abs=0.06)


def test_unrelated_matrices_are_rarely_significant():
    values = [mantel(similarity(6, seed), similarity(6, seed + 500)).p for seed in range(200)]
    assert np.mean(np.array(values) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_no_variation_is_no_correlation():
    constant = mantel(np.ones((4, 4)), similarity(4, 0))
    assert math.isnan(constant.statistic)
    assert constant.p == 1


def test_groups_worked_by_hand():
    # two languages with two seeds each: 0.9 within, 0.1 between
    matrix = np.full((4, 4), 0.1)
    matrix[0, 1] = matrix[1, 0] = matrix[2, 3] = matrix[3, 2] = 0.9
    found = grouping(matrix, ["fr", "fr", "it", "it"])
    assert found.statistic == pytest.approx(0.8)
    # of 24 orders, 8 leave the two pairs together
    assert found.p == pytest.approx(8 / 24)


@given(SEEDS)
def test_a_grouping_test_does_not_depend_on_the_groups_names(seed):
    matrix = similarity(5, seed)
    assert grouping(matrix, list("aabbc")) == grouping(matrix, list("zzyyx"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mantel(similarity(4, 0), similarity(5, 0)), "same items"),
        (lambda: mantel(np.zeros((2, 2)), np.zeros((2, 2))), "three or more"),
        (lambda: mantel(np.arange(9).reshape(3, 3), np.ones((3, 3))), "not symmetric"),
        (lambda: mantel(np.full((3, 3), np.nan), np.ones((3, 3))), "leave that mask out"),
        (lambda: mantel(np.ones((3, 3)), np.ones((3, 3)), "kendall"), "pearson, spearman"),
        (lambda: grouping(similarity(3, 0), ["a", "b"]), "one group per mask"),
        (lambda: grouping(similarity(3, 0), ["a", "b", "c"]), "nothing to compare"),
    ],
)
def test_mistakes_are_told(make, message):
    with pytest.raises(UserError, match=message):
        make()
