"""Which frames a CTC recogniser needs: labels for the detector from a teacher's greedy output."""

import torch
from torch import Tensor

from s3_speechbrain.encoders.waveform import valid
from s3_speechbrain.errors import UserError

BLANK_POLICIES = ("first_of_run", "only_between_repeats", "none")


def salient_frames(
    labels: Tensor,
    frames: Tensor,
    n_first: int = 1,
    blank_policy: str = "first_of_run",
    blank: int = 0,
) -> Tensor:
    """Mark the frames that carry the collapsed string of a greedy CTC labelling.

    Parameters
    ----------
    labels : Tensor
        Best label of each frame, integers, shape (B, T).
    frames : Tensor
        Valid frames per row, shape (B,).
    n_first : int
        How many frames of each run of equal labels are salient.
    blank_policy : {"first_of_run", "only_between_repeats", "none"}
        Runs of blanks: like all other runs; only where the labels before and after are equal, which CTC would
        merge without the blank; never. The first two keep the collapsed string, the last does not.
    blank : int
        Index of the blank.

    Returns
    -------
    Tensor
        Boolean, shape (B, T); the first valid frame is always marked, padding never.

    Raises
    ------
    UserError
        For an unknown policy or an `n_first` below 1.

    Examples
    --------
    >>> labels = torch.tensor([[0, 3, 3, 0, 3, 5, 5, 5, 0, 0]])
    >>> salient_frames(labels, torch.tensor([10])).int().tolist()
    [[1, 1, 0, 1, 1, 1, 0, 0, 1, 0]]
    >>> salient_frames(labels, torch.tensor([10]), blank_policy="only_between_repeats").int().tolist()
    [[1, 1, 0, 1, 1, 1, 0, 0, 0, 0]]
    """
    if blank_policy not in BLANK_POLICIES:
        raise UserError(f"blank_policy is {blank_policy!r}: choose one of {', '.join(BLANK_POLICIES)}")
    if n_first < 1:
        raise UserError(f"n_first is {n_first}: give 1 or more")
    inside = valid(frames, labels.shape[1])
    labels = torch.where(inside, labels, blank)
    places = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    starts = torch.ones_like(inside)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    run_start = torch.where(starts, places, 0).cummax(1).values
    salient = places - run_start < n_first
    if blank_policy != "first_of_run":
        needed = _between_repeats(labels, places, blank) if blank_policy == "only_between_repeats" else False
        salient &= (labels != blank) | needed
    return (salient | (places == 0)) & inside


def _between_repeats(labels: Tensor, places: Tensor, blank: int) -> Tensor:
    """Mark the frames whose nearest symbols to the left and to the right, blanks skipped, are equal."""
    symbol, last = labels != blank, labels.shape[1] - 1
    left = torch.where(symbol, places, -1).cummax(1).values
    right = torch.where(symbol, places, last + 1).flip(1).cummin(1).values.flip(1)
    equal = labels.gather(1, left.clamp(min=0)) == labels.gather(1, right.clamp(max=last))
    return equal & (left >= 0) & (right <= last)
