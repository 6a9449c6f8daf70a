"""Training subsets of so many minutes, drawn by seed."""

import hashlib
from collections.abc import Sequence

from s3_speechbrain.errors import UserError


def seeded_order(ids: Sequence[str], seed: int) -> list[int]:
    """Return the positions of ids in an order that depends on the seed and the ids alone.

    Each id is ranked by a hash of the seed and itself, so the relative order of two clips stays the same
    whatever other clips are present, on any machine and library version.

    Parameters
    ----------
    ids : sequence of str
        Unique names of the clips.
    seed : int
        Chooses the order.

    Returns
    -------
    list of int
        A permutation of ``range(len(ids))``.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest() for name in ids]
    return sorted(range(len(ids)), key=keys.__getitem__)


def draw_minutes(ids: Sequence[str], durations: Sequence[float], minutes: float, seed: int) -> list[int]:
    """Draw clips of at most so many minutes in total.

    The draw is the longest prefix of `seeded_order` that fits, so subsets of one seed are nested: the
    10-minute set is part of the 1-hour set.

    Parameters
    ----------
    ids : sequence of str
        Unique names of the clips.
    durations : sequence of float
        Their lengths in seconds.
    minutes : float
        The budget, above 0.
    seed : int
        Chooses the draw.

    Returns
    -------
    list of int
        Positions of the drawn clips, ascending.

    Raises
    ------
    UserError
        When `minutes` is not above 0.
    """
    if not minutes > 0:
        raise UserError(
            f"train minutes must be above 0, not {minutes}: leave the option out to take all clips"
        )
    drawn, total = [], 0.0
    for position in seeded_order(ids, seed):
        total += durations[position]
        if total > minutes * 60.0:
            break
        drawn.append(position)
    return sorted(drawn)
