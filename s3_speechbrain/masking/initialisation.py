"""First scores of a mask, from nothing or from the weights."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from s3_speechbrain.masking.selection import keep_largest


def _uniform(bound: float) -> Callable[[Tensor, Generator], Tensor]:
    return lambda score, generator: score.uniform_(-bound, bound, generator=generator)


def _normal(std: float) -> Callable[[Tensor, Generator], Tensor]:
    return lambda score, generator: score.normal_(0.0, std, generator=generator)


# Functions of (fan_in, fan_out) that give functions filling a score tensor in place.
_DRAWS = {
    "kaiming_uniform": lambda fan_in, fan_out: _uniform(1 / math.sqrt(fan_in)),  # a = sqrt(5), as nn.Linear
    "kaiming_normal": lambda fan_in, fan_out: _normal(math.sqrt(2 / fan_in)),
    "xavier_uniform": lambda fan_in, fan_out: _uniform(math.sqrt(6 / (fan_in + fan_out))),
    "xavier_normal": lambda fan_in, fan_out: _normal(math.sqrt(2 / (fan_in + fan_out))),
    "uniform": lambda fan_in, fan_out: _uniform(1.0),
    "normal": lambda fan_in, fan_out: _normal(1.0),
    "zero": lambda fan_in, fan_out: lambda score, generator: score.fill_(0.0),
    "one": lambda fan_in, fan_out: lambda score, generator: score.fill_(1.0),
}

INITS = ("order_preserving", "magnitude", "binary_magnitude", "negative_binary_magnitude", *_DRAWS)


def initial_scores(
    init: str, weights: Sequence[Tensor], seeds: Sequence[int], zeros: int, structure: str, scale: float = 1.0
) -> list[Tensor]:
    """Make the first scores of the matrices that share one ranking.

    Parameters
    ----------
    init : str
        One of `INITS`:

        * ``order_preserving``: draw as ``kaiming_uniform``, then rearrange the draws (each keeps its sign) so
          that ``|score|`` has the rank order of ``|weight|``. The first mask is magnitude pruning, yet every
          score is small enough to be overtaken (S3-Router's ``weight_rank``).
        * ``magnitude``: ``weight / scale`` (S3-Router for pruning).
        * ``binary_magnitude``: 0 for the `zeros` smallest weights and 1 for the others, the mask of magnitude
          pruning. ``negative_binary_magnitude``: the same with the ranking turned round, 0 for the `zeros`
          largest weights; it keeps the smallest, at the same sparsity. Scores of 0 get no gradient and those
          of 1 stay above them, so both are a fixed mask in effect.
        * ``kaiming_uniform``, ``kaiming_normal``, ``xavier_uniform``, ``xavier_normal``, ``uniform`` on
          (-1, 1), ``normal`` of unit variance, ``zero`` (never trains), ``one``.
    weights : sequence of Tensor
        Shape (out, in) or (out, in, kernel).
    seeds : sequence of int
        One per weight, so that a matrix gets the same draw whatever else is masked.
    zeros : int
        How many score entries the ranking removes (used by the binary initialisations).
    structure : {"element", "row", "column"}
        Rows and columns are ranked by their mean absolute weight.
    scale : float
        Divisor for ``magnitude``.

    Returns
    -------
    list of Tensor
        fp32, of the weight's shape, (out, 1) for rows or (1, in) for columns.
    """
    if init == "magnitude":
        return [_importance(weight, structure) / scale for weight in weights]
    if init in ("binary_magnitude", "negative_binary_magnitude"):
        importance = [_importance(weight, structure) for weight in weights]
        if init == "binary_magnitude":
            return [keep.float() for keep in keep_largest(importance, zeros)]
        entries = sum(value.numel() for value in importance)
        return [1.0 - keep.float() for keep in keep_largest(importance, entries - zeros)]
    name = "kaiming_uniform" if init == "order_preserving" else init
    draws = [_draw(name, weight, structure, seed) for weight, seed in zip(weights, seeds, strict=True)]
    if init == "order_preserving":
        draws = _arrange(draws, [_importance(weight, structure) for weight in weights])
    return [draw.to(weight.device) for draw, weight in zip(draws, weights, strict=True)]


def score_shape(weight: Tensor, structure: str) -> tuple[int, ...]:
    """Give the shape of a weight's scores.

    Parameters
    ----------
    weight : Tensor
        Shape (out, in) or (out, in, kernel).
    structure : {"element", "row", "column"}
        One score per weight, output unit or input unit.

    Returns
    -------
    tuple of int
        The weight's shape, with 1 for every axis along which a score is shared.
    """
    if structure == "element":
        return tuple(weight.shape)
    axis = ("row", "column").index(structure)
    return tuple(size if index == axis else 1 for index, size in enumerate(weight.shape))


def _importance(weight: Tensor, structure: str) -> Tensor:
    weight = weight.detach().float()
    if structure == "element":
        return weight.clone()
    shared = [axis for axis, size in enumerate(score_shape(weight, structure)) if size == 1]
    return weight.abs().mean(shared, keepdim=True)


def _draw(name: str, weight: Tensor, structure: str, seed: int) -> Tensor:
    field = weight[0, 0].numel()
    fill = _DRAWS[name](weight.shape[1] * field, weight.shape[0] * field)
    return fill(torch.empty(score_shape(weight, structure)), torch.Generator().manual_seed(seed))


def _arrange(draws: Sequence[Tensor], importance: Sequence[Tensor]) -> list[Tensor]:
    """Rearrange all draws so that they rank like the importances."""
    values = torch.cat([draw.flatten() for draw in draws])
    wanted = torch.cat([value.flatten().cpu() for value in importance])
    arranged = torch.empty_like(values)
    arranged[ascending(wanted)] = values[ascending(values)]
    parts = arranged.split([draw.numel() for draw in draws])
    return [part.view_as(draw).clone() for part, draw in zip(parts, draws, strict=True)]


def ascending(values: Tensor) -> Tensor:
    """Give the positions in ascending order of magnitude, equal ones by position.

    The bits of a non-negative float, read as an integer, rank like the float. With the position in the low
    half of a 64-bit key, a plain sort of the keys is a stable argsort, many times faster than an argsort.
    """
    # In place, since this is what takes most memory in making masks.
    keys = values.abs().numpy().view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(keys.size, dtype=np.uint64)
    keys.sort()
    keys &= np.uint64(0xFFFFFFFF)
    return torch.from_numpy(keys.view(np.int64))
