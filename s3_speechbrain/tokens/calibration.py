"""Thresholds on scores, chosen on dev: for a token keep ratio, or for a recall of salient frames."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from s3_speechbrain.errors import UserError

BELOW_ALL = -60000.0  # lower than any score, and a number even in half precision, where a model may be stored


def threshold_for_keep_ratio(scores: Sequence[Tensor], ratio: float) -> float:
    """Return the threshold above which a share of all frames lies.

    Parameters
    ----------
    scores : sequence of Tensor
        One row (T,) per clip, valid frames only. Each clip's first frame is always kept and counts.
    ratio : float
        Share of frames to keep, above 0 and at most 1.

    Returns
    -------
    float
        Frames with ``score > threshold``, and all first frames, are ``round(ratio * frames)``; fewer where equal
        scores stand on both sides.

    Raises
    ------
    UserError
        For a ratio outside its bounds, or no frames.
    """
    if not 0 < ratio <= 1:
        raise UserError(f"keep_ratio is {ratio}: give a fraction above 0 and at most 1")
    rest = _without_first(scores)
    clips = sum(len(row) > 0 for row in scores)
    return _above(rest, round(ratio * (len(rest) + clips)) - clips)


def threshold_for_recall(scores: Sequence[Tensor], salient: Sequence[Tensor], recall: float) -> float:
    """Return the highest threshold that keeps a share of the salient frames.

    Parameters
    ----------
    scores : sequence of Tensor
        As in `threshold_for_keep_ratio`.
    salient : sequence of Tensor
        Boolean rows of the same lengths.
    recall : float
        Share of the salient frames to keep, first frames included, between 0 and 1.

    Returns
    -------
    float
        Frames with ``score > threshold``, and all first frames, hold at least that share.

    Raises
    ------
    UserError
        For a recall outside its bounds, or no frames.
    """
    if not 0 <= recall <= 1:
        raise UserError(f"recall is {recall}: give a fraction between 0 and 1")
    rest = _without_first(scores)
    chosen = rest[_without_first(salient)]
    firsts = sum(bool(row[0]) for row in salient if len(row))
    # 0.7 * 10 is a little above 7 in floating point
    wanted = math.ceil(round(recall * (len(chosen) + firsts), 9)) - firsts
    if wanted < 1:
        return float(rest.max()) if len(rest) else 0.0
    lowest = torch.sort(chosen, descending=True).values[wanted - 1]
    return float(torch.nextafter(lowest, lowest.new_tensor(-torch.inf)))


def _without_first(rows: Sequence[Tensor]) -> Tensor:
    if not sum(len(row) for row in rows):
        raise UserError("no frames to calibrate on; check the dev set")
    return torch.cat([row[1:] for row in rows])


def _above(values: Tensor, count: int) -> float:
    """Return a threshold with `count` values above it."""
    if not len(values) or count >= len(values):
        return BELOW_ALL
    ranked = torch.sort(values.float(), descending=True).values
    if count < 1:
        return float(ranked[0])
    # half-way, so that rounding of a score on another machine does not move it across
    middle = torch.lerp(ranked[count], ranked[count - 1], 0.5)
    return float(torch.minimum(middle, torch.nextafter(ranked[count - 1], ranked[count])))
