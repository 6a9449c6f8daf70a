"""Masks at one bit per entry."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A keep mask at one bit per entry, as a language holds it in memory.

    Attributes
    ----------
    shape : tuple of int
        Of the mask: the weight's, or 1 along the axes that a structured mask shares.
    zeros : int
        Entries that are removed.
    bits : ndarray
        uint8, ``ceil(entries / 8)`` of them, the first entry in the highest bit; 1 is kept, padding is 0.
    """

    shape: tuple[int, ...]
    zeros: int
    bits: np.ndarray

    @property
    def entries(self) -> int:
        """Number of entries of the mask."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.bits.nbytes

    def unpack(self) -> Tensor:
        """Return the mask as a bool tensor."""
        kept = np.unpackbits(self.bits, count=self.entries).view(np.bool_)
        return torch.from_numpy(kept).view(self.shape)


def pack(keep: Tensor) -> PackedMask:
    """Pack a bool mask of any shape and device."""
    entries = keep.detach().cpu().contiguous().numpy().reshape(-1)
    zeros = entries.size - int(np.count_nonzero(entries))
    return PackedMask(tuple(keep.shape), zeros, np.packbits(entries))
