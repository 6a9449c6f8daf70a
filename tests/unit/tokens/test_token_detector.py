"""The detector's loss by hand, its size, and that it can learn; scorers by hand."""

import math

import pytest
import torch
from sklearn.metrics import log_loss

from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens import DetectorConfig, TokenConfig, TokenDetector, detector_loss, not_blank_logit
from s3_speechbrain.tokens.scorers import EnergyScorer, NoveltyScorer, UniformScorer


def test_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 50.0], [0.0, 9.0, -9.0]])
    targets = torch.tensor([[True, False, False], [False, True, True]])
    found = detector_loss(logits, targets, torch.tensor([2, 1]), positive_weight=4.0)
    # sigmoid(0) = 1/2, sigmoid(log 3) = 3/4; the rest is padding
    assert float(found) == pytest.approx((4 * math.log(2) + math.log(4) + math.log(2)) / 3)


def test_loss_agrees_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(1, 50, generator=generator), torch.rand(1, 50, generator=generator) > 0.4
    weights = torch.where(targets[0], 3.0, 1.0)
    expected = log_loss(targets[0], logits[0].sigmoid(), sample_weight=weights) * float(weights.mean())
    assert float(detector_loss(logits, targets, torch.tensor([50]), 3.0)) == pytest.approx(expected, rel=1e-5)


def test_size_of_the_default_is_within_the_bounds_of_a_small_detector():
    # entry 384 * 128, three times depthwise 9 * 128 and pointwise 128 * 128, exit 128, and norms and biases
    count = sum(value.numel() for value in TokenDetector(384).parameters())
    norms = 2 * 384 + 4 * 2 * 128
    biases = 128 + 3 * 2 * 128 + 1
    assert count == 384 * 128 + 3 * (9 * 128 + 128 * 128) + 128 + norms + biases
    assert 20_000 < count < 500_000


def test_it_learns_where_features_change():
    torch.manual_seed(0)
    detector = TokenDetector(4, DetectorConfig(width=16, layers=2, kernel=5))
    runs = torch.randint(0, 2, (8, 40)).cumsum(1)
    features = torch.nn.functional.one_hot(runs % 4, 4).float()
    targets = torch.cat([torch.ones(8, 1, dtype=torch.bool), runs[:, 1:] != runs[:, :-1]], dim=1)
    frames = torch.full((8,), 40)
    optimizer = torch.optim.Adam(detector.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        detector_loss(detector(features, frames), targets, frames).backward()
        optimizer.step()
    assert bool(((detector(features, frames) > 0) == targets).float().mean() > 0.97)


@pytest.mark.parametrize("wrong", [{"kernel": 4}, {"layers": 0}, {"width": 0}])
def test_sizes_that_cannot_be_meant_are_told(wrong):
    with pytest.raises(UserError, match="detector"):
        DetectorConfig(**wrong)


def test_uniform_by_hand():
    def kept(ratio, length):
        return (UniformScorer(ratio)(torch.zeros(1, length, 1), None)[0] > 0).nonzero()[:, 0].tolist()

    assert kept(0.5, 7) == [0, 2, 4, 6]
    assert kept(0.4, 8) == [0, 3, 5]  # multiples of 0.4 reach 1 at frame 3, 2 at frame 5
    assert kept(1.0, 3) == [0, 1, 2]


def test_energy_by_hand():
    loud = torch.cat([torch.zeros(3200), torch.full((3200,), 0.5), torch.full((3200,), 0.05)])
    features, frames = torch.zeros(1, 29, 1), torch.tensor([29])
    score = EnergyScorer(smooth=1)(features, frames, loud[None])[0]
    assert float(score.max()) == 0
    assert float(score[15]) == pytest.approx(0, abs=1e-4)
    assert float(score[25]) == pytest.approx(-20, abs=1e-3)  # a tenth of the amplitude
    assert float(score[5]) < -80
    assert bool(
        (score > -30).nonzero()[0] == 9
    )  # its window of 400 samples begins at 2880 and reaches the sound


def test_novelty_by_hand():
    features = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, -1.0]]])
    assert NoveltyScorer()(features, torch.tensor([4]))[0].tolist() == [2, 0, 1, 2]


def test_the_logit_of_not_being_blank():
    logits = torch.tensor([[[0.2, -1.0, 2.0], [3.0, 0.1, 0.1]]])
    other = 1 - logits.softmax(-1)[..., 0]
    torch.testing.assert_close(not_blank_logit(logits), torch.logit(other))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"selector": "best"}, "selector is 'best'"),
        ({"keep_ratio": 0.0}, "keep_ratio is 0.0"),
        ({"cut": "between"}, "cut is 'between'"),
        ({"blank_policy": "keep"}, "blank_policy is 'keep'"),
        ({"selector": "conv", "keep_ratio": 0.4}, "keep_ratio of 1/k"),
        ({"selector": "conv", "cut": "after_positions"}, "use --cut before_positions"),
        ({"selector": "vad", "recall": 0.9}, "recall belongs to the selector salad"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(wrong, told):
    with pytest.raises(UserError, match=told):
        TokenConfig(**wrong)
