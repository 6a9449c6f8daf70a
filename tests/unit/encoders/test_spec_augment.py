import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.encoders.spec_augment import SpecAugmentConfig, draw_spans, spec_augment
from s3_speechbrain.errors import UserError


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.floats(0, 1), st.integers(1, 12))
def test_spans_stay_inside_each_row_and_below_the_expected_share(lengths, prob, span):
    mask = draw_spans(torch.tensor(lengths), 60, prob, span)
    for row, length in zip(mask, lengths, strict=True):
        assert not row[length:].any()
        assert row.sum() <= (prob * length / span + 1) * span
        if length < span:
            assert not row.any()


def test_share_of_masked_frames_without_overlap():
    torch.manual_seed(0)
    mask = draw_spans(torch.full((2000,), 100), 100, prob=0.1, span=10)
    assert abs(mask.float().mean().item() - 0.1) < 0.01  # one span of ten in a hundred frames


def test_masked_frames_become_the_vector_and_masked_channels_zero():
    torch.manual_seed(0)
    hidden = torch.ones(4, 50, 128)
    vector = torch.full((128,), 2.0)
    out = spec_augment(hidden, torch.full((4,), 50), vector, SpecAugmentConfig(0.5, 10, 0.5, 32))
    assert set(out.unique().tolist()) == {0.0, 1.0, 2.0}
    assert torch.equal(hidden, torch.ones(4, 50, 128))
    untouched = spec_augment(hidden, torch.full((4,), 50), vector, SpecAugmentConfig(0.0, 10, 0.0, 32))
    assert torch.equal(untouched, hidden)


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="between 0 and 1"):
        SpecAugmentConfig(time_prob=1.5)
    with pytest.raises(UserError, match="at least 1"):
        SpecAugmentConfig(time_length=0)
