"""Which frames carry the string: examples by hand, and the property that makes them usable."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens import BLANK_POLICIES, salient_frames

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=30)
SAFE = ("first_of_run", "only_between_repeats")


def mark(labels, **rule):
    row = torch.tensor([labels])
    return salient_frames(row, torch.tensor([len(labels)]), **rule)[0]


def collapse(labels):
    """Merge repeats and drop blanks, as CTC does."""
    return [label for label, _ in itertools.groupby(labels.tolist()) if label]


def keeps_string(labels, keep):
    return collapse(labels[keep]) == collapse(labels)


@pytest.mark.parametrize(
    ("labels", "rule", "expected"),
    [
        # "aab", a blank, "b", trailing blanks; 0 is the blank
        ("1120200", {}, "1011110"),
        ("1120200", {"blank_policy": "only_between_repeats"}, "1011100"),
        ("1120200", {"blank_policy": "none"}, "1010100"),
        ("1110022", {"n_first": 2}, "1101111"),
        ("1110022", {"n_first": 2, "blank_policy": "only_between_repeats"}, "1100011"),
        ("1000100", {"blank_policy": "only_between_repeats"}, "1100100"),
        ("1000100", {"n_first": 2, "blank_policy": "only_between_repeats"}, "1110100"),
        ("0001200", {"blank_policy": "none"}, "1001100"),  # the first frame stays whatever it is
        ("0000000", {}, "1000000"),
        ("3", {"blank_policy": "none"}, "1"),
    ],
)
def test_examples(labels, rule, expected):
    assert mark([int(label) for label in labels], **rule).int().tolist() == [int(mark) for mark in expected]


@given(LABELS, st.integers(1, 3), st.sampled_from(SAFE), st.data())
def test_salient_frames_and_any_more_keep_the_collapsed_string(labels, n_first, policy, data):
    row = torch.tensor(labels)
    keep = mark(labels, n_first=n_first, blank_policy=policy)
    assert keeps_string(row, keep)
    more = keep | torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row))))
    assert keeps_string(row, more)


@given(LABELS)
def test_no_frame_of_the_first_two_policies_can_be_spared(labels):
    """But for blanks that are there by policy, and the first frame."""
    row, keep = torch.tensor(labels), mark(labels, blank_policy="only_between_repeats")
    for place in keep.nonzero()[1:, 0].tolist():
        fewer = keep.clone()
        fewer[place] = False
        assert not keeps_string(row, fewer)


@given(LABELS, st.sampled_from(BLANK_POLICIES), st.integers(1, 3))
def test_policies_nest_and_padding_is_never_marked(labels, policy, n_first):
    frames = torch.tensor([len(labels), max(1, len(labels) // 2)])
    rows = torch.tensor([labels, labels])
    found = salient_frames(rows, frames, n_first, policy)
    for row, count in enumerate(frames.tolist()):
        alone = mark(labels[:count], n_first=n_first, blank_policy=policy)
        assert found[row, :count].equal(alone)
        assert not found[row, count:].any()
    widest, middle, fewest = (mark(labels, n_first=n_first, blank_policy=name) for name in BLANK_POLICIES)
    assert bool((fewest <= middle).all())
    assert bool((middle <= widest).all())


@given(LABELS)
def test_first_of_run_marks_as_many_frames_as_there_are_runs(labels):
    assert int(mark(labels).sum()) == len(list(itertools.groupby(labels)))


@pytest.mark.parametrize(
    ("rule", "told"), [({"blank_policy": "drop"}, "blank_policy"), ({"n_first": 0}, "n_first")]
)
def test_wrong_rules_are_told(rule, told):
    with pytest.raises(UserError, match=told):
        mark([1, 2], **rule)
