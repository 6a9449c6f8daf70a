"""Shorter sequences with exact lengths: frames dropped, or neighbours merged into their mean."""

from typing import NamedTuple

import torch
from torch import Tensor

from s3_speechbrain.encoders.kept import Kept
from s3_speechbrain.encoders.waveform import valid


class Shortened(NamedTuple):
    """What is left of a batch of features.

    Attributes
    ----------
    features : Tensor
        Shape (B, T', E); zero beyond a row's frames.
    frames : Tensor
        Valid frames per row, int64, shape (B,).
    kept : Kept or None
        Original places of the frames (of a merged one: its first); None where a convolution made the frames.
    reinserted : Tensor
        Frames per row that were put back for CTC's sake, int64, shape (B,).
    """

    features: Tensor
    frames: Tensor
    kept: Kept | None
    reinserted: Tensor

    @property
    def index(self) -> Tensor | None:
        """Original places (B, T'), 0 beyond a row's frames; None where a convolution made the frames."""
        return None if self.kept is None else self.kept.index


def keep_frames(frames: Tensor, keep: Tensor, means: bool = False) -> Kept:
    """Turn a boolean choice of frames into places.

    Parameters
    ----------
    frames : Tensor
        Valid frames per row, shape (B,).
    keep : Tensor
        Boolean, shape (B, T). The first frame of each row is always kept, padding never.
    means : bool
        Average each kept frame with the others behind it, rather than leave those out.

    Returns
    -------
    Kept
        Places in ascending order.
    """
    keep = _with_first(frames, keep)
    kept = keep.sum(1)
    order = torch.sort((~keep).to(torch.uint8), dim=1, stable=True).indices[:, : int(kept.max())]
    index = order * valid(kept, order.shape[1])
    if not means:
        return Kept(index, kept)
    group = torch.where(valid(frames, keep.shape[1]), keep.cumsum(1) - 1, index.shape[1])
    return Kept(index, kept, group)


def _with_first(frames: Tensor, keep: Tensor) -> Tensor:
    first = torch.arange(keep.shape[1], device=keep.device) == 0
    return (keep | first) & valid(frames, keep.shape[1])


def shorten(features: Tensor, frames: Tensor, keep: Tensor, means: bool = False) -> tuple[Tensor, Kept]:
    """Leave frames of a padded batch out, or merge them.

    Parameters
    ----------
    features : Tensor
        Shape (B, T, E).
    frames, keep, means
        As in `keep_frames`.

    Returns
    -------
    features : Tensor
        Shape (B, T', E); zero beyond a row's frames.
    kept : Kept
        Which they are.
    """
    kept = keep_frames(frames, keep, means)
    short = kept.take(features)
    return short * valid(kept.frames, short.shape[1])[:, :, None].to(short.dtype), kept


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
