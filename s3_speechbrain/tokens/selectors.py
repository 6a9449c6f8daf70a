"""Token selectors: what stands between extractor and transformer and shortens the sequence."""

import torch
from torch import Tensor, nn

from s3_speechbrain.encoders.waveform import valid
from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens.removal import Shortened, reinsert, shorten

REDUCE = ("drop", "mean")
CUTS = ("before_positions", "after_positions")


class TokenSelector(nn.Module):
    """Shorten features between extractor and transformer. A clip gives the same alone and in a padded batch.

    Attributes
    ----------
    cut : str
        ``before_positions``: positions are counted on the shortened sequence. ``after_positions``: each kept
        frame gets the position that it has in the full one (positional convolution, or row of Whisper's table);
        a mean of frames the mean of theirs.
    needs_wave : bool
        It looks at the waveform, not at features alone.
    steady : bool
        It gives the same for a clip at any time, in training too, so that its output may be kept in memory.
    config : TokenConfig or None
        The settings that it was made of, by `make_selector`.
    """

    config = None

    cut = "before_positions"
    needs_wave = False
    steady = True

    def forward(
        self, features: Tensor, frames: Tensor, needed: Tensor | None = None, wavs: Tensor | None = None
    ) -> Shortened:
        """Shorten a batch.

        Parameters
        ----------
        features : Tensor
            Shape (B, T, E).
        frames : Tensor
            Valid frames, int64, shape (B,).
        needed : Tensor, optional
            Frames that CTC needs for each row's target, shape (B,): at least so many are left, as far as the
            row has them. In training only; in use there is no target.
        wavs : Tensor, optional
            The waveforms (B, N), zero beyond each clip, for selectors with `needs_wave`.
        """
        raise NotImplementedError

    def macs(self, frames: int) -> int:
        """Count the multiply-accumulate operations that choosing takes for a clip of so many frames."""
        del frames
        return 0


class ScoredSelector(TokenSelector):
    """Keep the frames whose score is above a threshold, and each clip's first.

    Parameters
    ----------
    scorer : nn.Module
        (features, frames, wavs) to scores (B, T); not trained in here.
    threshold : float
        What a score has to exceed.
    reduce : {"drop", "mean"}
        Leave the others out, or average each kept frame with the dropped ones behind it.
    cut : {"before_positions", "after_positions"}
        See `TokenSelector`.
    jitter : float
        Standard deviation of normal noise on the threshold in training, one draw per clip.
    """

    def __init__(
        self,
        scorer: nn.Module,
        threshold: float = 0.0,
        *,
        reduce: str = "drop",
        cut: str = "before_positions",
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        if cut not in CUTS:
            raise UserError(f"cut is {cut!r}: choose one of {', '.join(CUTS)}")
        self.scorer = scorer.requires_grad_(False)
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.reduce, self.cut, self.jitter = reduce, cut, jitter
        self.needs_wave = getattr(scorer, "needs_wave", False)
        self.steady = jitter == 0 and getattr(scorer, "steady", True)

    def macs(self, frames: int) -> int:
        """Count those of the scorer; see `TokenSelector`."""
        return self.scorer.macs(frames) if hasattr(self.scorer, "macs") else 0

    @torch.no_grad()
    def scores(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Return the scores (B, T), in float32 whatever the precision of training."""
        if self.needs_wave and wavs is None:
            raise UserError("this selector needs waveforms, and got features alone")
        with torch.autocast(features.device.type, enabled=False):
            return self.scorer(features.float(), frames, wavs).float()

    def forward(
        self, features: Tensor, frames: Tensor, needed: Tensor | None = None, wavs: Tensor | None = None
    ) -> Shortened:
        """Shorten a batch; see `TokenSelector`."""
        scores = self.scores(features, frames, wavs)
        threshold = self.threshold
        if self.training and self.jitter:
            threshold = threshold + self.jitter * torch.randn(len(frames), 1).to(scores.device)
        keep = scores > threshold
        reinserted = torch.zeros_like(frames)
        if needed is not None:
            keep, reinserted = reinsert(keep, scores, frames, needed)
        short, kept = shorten(features, frames, keep, means=self.reduce == "mean")
        return Shortened(short, kept.frames, kept, reinserted)


class ConvSelector(TokenSelector):
    """A trained convolution with a stride in front of the transformer; it starts as the mean of its frames.

    Parameters
    ----------
    width : int
        Width E of the features.
    factor : int
        Frames that become one: ``ceil(T / factor)`` are left.
    """

    steady = False  # it learns

    def __init__(self, width: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv1d(width, width, factor, stride=factor)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(width)[:, :, None].expand(-1, -1, factor) / factor)
            self.conv.bias.zero_()

    def macs(self, frames: int) -> int:
        """Count those of the convolution; see `TokenSelector`."""
        return self.conv.weight.numel() * -(-frames // self.factor)

    def forward(
        self, features: Tensor, frames: Tensor, needed: Tensor | None = None, wavs: Tensor | None = None
    ) -> Shortened:
        """Shorten a batch; see `TokenSelector`. No frame can be put back, so `needed` is not heeded."""
        del needed, wavs
        inside = valid(frames, features.shape[1])[:, :, None].to(features.dtype)
        missing = -features.shape[1] % self.factor
        padded = nn.functional.pad(features * inside, (0, 0, 0, missing))
        short = self.conv(padded.transpose(1, 2)).transpose(1, 2)
        left = torch.div(frames + self.factor - 1, self.factor, rounding_mode="floor")
        short = short * valid(left, short.shape[1])[:, :, None].to(short.dtype)
        return Shortened(short, left, None, torch.zeros_like(frames))
