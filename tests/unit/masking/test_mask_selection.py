"""The top-k is exact: right count, right entries, ties by position, for one tensor or many."""

import masking_reference as reference
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import selection
from s3_speechbrain.masking.selection import count_zeros, keep_largest, select_

# Few distinct values, so that most examples have ties at the cut.
scores_with_ties = st.lists(
    st.sampled_from([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=40
)


@pytest.mark.parametrize(
    ("parts", "zeros"),
    [
        ([(0.1, 1_000_000)], 100_000),  # int((1 - 0.9) * 1_000_000) would be 99,999
        ([(0.08, 2_359_296)], 188_744),  # 188,743.68
        ([(0.1, 14), (0.1, 12)], 3),  # 2.6: rounded once, not 1 + 1
        ([(0.0, 7)], 0),
        ([(0.5, 1)], 0),  # a half goes to the even neighbour
        ([], 0),
    ],
)
def test_zeros_are_counted_in_decimals(parts, zeros):
    assert count_zeros(parts) == zeros


def test_smallest_magnitudes_go_first_and_the_sign_does_not_matter():
    [keep] = keep_largest([torch.tensor([0.3, -0.1, 0.2, -0.4])], 2)
    assert keep.tolist() == [True, False, False, True]


def test_of_equal_magnitudes_the_first_goes_first():
    first, second = keep_largest([torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0, 0.5])], 3)
    assert first.tolist() == [False, False]
    assert second.tolist() == [True, True, False]


@given(scores_with_ties, st.data())
@settings(max_examples=60, deadline=None)
def test_agrees_with_a_full_sort_over_several_tensors(values, data):
    zeros = data.draw(st.integers(0, len(values)))
    cut = data.draw(st.integers(0, len(values)))
    parts = [part for part in (torch.tensor(values[:cut]), torch.tensor(values[cut:])) if len(part)]
    keep = torch.cat(keep_largest(parts, zeros))
    assert keep.tolist() == reference.kept(values, zeros).tolist()
    assert int((~keep).sum()) == zeros


@given(scores_with_ties, st.integers(1, 9), st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_found_from_a_sample_is_exact_whatever_the_sample_says(values, size, data):
    number = data.draw(st.integers(1, len(values)))
    cut = data.draw(st.integers(0, len(values)))
    parts = [np.array(part, np.float32) for part in (values[:cut], values[cut:]) if part]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "SAMPLE", size)
        found = selection.kth_magnitude(parts, number, np.empty(len(values), np.float32))
    assert found == sorted(map(abs, values))[number - 1]


@pytest.mark.parametrize("order", ["random", "ascending", "half zeros"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.7, 0.999, 1.0])
def test_cuts_of_many_entries_are_exact(order, share):
    values = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    values = values.sort().values if order == "ascending" else values
    values[::2] *= order != "half zeros"
    parts = [part.numpy() for part in values.split([100, 200_000, 99_900])]
    number = round(share * 300_000)
    found = selection.kth_magnitude(parts, number, np.empty(200_000, np.float32))
    assert found == values.abs().sort().values[number - 1]


@given(scores_with_ties, st.data())
@settings(max_examples=60, deadline=None)
def test_a_threshold_is_only_given_if_it_separates(values, data):
    score = torch.tensor(values)
    keep = torch.empty(len(values), dtype=torch.bool)
    threshold = select_([score], data.draw(st.integers(0, len(values))), [keep])
    if threshold is not None:
        assert torch.equal(keep, score.abs() > threshold)


def test_half_precision_scores_are_ranked_without_loss():
    score = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    [keep] = keep_largest([score], 500)
    assert keep.tolist() == reference.kept(score.float().tolist(), 500).tolist()


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(UserError, match="learning rate"):
        keep_largest([torch.tensor([1.0, np.nan, 2.0])], 1)


def test_one_score_in_many_that_is_not_a_number_is_found():
    scores = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    scores[123_456] = torch.nan
    with pytest.raises(UserError, match="learning rate"):
        keep_largest([scores], 150_000)


def test_autograd_learns_that_a_mask_was_overwritten():
    keep = torch.ones(4, dtype=torch.bool)
    before = keep._version
    select_([torch.arange(4.0)], 2, [keep])
    assert keep._version > before
