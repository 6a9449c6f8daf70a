"""The detector of salient frames: a small convolutional network on the extractor's features."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from s3_speechbrain.encoders.waveform import valid
from s3_speechbrain.errors import UserError


@dataclass(frozen=True)
class DetectorConfig:
    """Size of a detector.

    Parameters
    ----------
    width : int
        Channels.
    layers : int
        Depthwise-separable convolutions.
    kernel : int
        Frames that each convolution sees; odd.
    """

    width: int = 128
    layers: int = 3
    kernel: int = 9

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if self.kernel % 2 == 0 or self.kernel < 1:
            raise UserError(f"the detector's kernel is {self.kernel}: give an odd number of frames")
        if self.width < 1 or self.layers < 1:
            raise UserError("the detector needs a width and layers of 1 or more")


class _Separable(nn.Module):
    """Depthwise and pointwise convolution around a residual connection."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.pointwise = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        # zeros stand beyond the clip's end, as a convolution's own padding puts them beyond the batch's
        inner = (self.norm(hidden) * mask).transpose(1, 2)
        return hidden + self.pointwise(F.gelu(self.depthwise(inner)).transpose(1, 2))


class TokenDetector(nn.Module):
    """Score each frame: the logit of its being salient.

    Parameters
    ----------
    features : int
        Width E of the extractor's features.
    config : DetectorConfig
        The size.
    """

    def __init__(self, features: int, config: DetectorConfig | None = None) -> None:
        super().__init__()
        config = config or DetectorConfig()
        self.features, self.config = features, config
        self.entry = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, config.width))
        self.blocks = nn.ModuleList(_Separable(config.width, config.kernel) for _ in range(config.layers))
        self.exit = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 1))

    def macs(self, frames: int) -> int:
        """Count its multiply-accumulate operations: every weight but those of norms, once per frame."""
        layers = (module for module in self.modules() if isinstance(module, nn.Linear | nn.Conv1d))
        return frames * sum(layer.weight.numel() for layer in layers)

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Return logits (B, T) of features (B, T, E) with valid frames (B,); padding is never seen."""
        del wavs
        mask = valid(frames, features.shape[1])[:, :, None].to(features.dtype)
        hidden = self.entry(features)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.exit(hidden)[:, :, 0]


def detector_loss(logits: Tensor, targets: Tensor, frames: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Return the binary cross-entropy per valid frame.

    Parameters
    ----------
    logits : Tensor
        Shape (B, T).
    targets : Tensor
        Boolean, or the probability of being salient; shape (B, T).
    frames : Tensor
        Valid frames, shape (B,).
    positive_weight : float
        Factor on the loss of salient frames: a missed one loses a symbol, one too many only costs time.
    """
    inside = valid(frames, logits.shape[1])
    losses = F.binary_cross_entropy_with_logits(
        logits.float(),
        targets.float(),
        pos_weight=logits.new_tensor(positive_weight, dtype=None).float(),
        reduction="none",
    )
    return (losses * inside).sum() / inside.sum().clamp(min=1)
