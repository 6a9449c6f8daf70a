"""Which masks are ranked together, and when they are renewed.

A mask is a function of the scores, so it is stale as soon as an optimiser, a checkpoint or anyone else has
written to them. Every forward pass asks; the answer costs next to nothing, because PyTorch counts the writes
to a tensor. Training loops therefore need no hook, and cannot forget one.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from s3_speechbrain.masking.selection import select_

if TYPE_CHECKING:
    from s3_speechbrain.masking.parametrisation import MaskedWeight

_fused_steps = 0


def _count_fused_steps(optimizer: Optimizer, args: tuple, kwargs: dict) -> None:
    """Count the steps that PyTorch's own count misses: those of ``Adam(..., fused=True)`` and its kin."""
    global _fused_steps
    _fused_steps += any(group.get("fused") for group in optimizer.param_groups)


register_optimizer_step_post_hook(_count_fused_steps)


class MaskGroup:
    """Masks that share one top-k.

    Parameters
    ----------
    zeros : int
        How many score entries of all members together are removed.
    peers : list of MaskGroup
        All groups of one encoder, shared between them; this group adds itself.
    """

    def __init__(self, zeros: int, peers: list["MaskGroup"]) -> None:
        self.zeros = zeros
        self.members: list[MaskedWeight] = []
        self.peers = peers
        self._seen: tuple[int, ...] | None = None
        peers.append(self)

    def _state(self) -> tuple[int, ...]:
        # Writes count up the version; a move to another device or precision changes the address.
        learned = [
            each for member in self.members for each in (member.score, member.gain) if each is not None
        ]
        return (_fused_steps, *(each._version for each in learned), *(each.data_ptr() for each in learned))

    def stale(self) -> bool:
        """Tell whether a score was written to since the masks were made."""
        return self._seen != self._state()

    def renew(self, room: np.ndarray | None = None) -> None:
        """Make the masks of all members from their scores, in some working memory (see `select_`)."""
        state = self._state()
        with torch.no_grad():
            scores = [member.ranked() for member in self.members]
        threshold = select_(scores, self.zeros, [member.keep for member in self.members], room)
        for member in self.members:
            member.threshold = threshold
        self._seen = state

    def refresh(self) -> None:
        """Renew this group if it is stale, and with it all stale peers, since they run in parallel."""
        if self.stale():
            renew_groups([group for group in self.peers if group.stale()])


def renew_groups(groups: Sequence[MaskGroup]) -> None:
    """Renew several groups, on the CPU in as many threads as PyTorch uses.

    Parameters
    ----------
    groups : sequence of MaskGroup
        Groups that share no mask.
    """
    on_cpu = all(member.score.device.type == "cpu" for group in groups for member in group.members)
    workers = min(torch.get_num_threads(), len(groups))
    if workers < 2 or not on_cpu:
        for group in groups:
            group.renew()
        return
    # The working memory comes from this thread: what a thread allocates for itself stays with it when freed.
    longest = max(sum(member.score.numel() for member in group.members) for group in groups)
    rooms: SimpleQueue[np.ndarray] = SimpleQueue()
    for _ in range(workers):
        rooms.put(np.empty(longest, np.float32))

    def renew(group: MaskGroup) -> None:
        room = rooms.get()
        try:
            group.renew(room)
        finally:  # else the others would wait for it, and the error with them
            rooms.put(room)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(renew, groups))
