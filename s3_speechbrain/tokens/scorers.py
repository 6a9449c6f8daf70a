"""What makes a frame worth keeping, other than a trained detector: scores (B, T), higher is kept."""

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.waveform import valid
from s3_speechbrain.macs import count_macs
from s3_speechbrain.tokens.labels import salient_frames

GOLDEN = 0.6180339887498949


class UniformScorer(nn.Module):
    """1 for every k-th frame, k the inverse of a ratio; below 0 elsewhere.

    Frame t is kept where ``floor(t * ratio)`` is larger than at frame t - 1: of T frames
    ``floor((T - 1) * ratio) + 1``, the first among them.
    """

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.ratio = Fraction(str(ratio)).limit_denominator(1000)

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Score by place alone."""
        del frames, wavs
        places = torch.arange(features.shape[1], device=features.device)
        top, bottom = self.ratio.numerator, self.ratio.denominator
        kept = places * top // bottom > torch.div((places - 1) * top, bottom, rounding_mode="floor")
        # the golden ratio's multiples spread evenly: frames that are put back do not cluster at the start
        scores = torch.where(kept, 1.0, places * GOLDEN % 1 - 1)
        return scores.expand(len(features), -1)


class RandomScorer(nn.Module):
    """Uniform on [0, 1): drawn anew in training, by the frame's place and a seed otherwise."""

    TABLE = 4096
    steady = False

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        table = torch.rand(self.TABLE, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("table", table)

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Score at random."""
        del frames, wavs
        if self.training:
            return torch.rand(features.shape[:2]).to(features.device)
        places = torch.arange(features.shape[1], device=features.device) % self.TABLE
        return self.table[places].expand(len(features), -1)


class EnergyScorer(nn.Module):
    """Energy of the waveform in dB below the clip's loudest frame, averaged over neighbours.

    An energy threshold is the simplest voice activity detector. torchaudio's `vad` only trims the start of a
    clip, and SpeechBrain's needs a network of its own that has to be downloaded.

    Parameters
    ----------
    hop, window : int
        Samples between frames, and samples that a frame's energy is taken over.
    smooth : int
        Frames to average over; odd.
    """

    needs_wave = True

    def __init__(self, hop: int = 320, window: int = 400, smooth: int = 5) -> None:
        super().__init__()
        self.hop, self.window, self.smooth = hop, window, smooth

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Score by energy."""
        length = features.shape[1]
        padded = F.pad(wavs, (0, self.window)).square()[:, None]  # the last frames may reach past the clip
        power = F.avg_pool1d(padded, self.window, self.hop)[:, 0, :length]
        mask = valid(frames, length).to(power.dtype)
        pair = torch.stack([power * mask, mask], dim=1)
        kernel = pair.new_ones(2, 1, self.smooth)
        sums = F.conv1d(pair, kernel, padding=self.smooth // 2, groups=2)
        level = 10 * torch.log10(sums[:, 0] / sums[:, 1].clamp(min=1) + 1e-10)
        return level - torch.where(mask > 0, level, -torch.inf).amax(1, keepdim=True)


class NoveltyScorer(nn.Module):
    """One minus the cosine similarity of a frame's features with those of the frame before."""

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Score by change; the first frame, which has none before it, gets 2, the largest value."""
        del frames, wavs
        change = 1 - F.cosine_similarity(features[:, 1:], features[:, :-1], dim=-1)
        return torch.cat([change.new_full((len(change), 1), 2.0), change], dim=1)


class TeacherScorer(nn.Module):
    """A whole teacher, run on the full sequence: what a perfect detector would say. Slow, for comparison only.

    Parameters
    ----------
    encoder, head : nn.Module
        The teacher, frozen here; it must share the student's extractor.
    target : {"salient", "blank"}
        1 on the frames that `salient_frames` marks and -1 elsewhere, or the log-odds of not being blank.
    n_first, blank_policy, blank
        As in `salient_frames`.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        head: nn.Module,
        target: str = "salient",
        n_first: int = 1,
        blank_policy: str = "first_of_run",
        blank: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.target = (
            encoder.requires_grad_(False),
            head.requires_grad_(False),
            target,
        )
        self.rule = {"n_first": n_first, "blank_policy": blank_policy, "blank": blank}

    def macs(self, frames: int) -> int:
        """Count those of the teacher behind the extractor, without its head."""
        seconds = frames * SpeechEncoder.frame_stride / SpeechEncoder.sampling_rate
        counted = count_macs(self.encoder, seconds, frames)
        return counted.total - counted.extractor

    def train(self, mode: bool = True) -> "TeacherScorer":
        """Stay in evaluation mode: no dropout in a teacher."""
        del mode
        return super().train(False)

    def forward(self, features: Tensor, frames: Tensor, wavs: Tensor | None = None) -> Tensor:
        """Score by the teacher's output."""
        del wavs
        logits = self.head(self.encoder.contextualise(features, frames))
        if self.target == "blank":
            return not_blank_logit(logits, self.rule["blank"])
        return salient_frames(logits.argmax(-1), frames, **self.rule).float() * 2 - 1


def not_blank_logit(logits: Tensor, blank: int = 0) -> Tensor:
    """Return the log-odds (B, T) of a frame's not being blank, from a recogniser's logits (B, T, V)."""
    others = torch.ones(logits.shape[-1], dtype=torch.bool, device=logits.device)
    others[blank] = False
    return logits[..., others].logsumexp(-1) - logits[..., blank]
