"""Thresholds that train: how much each matrix loses is learned, how much all lose together is not.

With a gain ``g`` for each matrix, all scores of an encoder compete in one ranking::

    m = 1 for the top-k of |A| e^g over all matrices        dL/dg = sum(|A| e^g dL/dm)

so that the threshold of a matrix is the common one times ``e^-g``. Gains begin where each matrix loses its own share,
as in S3-Router; a matrix whose weights are missed then gains weights from the others. This goes beyond the paper.
"""

import math

import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.groups import MaskGroup
from s3_speechbrain.masking.parametrisation import MaskedWeight


def learn_thresholds_(peers: list[MaskGroup]) -> None:
    """Join the rankings of single matrices into one, in which each matrix has a threshold that trains.

    Parameters
    ----------
    peers : list of MaskGroup
        All groups of one encoder, one matrix in each, with first scores; changed in place to the one that remains.

    Raises
    ------
    UserError
        If the first scores of a matrix are 0 around its threshold.
    """
    alone = list(peers)
    peers.clear()
    joint = MaskGroup(sum(group.zeros for group in alone), peers)
    for group in alone:
        (member,) = group.members
        start_threshold_(member, group.zeros)
        member.group = joint
        joint.members.append(member)


def start_threshold_(masked: MaskedWeight, zeros: int) -> None:
    """Give a mask the gain with which a common threshold of 1 removes its smallest scores.

    Parameters
    ----------
    masked : MaskedWeight
        With scores; it gets a new gain.
    zeros : int
        How many to remove.

    Raises
    ------
    UserError
        If the scores around its threshold are 0.
    """
    cut = _between(masked.score.detach().abs().flatten().sort()[0], zeros)
    if not cut > 0:
        raise UserError("Thresholds cannot be learned for scores that begin with 0: choose another init.")
    masked.gain = nn.Parameter(torch.tensor(-math.log(cut), device=masked.score.device))


def _between(magnitudes: Tensor, zeros: int) -> float:
    """Return a number between the first `zeros` of some ascending magnitudes and the others."""
    below = float(magnitudes[zeros - 1]) if zeros else 0.0
    above = float(magnitudes[zeros]) if zeros < len(magnitudes) else 2 * below
    return (below + above) / 2
