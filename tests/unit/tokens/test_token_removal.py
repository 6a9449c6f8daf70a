"""Lengths and contents of shortened batches, by hand and against plain loops."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.encoders import Kept
from s3_speechbrain.tokens import keep_frames, reinsert, shorten


def drop_tokens(features, frames, keep):
    short, kept = shorten(features, frames, keep)
    assert kept.group is None
    return short, kept.frames, kept.index


def merge_tokens(features, frames, keep):
    short, kept = shorten(features, frames, keep, means=True)
    return short, kept.frames, kept.index


@st.composite
def batches(draw):
    frames = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    length = max(frames) + draw(st.integers(0, 3))
    bits = draw(st.lists(st.booleans(), min_size=length * len(frames), max_size=length * len(frames)))
    keep = torch.tensor(bits).view(len(frames), length)
    features = torch.randn(len(frames), length, 2, generator=torch.Generator().manual_seed(sum(frames)))
    return features, torch.tensor(frames), keep


def test_drop_by_hand():
    features = torch.arange(8.0).view(1, 8, 1).repeat(2, 1, 1)
    keep = torch.tensor([[0, 1, 1, 0, 0, 1, 0, 1], [1, 0, 0, 1, 0, 0, 0, 0]], dtype=torch.bool)
    short, frames, index = drop_tokens(features, torch.tensor([7, 5]), keep)
    assert frames.tolist() == [
        4,
        2,
    ]  # the first frame of the first row is kept all the same, its last is padding
    assert index.tolist() == [[0, 1, 2, 5], [0, 3, 0, 0]]
    assert short[:, :, 0].tolist() == [[0, 1, 2, 5], [0, 3, 0, 0]]


def test_merge_by_hand():
    features = torch.tensor([[[0.0], [2.0], [4.0], [10.0], [99.0]]])
    keep = torch.tensor([[True, False, False, True, True]])
    short, frames, index = merge_tokens(features, torch.tensor([4]), keep)
    assert short[:, :, 0].tolist() == [[2.0, 10.0]]
    assert (frames.tolist(), index.tolist()) == ([2], [[0, 3]])


@given(batches())
def test_drop_and_merge_agree_with_a_loop_over_rows(batch):
    features, frames, keep = batch
    dropped, merged = drop_tokens(*batch), merge_tokens(*batch)
    for row, count in enumerate(frames.tolist()):
        places = [place for place in range(count) if place == 0 or keep[row, place]]
        ends = [*places[1:], count]
        left = len(places)
        for short, kept, index in (dropped, merged):
            assert int(kept[row]) == left
            assert index[row, :left].tolist() == places
            assert not short[row, left:].any()
        assert torch.equal(dropped[0][row, :left], features[row, places])
        means = [features[row, a:b].mean(0) for a, b in zip(places, ends, strict=True)]
        torch.testing.assert_close(merged[0][row, :left], torch.stack(means))
    assert dropped[0].shape[1] == int(dropped[1].max())


def test_gradients_reach_the_frames_that_are_left():
    features = torch.ones(1, 4, 1, requires_grad=True)
    keep = torch.tensor([[True, False, False, True]])
    drop_tokens(features, torch.tensor([4]), keep)[0].sum().backward()
    assert features.grad[0, :, 0].tolist() == [1, 0, 0, 1]


def test_the_best_dropped_frames_come_back():
    keep = torch.tensor([[True, False, False, False, True, False]])
    scores = torch.tensor([[9.0, 0.1, 0.3, 0.2, 8.0, 5.0]])  # the last frame is padding
    for needed, expected in ((2, [0, 4]), (3, [0, 2, 4]), (4, [0, 2, 3, 4]), (9, [0, 1, 2, 3, 4])):
        found, count = reinsert(keep, scores, torch.tensor([5]), torch.tensor([needed]))
        assert found[0].nonzero()[:, 0].tolist() == expected
        assert count.tolist() == [len(expected) - 2]


@given(batches(), st.integers(0, 14))
def test_reinserting_only_adds_and_gives_exactly_what_is_needed(batch, needed):
    features, frames, keep = batch
    found, count = reinsert(keep, features[..., 0], frames, torch.full_like(frames, needed))
    before, after = drop_tokens(features, frames, keep)[1], drop_tokens(features, frames, found)[1]
    assert torch.equal(after, torch.maximum(before, frames.clamp(max=needed)))
    assert torch.equal(after - before, count)
    assert bool((found | ~keep)[:, : int(frames.min())].all())


def test_groups_by_hand():
    keep = torch.tensor([[False, False, True, False, True], [True, True, False, False, False]])
    kept = keep_frames(torch.tensor([5, 3]), keep, means=True)
    assert kept.index.tolist() == [[0, 2, 4], [0, 1, 0]]
    assert kept.group.tolist() == [[0, 0, 1, 1, 2], [0, 1, 1, 3, 3]]  # 3 stands for padding
    values = torch.tensor([[1.0, 3, 5, 7, 9], [2, 4, 6, 99, 99]])[:, :, None]
    assert kept.take(values)[:, :, 0].tolist() == [[2, 6, 9], [2, 5, 0]]
    assert Kept(kept.index, kept.frames).take(values)[:, :, 0].tolist() == [[1, 5, 9], [2, 4, 2]]


@pytest.mark.parametrize("reduce", [drop_tokens, merge_tokens])
def test_one_frame_is_left_as_it_is(reduce):
    features = torch.randn(1, 1, 3)
    short, frames, _ = reduce(features, torch.tensor([1]), torch.tensor([[False]]))
    assert torch.equal(short, features)
    assert frames.tolist() == [1]
