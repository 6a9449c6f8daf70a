"""Thresholds keep what they promise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens import threshold_for_keep_ratio, threshold_for_recall
from s3_speechbrain.tokens.calibration import BELOW_ALL


def kept(scores, threshold):
    keep = [row > threshold for row in scores]
    for row in keep:
        row[0] = True
    return keep


@st.composite
def rows_of_scores(draw):
    sizes = draw(st.lists(st.integers(1, 15), min_size=1, max_size=5))
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return list((order.float() / 7).split(sizes))


def test_by_hand():
    scores = [torch.tensor([0.0, 5.0, 3.0, 1.0]), torch.tensor([9.0, 4.0])]
    assert threshold_for_keep_ratio(scores, 0.5) == 4.5  # both firsts and the 5 are half of six
    assert threshold_for_keep_ratio(scores, 4 / 6) == 3.5
    assert threshold_for_keep_ratio(scores, 1.0) == BELOW_ALL
    assert kept(scores, threshold_for_keep_ratio(scores, 0.01))[0].tolist() == [True, False, False, False]
    salient = [torch.tensor([True, True, False, True]), torch.tensor([True, False])]
    keep = kept(scores, threshold_for_recall(scores, salient, 0.75))  # three of four: the firsts and the 5
    assert [row.tolist() for row in keep] == [[True, True, False, False], [True, False]]


@given(rows_of_scores(), st.floats(0.05, 1.0))
def test_the_keep_ratio_is_met_exactly_where_scores_differ(scores, ratio):
    total = sum(map(len, scores))
    found = sum(int(row.sum()) for row in kept(scores, threshold_for_keep_ratio(scores, ratio)))
    assert found == max(round(ratio * total), len(scores))


@given(rows_of_scores(), st.floats(0.0, 1.0), st.data())
def test_the_recall_is_met_with_no_frame_to_spare(scores, recall, data):
    salient = [
        torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row))))
        for row in scores
    ]
    for row in salient:
        row[0] = True
    total = sum(int(row.sum()) for row in salient)
    threshold = threshold_for_recall(scores, salient, recall)

    def found(at):
        return sum(int((k & s).sum()) for k, s in zip(kept(scores, at), salient, strict=True))

    assert found(threshold) >= recall * total - 1e-6
    higher = min((float(v) for row in scores for v in row[1:] if v > threshold), default=None)
    if higher is not None:
        assert found(higher) < recall * total


def test_equal_scores_are_dropped_together():
    scores = [torch.tensor([0.0, 1.0, 1.0, 1.0])]
    assert threshold_for_keep_ratio(scores, 0.5) == pytest.approx(1.0)
    assert int(kept(scores, threshold_for_keep_ratio(scores, 0.5))[0].sum()) == 1


@pytest.mark.parametrize("ratio", [0.0, 1.5, -1])
def test_ratios_out_of_bounds_are_told(ratio):
    with pytest.raises(UserError, match="keep_ratio"):
        threshold_for_keep_ratio([torch.zeros(3)], ratio)
    if ratio:
        with pytest.raises(UserError, match="recall"):
            threshold_for_recall([torch.zeros(3)], [torch.ones(3).bool()], ratio)


def test_nothing_to_calibrate_on_is_told():
    with pytest.raises(UserError, match="no frames"):
        threshold_for_keep_ratio([], 0.5)
