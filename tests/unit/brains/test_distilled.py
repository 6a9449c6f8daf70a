"""The divergence of a student from its teacher."""

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from s3_speechbrain.brains.distilled import frame_divergence

GENERATOR = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(2, 5, 7, generator=GENERATOR) for _ in range(2))
FRAMES = torch.tensor([5, 2])


def test_it_is_the_mean_over_valid_frames_as_torch_distributions_have_it():
    each = kl_divergence(Categorical(logits=TEACHER), Categorical(logits=STUDENT))
    wanted = torch.cat([each[0], each[1, :2]]).mean()
    assert frame_divergence(STUDENT, TEACHER, FRAMES).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_padding_and_equal_networks_add_nothing():
    other = STUDENT.clone()
    other[1, 2:] = 100.0
    assert frame_divergence(other, TEACHER, FRAMES) == frame_divergence(STUDENT, TEACHER, FRAMES)
    assert frame_divergence(TEACHER + 3.0, TEACHER, FRAMES).item() == pytest.approx(0.0, abs=1e-6)
