"""SpecAugment as wav2vec 2.0 uses it: spans of frames and of channels of the transformer's input.

Drawn with torch's generator, so that a resumed run draws what the uninterrupted one would have drawn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from s3_speechbrain.errors import UserError


@dataclass(frozen=True)
class SpecAugmentConfig:
    """How much is masked (wav2vec 2.0, Section 4.3 and Appendix B).

    Parameters
    ----------
    time_prob, channel_prob : float
        Expected share of frames (channels) covered by spans if spans did not overlap.
    time_length, channel_length : int
        Length of a span in frames (channels).
    """

    time_prob: float = 0.65
    time_length: int = 10
    channel_prob: float = 0.25
    channel_length: int = 64

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if not (0 <= self.time_prob <= 1 and 0 <= self.channel_prob <= 1):
            raise UserError("spec_augment probabilities must lie between 0 and 1")
        if self.time_length < 1 or self.channel_length < 1:
            raise UserError("spec_augment lengths must be at least 1")


def draw_spans(lengths: Tensor, size: int, prob: float, span: int) -> Tensor:
    """Draw a mask of spans for each row.

    The number of spans in a row is ``prob * length / span`` rounded at random, starts are uniform over the
    places where a whole span fits; rows shorter than a span stay unmasked.

    Parameters
    ----------
    lengths : Tensor
        Valid length of each row, shape (B,).
    size : int
        Length of the longest row.
    prob, span
        See `SpecAugmentConfig`.

    Returns
    -------
    Tensor
        Boolean mask of shape (B, size), true where masked.
    """
    lengths = lengths.cpu()
    wanted = prob * lengths / span + torch.rand(len(lengths))
    count = torch.where(lengths >= span, wanted.floor().long(), 0)
    most = int(count.max()) if len(count) else 0
    starts = (torch.rand(len(lengths), most) * (lengths - span + 1).clamp(min=1)[:, None]).long()
    covered = (starts[:, :, None] + torch.arange(span)).clamp(max=size - 1)
    active = (torch.arange(most)[None] < count[:, None])[:, :, None].expand_as(covered)
    mask = torch.zeros(len(lengths), size, dtype=torch.int32)
    mask.scatter_add_(1, covered.flatten(1), active.flatten(1).int())
    return mask > 0


def spec_augment(hidden: Tensor, frames: Tensor, mask_vector: Tensor, config: SpecAugmentConfig) -> Tensor:
    """Replace spans of frames by the mask vector and set spans of channels to zero.

    Parameters
    ----------
    hidden : Tensor
        Input of the transformer, shape (B, T, D).
    frames : Tensor
        Valid frames per row, shape (B,).
    mask_vector : Tensor
        What masked frames become, shape (D,).

    Returns
    -------
    Tensor
        A new tensor of the same shape.
    """
    batch, length, width = hidden.shape
    in_time = draw_spans(frames, length, config.time_prob, config.time_length).to(hidden.device)
    hidden = torch.where(in_time[:, :, None], mask_vector.to(hidden.dtype), hidden)
    widths = torch.full((batch,), width)
    in_channel = draw_spans(widths, width, config.channel_prob, min(config.channel_length, width)).to(
        hidden.device
    )
    return hidden.masked_fill(in_channel[:, None, :], 0.0)
