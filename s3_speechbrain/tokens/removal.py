"""Shorter sequences with exact lengths: frames dropped, or neighbours merged into their mean."""

from typing import NamedTuple

import torch
from torch import Tensor

from s3_speechbrain.encoders.waveform import take_frames, valid


class Shortened(NamedTuple):
    """What is left of a batch of features.

    Attributes
    ----------
    features : Tensor
        Shape (B, T', E); zero beyond a row's frames.
    frames : Tensor
        Valid frames per row, int64, shape (B,).
    index : Tensor or None
        Original place of each frame (of a merged one: its first), int64, shape (B, T'), 0 beyond a row's
        frames; None where a convolution made the frames.
    reinserted : Tensor
        Frames per row that were put back for CTC's sake, int64, shape (B,).
    """

    features: Tensor
    frames: Tensor
    index: Tensor | None
    reinserted: Tensor


def kept_index(frames: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a boolean choice of frames into places.

    Parameters
    ----------
    frames : Tensor
        Valid frames per row, shape (B,).
    keep : Tensor
        Boolean, shape (B, T). The first frame of each row is always kept, padding never.

    Returns
    -------
    index : Tensor
        Places of the kept frames, ascending, int64, shape (B, T'); 0 beyond a row's frames.
    kept : Tensor
        Kept frames per row, int64, shape (B,).
    """
    keep = _with_first(frames, keep)
    kept = keep.sum(1)
    order = torch.sort((~keep).to(torch.uint8), dim=1, stable=True).indices[:, : int(kept.max())]
    return order * valid(kept, order.shape[1]), kept


def _with_first(frames: Tensor, keep: Tensor) -> Tensor:
    first = torch.arange(keep.shape[1], device=keep.device) == 0
    return (keep | first) & valid(frames, keep.shape[1])


def drop_tokens(features: Tensor, frames: Tensor, keep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Leave frames out of a padded batch.

    Parameters
    ----------
    features : Tensor
        Shape (B, T, E).
    frames, keep
        As in `kept_index`.

    Returns
    -------
    features, frames, index : Tensor
        As in `Shortened`.
    """
    index, kept = kept_index(frames, keep)
    short = take_frames(features, index)
    return short * valid(kept, index.shape[1])[:, :, None].to(short.dtype), kept, index


def merge_tokens(features: Tensor, frames: Tensor, keep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Replace each kept frame and the dropped ones behind it by their mean; see `drop_tokens`."""
    index, kept = kept_index(frames, keep)
    inside = valid(frames, features.shape[1])
    group = _with_first(frames, keep).cumsum(1).sub(1).clamp(min=0)
    weight = inside.to(features.dtype)
    counts = weight.new_zeros(index.shape).scatter_add(1, group, weight)
    sums = features.new_zeros(*index.shape, features.shape[2])
    sums = sums.scatter_add(1, group[:, :, None].expand_as(features), features * weight[:, :, None])
    return sums / counts.clamp(min=1)[:, :, None], kept, index


def reinsert(keep: Tensor, scores: Tensor, frames: Tensor, needed: Tensor) -> tuple[Tensor, Tensor]:
    """Put back the highest-scoring dropped frames of rows that are too short for their CTC target.

    Parameters
    ----------
    keep : Tensor
        Boolean, shape (B, T); the first frame counts as kept.
    scores : Tensor
        Higher means more worth keeping, shape (B, T). Of equal ones the earliest comes back first.
    frames, needed : Tensor
        Valid frames, and the frames that CTC needs, shape (B,).

    Returns
    -------
    keep : Tensor
        With at least ``min(needed, frames)`` frames per row.
    reinserted : Tensor
        How many came back, int64, shape (B,).
    """
    keep = _with_first(frames, keep)
    kept = keep.sum(1)
    wanted = torch.maximum(kept, torch.minimum(needed, frames))
    worth = torch.where(keep, torch.inf, scores.float())
    worth = torch.where(valid(frames, keep.shape[1]), worth, -torch.inf)
    order = torch.sort(worth, dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(keep.shape[1], device=keep.device).expand_as(order)
    )
    return rank < wanted[:, None], wanted - kept
