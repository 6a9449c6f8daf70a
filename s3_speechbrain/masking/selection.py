"""Scores to masks: the exact top-k, as pure functions.

The definition, for one matrix or for several that compete: list all entries in ascending order of
``|score|``, equal ones by ascending position; the first ``zeros`` are removed, the others are kept. A sort
would say just that, but costs far too much in every step. A partition finds the one number that matters, the
largest removed magnitude, in linear time; one comparison with it gives the mask.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.errors import UserError

SAMPLE = 1 << 16  # entries that are looked at first


def count_zeros(parts: Iterable[tuple[float, int]]) -> int:
    """Count the entries to remove, in exact decimal arithmetic.

    In floating point ``int((1 - 0.9) * 1_000_000)`` is 99,999. Here 0.1 means one tenth.

    Parameters
    ----------
    parts : iterable of (float, int)
        Sparsity and number of entries of each part of one ranking.

    Returns
    -------
    int
        ``round(sum(sparsity * entries))``, a half goes to the even neighbour.

    Examples
    --------
    >>> count_zeros([(0.1, 1_000_000)]), count_zeros([(0.1, 14), (0.1, 12)])
    (100000, 3)
    """
    return round(sum((Fraction(repr(float(sparsity))) * entries for sparsity, entries in parts), Fraction(0)))


def keep_largest(scores: Sequence[Tensor], zeros: int) -> list[Tensor]:
    """Keep all but the ``zeros`` entries of smallest magnitude over all tensors together.

    Parameters
    ----------
    scores : sequence of Tensor
        Ranked by absolute value in fp32; any shapes, one device.
    zeros : int
        How many entries to remove, exactly.

    Returns
    -------
    list of bool Tensor
        One mask per score tensor, of its shape; True means kept.
    """
    keeps = [torch.empty(score.shape, dtype=torch.bool, device=score.device) for score in scores]
    select_(scores, zeros, keeps)
    return keeps


def select_(
    scores: Sequence[Tensor], zeros: int, keeps: Sequence[Tensor], room: np.ndarray | None = None
) -> float | None:
    """Write the masks of `keep_largest` into existing tensors.

    Parameters
    ----------
    scores : sequence of Tensor
        Ranked by absolute value in fp32; any shapes, one device.
    zeros : int
        How many entries to remove, exactly.
    keeps : sequence of bool Tensor
        Contiguous, of the scores' shapes; overwritten.
    room : fp32 array, optional
        Working memory for scores on the CPU, at least as long as all scores together; overwritten. Without it
        the scores are not copied at once: slower for one matrix, faster for a whole network.

    Returns
    -------
    float or None
        A number that separates: kept is the same as ``|score| >`` it. None if equal magnitudes stand on both
        sides of the cut, or if the scores are not on the CPU (reading the number would stall the device).

    Raises
    ------
    UserError
        If a score is not a number.
    """
    if zeros == 0:
        for keep in keeps:
            keep.fill_(True)
        return -1.0  # below every magnitude
    entries = sum(score.numel() for score in scores)
    on_cpu = scores[0].device.type == "cpu"
    if on_cpu:
        cut, kept = _compare_on_cpu(scores, zeros, keeps, room)
    else:
        cut, kept = _compare_on_device(scores, zeros, keeps)
    missing = entries - zeros - kept
    if missing == 0:
        return cut if on_cpu else None
    if any(bool(score.isnan().any()) for score in scores):
        raise UserError("Some mask scores are not numbers: training diverged, lower the learning rate.")
    # The comparison dropped every entry equal to the cut; the last of them, by position, are kept.
    for score, keep in zip(reversed(scores), reversed(keeps), strict=True):
        ties = (score.detach().float().abs().flatten() == cut).nonzero().flatten()
        chosen = ties[max(0, len(ties) - missing) :]
        keep.view(-1)[chosen] = True
        missing -= len(chosen)
    return None


def _compare_on_cpu(
    scores: Sequence[Tensor], zeros: int, keeps: Sequence[Tensor], room: np.ndarray | None
) -> tuple[float, int]:
    # numpy partitions in linear time with vector instructions, and releases the interpreter lock, so that
    # several matrices can be renewed at once.
    flat = [score.detach().float().reshape(-1).numpy() for score in scores]
    if room is None:
        room = np.empty(max(score.size for score in flat), np.float32)
        cut = kth_magnitude(flat, zeros, room)
    else:
        cut = _partitioned(flat, zeros, room[: sum(score.size for score in flat)])
    kept = 0
    for score, keep in zip(flat, keeps, strict=True):
        magnitude = np.abs(score, out=room[: score.size])
        mask = keep.view(-1).numpy()
        np.greater(magnitude, cut, out=mask)
        kept += int(np.count_nonzero(mask))
        torch.autograd.graph.increment_version(keep)  # numpy wrote behind autograd's back
    return float(cut), kept


def _partitioned(flat: Sequence[np.ndarray], number: int, room: np.ndarray) -> np.float32:
    np.concatenate(flat, out=room)
    np.abs(room, out=room)
    room.partition(number - 1)
    return room[number - 1]


def kth_magnitude(flat: Sequence[np.ndarray], number: int, room: np.ndarray) -> np.float32:
    """Find the number-th smallest magnitude of several arrays without copying all of them at once.

    A sample tells between which two values it almost surely lies; one pass counts what is below and gathers the
    few entries in between. If the sample was wrong, everything is sorted out in one copy.

    Parameters
    ----------
    flat : sequence of fp32 arrays
        One axis each.
    number : int
        From 1.
    room : fp32 array
        Working memory, as long as the longest array; overwritten.

    Returns
    -------
    float
        Exact.
    """
    entries = sum(score.size for score in flat)
    step = -(-entries // SAMPLE)
    sample = np.sort(np.abs(np.concatenate([score[::step] for score in flat])))
    place, margin = number * len(sample) // entries, 4 * round(len(sample) ** 0.5)  # eight deviations or more
    low, high = (sample[min(max(place + side, 0), len(sample) - 1)] for side in (-margin, margin))
    below = at_most = 0
    between = []
    for score in flat:
        magnitude = np.abs(score, out=room[: score.size])
        below += np.count_nonzero(magnitude < low)
        above = ~(magnitude <= low)  # what is not a number ranks highest, as in a partition
        at_most += magnitude.size - np.count_nonzero(above)
        between.append(magnitude[above & (magnitude <= high)])
    if below < number <= at_most:
        return low
    candidates = np.concatenate(between)
    if not 0 < number - at_most <= candidates.size:
        return _partitioned(flat, number, np.empty(entries, np.float32))
    candidates.partition(number - at_most - 1)
    return candidates[number - at_most - 1]


def _compare_on_device(scores: Sequence[Tensor], zeros: int, keeps: Sequence[Tensor]) -> tuple[Tensor, int]:
    magnitudes = [score.detach().float().abs() for score in scores]
    cut = torch.cat([magnitude.flatten() for magnitude in magnitudes]).kthvalue(zeros).values
    for magnitude, keep in zip(magnitudes, keeps, strict=True):
        torch.gt(magnitude, cut, out=keep)
    return cut, int(sum(keep.sum() for keep in keeps))
