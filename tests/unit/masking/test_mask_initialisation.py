"""First scores: what each initialisation promises, in shape, range, order and sign."""

import math

import pytest
import torch

from s3_speechbrain.masking.initialisation import INITS, initial_scores
from s3_speechbrain.masking.selection import keep_largest

WEIGHT = torch.randn(60, 50, generator=torch.Generator().manual_seed(1))


def scores_of(init, structure="element", zeros=300, weights=(WEIGHT,), **more):
    return initial_scores(init, weights, list(range(len(weights))), zeros, structure, **more)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("structure", "shape"), [("element", (60, 50)), ("row", (60, 1)), ("column", (1, 50))]
)
def test_every_init_gives_every_structure(init, structure, shape):
    [score] = scores_of(init, structure, zeros=5)
    assert score.shape == shape
    assert score.dtype == torch.float32
    assert torch.equal(score, scores_of(init, structure, zeros=5)[0])  # the seed decides


@pytest.mark.parametrize("init", INITS)
def test_every_init_fits_convolutions(init):
    assert scores_of(init, zeros=3, weights=(torch.randn(8, 4, 3),))[0].shape == (8, 4, 3)
    assert scores_of(init, "row", zeros=3, weights=(torch.randn(8, 4, 3),))[0].shape == (8, 1, 1)


def test_order_preserving_rearranges_the_kaiming_draw_into_the_order_of_the_weights():
    [score] = scores_of("order_preserving")
    [draw] = scores_of("kaiming_uniform")
    assert torch.equal(score.flatten().sort().values, draw.flatten().sort().values)  # same values, same signs
    by_weight = score.abs().flatten()[WEIGHT.abs().flatten().argsort()]
    assert bool((by_weight.diff() >= 0).all())
    agree = (score.sign() == WEIGHT.sign()).float().mean()
    assert 0.45 < agree < 0.55  # the sign is the draw's, not the weight's


def test_order_preserving_ranks_jointly_where_the_ranking_is_joint():
    large, small = 10 * WEIGHT, 0.1 * torch.rand(30, 20)
    first, second = scores_of("order_preserving", weights=(large, small))
    joint_weights = torch.cat([large.abs().flatten(), small.abs().flatten()])
    joint_scores = torch.cat([first.abs().flatten(), second.abs().flatten()])
    assert bool((joint_scores[joint_weights.argsort()].diff() >= 0).all())


def test_order_preserving_takes_equal_weights_by_position():
    [score] = scores_of("order_preserving", weights=(torch.ones(4, 5),))
    assert bool((score.abs().flatten().diff() >= 0).all())


def test_magnitude_is_the_weight_over_the_scale():
    assert torch.equal(scores_of("magnitude", scale=4.0)[0], WEIGHT / 4)


def test_rows_are_ranked_by_their_mean_absolute_weight():
    weight = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    [score] = scores_of("magnitude", "row", weights=(weight,))
    assert score.tolist() == [[2.0], [0.5]]
    [score] = scores_of("magnitude", "column", weights=(weight,))
    assert score.tolist() == [[0.75, 1.75]]


def test_binary_magnitude_marks_the_largest_weights_and_negative_the_smallest():
    weight = torch.tensor([[1.0, -4.0], [2.0, -3.0]])
    assert scores_of("binary_magnitude", zeros=1, weights=(weight,))[0].tolist() == [[0, 1], [1, 1]]
    assert scores_of("negative_binary_magnitude", zeros=1, weights=(weight,))[0].tolist() == [[1, 0], [1, 1]]


def test_negative_binary_magnitude_removes_as_many_weights_as_magnitude_pruning_but_the_largest():
    weight = torch.tensor([[3.0, -7.0, 1.0, 10.0, -5.0, 2.0, 8.0, -9.0, 4.0, 6.0]])
    scores = scores_of("negative_binary_magnitude", zeros=2, weights=(weight,))
    removed = weight[~keep_largest(scores, 2)[0]]
    assert removed.tolist() == [
        10,
        -9,
    ]  # not the eight largest, which the complement of magnitude pruning would


@pytest.mark.parametrize(
    ("init", "bound"),
    [("kaiming_uniform", 1 / math.sqrt(50)), ("xavier_uniform", math.sqrt(6 / 110)), ("uniform", 1)],
)
def test_uniform_draws_fill_their_range(init, bound):
    [score] = scores_of(init)
    assert 0.99 * bound < float(score.abs().max()) <= bound
    assert abs(float(score.mean())) < 0.05 * bound


@pytest.mark.parametrize(
    ("init", "std"),
    [("kaiming_normal", math.sqrt(2 / 50)), ("xavier_normal", math.sqrt(2 / 110)), ("normal", 1)],
)
def test_normal_draws_have_their_deviation(init, std):
    assert float(scores_of(init)[0].std()) == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize(("init", "value"), [("zero", 0.0), ("one", 1.0)])
def test_constants(init, value):
    assert bool((scores_of(init)[0] == value).all())
