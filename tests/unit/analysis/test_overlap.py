import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import cohen_kappa_score, jaccard_score

from s3_speechbrain.analysis import Overlap, PackedMask, chance_iou, overlap_of, overlaps, total
from s3_speechbrain.errors import UserError

LENGTHS = st.integers(1, 40)
PAIRS = LENGTHS.flatmap(lambda n: st.tuples(arrays(bool, n), arrays(bool, n)))
TRIPLES = LENGTHS.flatmap(lambda n: st.tuples(*[arrays(bool, n)] * 3))


def pack(mask):
    return PackedMask.of(torch.as_tensor(mask))


def drawn(kept, entries=2000, seed=0):
    mask = np.zeros(entries, bool)
    mask[np.random.default_rng(seed).permutation(entries)[:kept]] = True
    return mask


def test_a_worked_example():
    # A keeps 1, 2, 3, 4 and B keeps 3, 4, 5, 6 of ten weights
    one = overlap_of(pack([1 <= i <= 4 for i in range(10)]), pack([3 <= i <= 6 for i in range(10)]))
    assert (one.entries, one.first, one.second, one.both) == (10, 4, 4, 2)
    assert one.iou == pytest.approx(2 / 6)
    assert one.expected == pytest.approx(1.6)
    assert one.chance_iou == pytest.approx(1.6 / 6.4) == pytest.approx(chance_iou(0.4, 0.4))
    assert one.corrected_iou == pytest.approx((2 / 6 - 0.25) / 0.75)
    assert one.removed_iou == pytest.approx(4 / 8)  # 0, 7, 8, 9 of 0, 1, 2, 5, 6, 7, 8, 9
    assert one.chance_removed_iou == pytest.approx(3.6 / 8.4)
    assert one.cosine == pytest.approx(2 / 4)
    assert one.phi == pytest.approx(one.kappa) == pytest.approx(1 / 6)  # (10 * 2 - 16) / 24
    assert one.variance == pytest.approx(10 * (4 / 10) * (6 / 10) * (4 / 10) * (6 / 10) * 10 / 9)
    assert one.z == pytest.approx(0.4 / 0.8)
    assert one.p == pytest.approx(2 * stats.norm.sf(0.5))


@pytest.mark.parametrize(("keep", "level"), [(0.5, 1 / 3), (0.9, 0.9 / 1.1), (0.0, 1.0), (1.0, 1.0)])
def test_the_chance_level_is_k_over_two_minus_k(keep, level):
    assert chance_iou(keep, keep) == pytest.approx(level)


@given(PAIRS)
def test_measures_agree_with_scikit_learn(pair):
    first, second = pair
    one = overlap_of(pack(first), pack(second))
    assert one.iou == pytest.approx(jaccard_score(first, second, zero_division=1.0))
    assert one.removed_iou == pytest.approx(jaccard_score(~first, ~second, zero_division=1.0))
    if len({*first, *second}) == 2:  # kappa's chance agreement is below 1
        assert one.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
    if len(set(first)) == 2 == len(set(second)):
        assert one.phi == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-9)


@given(PAIRS)
def test_measures_are_symmetric_and_bounded(pair):
    one, other = overlap_of(pack(pair[0]), pack(pair[1])), overlap_of(pack(pair[1]), pack(pair[0]))
    for name in ("iou", "removed_iou", "cosine", "kappa", "phi", "z", "chance_iou", "corrected_iou"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), nan_ok=True)
    for name in ("iou", "removed_iou", "cosine", "chance_iou", "chance_removed_iou"):
        assert 0 <= getattr(one, name) <= 1 + 1e-12
    for name in ("kappa", "phi"):
        assert math.isnan(getattr(one, name)) or -1 - 1e-9 <= getattr(one, name) <= 1 + 1e-9


@given(arrays(bool, LENGTHS))
def test_a_mask_is_identical_to_itself(mask):
    one = overlap_of(pack(mask), pack(mask))
    assert one.iou == one.removed_iou == one.cosine == 1
    for name in ("kappa", "phi", "corrected_iou", "corrected_removed_iou"):
        value = getattr(one, name)
        assert value == pytest.approx(1) or (math.isnan(value) and len(set(mask)) == 1)


@given(PAIRS)
def test_kappa_does_not_depend_on_which_side_is_called_kept(pair):
    one = overlap_of(pack(pair[0]), pack(pair[1]))
    other = overlap_of(pack(~pair[0]), pack(~pair[1]))
    assert one.kappa == pytest.approx(other.kappa, nan_ok=True, abs=1e-9)
    assert one.z == pytest.approx(other.z, nan_ok=True, abs=1e-9)


def test_independent_masks_are_at_chance():
    one = overlap_of(pack(drawn(100_000, 200_000, seed=1)), pack(drawn(60_000, 200_000, seed=2)))
    assert one.iou == pytest.approx(one.chance_iou, abs=0.005)
    assert abs(one.kappa) < 0.01
    assert abs(one.z) < 4
    low, high = one.chance_range
    assert low < one.chance_iou < high


def test_mean_variance_and_range_match_permuted_positions():
    # two matrices with unequal density; positions are permuted within each
    masks = [(drawn(300, 1000, 1), drawn(500, 1000, 2)), (drawn(50, 400, 3), drawn(100, 400, 4))]
    whole = total(overlap_of(pack(a), pack(b)) for a, b in masks)
    rng = np.random.default_rng(5)
    counts = np.array([sum((rng.permutation(a) & b).sum() for a, b in masks) for _ in range(4000)])
    assert counts.mean() == pytest.approx(whole.expected, abs=4 * math.sqrt(whole.variance / 4000))
    assert counts.var() == pytest.approx(whole.variance, rel=0.1)
    ious = counts / (whole.first + whole.second - counts)
    low, high = whole.chance_range
    assert ((low <= ious) & (ious <= high)).mean() == pytest.approx(0.95, abs=0.015)
    removed = 1400 - whole.first - whole.second + counts
    low, high = whole.chance_removed_range
    assert ((low <= removed / (1400 - counts)) & (removed / (1400 - counts) <= high)).mean() > 0.93


def test_variance_is_the_hypergeometric_one():
    one = Overlap.of_counts(1000, 300, 550, 160)
    known = stats.hypergeom(1000, 300, 550)
    assert one.expected == pytest.approx(known.mean())
    assert one.variance == pytest.approx(known.var())


def test_agreement_on_how_much_each_matrix_keeps_is_no_agreement_beyond_chance():
    # full in one matrix, nearly empty in the other: identical densities, independent positions
    masks = {
        "a": (drawn(9000, 10_000, 1), drawn(9000, 10_000, 2)),
        "b": (drawn(1000, 10_000, 3), drawn(1000, 10_000, 4)),
    }
    whole = total(overlap_of(pack(a), pack(b)) for a, b in masks.values())
    assert whole.phi > 0.5  # strung together they look alike
    assert abs(whole.kappa) < 0.03
    assert whole.chance_iou > chance_iou(0.5, 0.5) + 0.3


@given(TRIPLES)
def test_a_given_mask_changes_chance_and_nothing_else(masks):
    first, second, reference = map(pack, masks)
    plain, conditioned = overlap_of(first, second), overlap_of(first, second, reference)
    for name in ("entries", "first", "second", "both", "iou", "cosine"):
        assert getattr(plain, name) == getattr(conditioned, name)


def test_what_two_masks_share_with_a_given_one_is_not_beyond_chance():
    reference = drawn(5000, 10_000, 1)
    # each flips a tenth of the reference's entries at random
    first, second = (reference ^ drawn(1000, 10_000, seed) for seed in (2, 3))
    assert overlap_of(pack(first), pack(second)).kappa > 0.6
    assert abs(overlap_of(pack(first), pack(second), pack(reference)).kappa) < 0.05


def test_conditioning_is_the_mantel_haenszel_test():
    first, second, reference = drawn(900, 2000, 1), drawn(1100, 2000, 2), drawn(700, 2000, 3)
    second |= first & drawn(600, 2000, 4)
    mean = variance = 0.0
    for stratum in (reference, ~reference):
        n, a, b = stratum.sum(), (first & stratum).sum(), (second & stratum).sum()
        mean, variance = mean + a * b / n, variance + a * b * (n - a) * (n - b) / (n**2 * (n - 1))
    found = overlap_of(pack(first), pack(second), pack(reference))
    assert found.z == pytest.approx(((first & second).sum() - mean) / math.sqrt(variance))


def test_packing_keeps_every_bit():
    mask = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    packed = pack(mask)
    assert packed.bits.nbytes == 5  # 35 bits
    assert np.array_equal(np.unpackbits(packed.bits, count=35).reshape(7, 5).astype(bool), mask.numpy())
    assert (packed.entries, packed.kept) == (35, int(mask.sum()))


def test_only_common_matrices_count():
    a, b, c = pack(drawn(3, 8)), pack(drawn(4, 8)), pack(drawn(5, 8))
    assert list(overlaps({"x": a, "y": b}, {"y": c, "z": a})) == ["y"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: overlap_of(pack(drawn(1, 4)), pack(drawn(1, 5))), "of one backbone"),
        (lambda: overlaps({"x": pack([True])}, {"y": pack([True])}), "no matrix in common"),
        (lambda: overlaps({"x": pack([True])}, {"x": pack([True] * 2)}), "^x: masks of shape"),
        (lambda: overlaps({"x": pack([True])}, {"x": pack([True])}, {}), "lack x"),
        (lambda: pack(torch.ones(3)), "expected torch.bool"),
    ],
)
def test_masks_that_do_not_compare_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
