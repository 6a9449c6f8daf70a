"""Which frames go through a transformer when positions are those of the whole clip."""

from typing import NamedTuple

import torch
from torch import Tensor


class Kept(NamedTuple):
    """Frames that go through the transformer.

    Attributes
    ----------
    index : Tensor
        Their places among all T frames, int64, shape (B, T'); 0 beyond a row's frames.
    frames : Tensor or None
        How many are valid in each row, (B,); None where all are (one clip alone).
    group : Tensor or None
        For means: which kept frame each of the T frames belongs to, int64, (B, T); T' for padding. None leaves the
        other frames out.
    """

    index: Tensor
    frames: Tensor | None
    group: Tensor | None = None

    def take(self, values: Tensor) -> Tensor:
        """Reduce one value per frame, (B, T, D), to those of the kept frames, (B, T', D)."""
        if self.group is None:
            return take_frames(values, self.index)
        return group_means(values, self.index, self.group)


def take_frames(values: Tensor, index: Tensor) -> Tensor:
    """Take frames (B, T', D) of (B, T, D) by their places (B, T')."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def group_means(values: Tensor, index: Tensor, group: Tensor) -> Tensor:
    """Average frames by group.

    Parameters
    ----------
    values : Tensor
        Shape (B, T, D).
    index, group : Tensor
        As in `Kept`.

    Returns
    -------
    Tensor
        Shape (B, T', D); zero for a group without frames. Every shape follows from those of the arguments, so that
        it can be traced to a graph for any length.
    """
    empty = torch.zeros_like(take_frames(values, index))
    room = torch.cat([empty, empty[:, :1]], dim=1)  # the last place takes the padding
    sums = room.scatter_add(1, group[:, :, None].expand_as(values), values)[:, :-1]
    counts = room[:, :, 0].scatter_add(1, group, torch.ones_like(values[:, :, 0]))[:, :-1]
    return sums / counts.clamp(min=1)[:, :, None]
