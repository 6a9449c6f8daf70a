"""What a student is trained to predict: a teacher's layers (DistilHuBERT) or discrete units (HuBERT, BEST-RQ)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.spec_augment import draw_spans
from s3_speechbrain.encoders.waveform import valid


class Labeller(Protocol):
    """Turns waveforms into one unit per 20 ms frame."""

    units: int

    def __call__(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return int64 labels of shape (B, T)."""


class Standardise(nn.Module):
    """Bring each channel to zero mean and unit variance with running statistics over valid frames."""

    def __init__(self, width: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, frames: Tensor) -> None:
        """Learn from a batch of frames (n, D)."""
        self.seen += 1
        rate = max(self.momentum, 1.0 / float(self.seen))
        self.mean.lerp_(frames.mean(0), rate)
        self.variance.lerp_(frames.var(0, unbiased=False), rate)

    def forward(self, frames: Tensor) -> Tensor:
        """Standardise frames (n, D)."""
        return (frames - self.mean) * torch.rsqrt(self.variance + 1e-5)


class LayerRegression(nn.Module):
    """Match a frozen teacher's layers: L1 and cosine on standardised channels (DistilHuBERT, Equation 1).

    Parameters
    ----------
    teacher : SpeechEncoder
        Frozen; not part of the student's checkpoint.
    pairs : sequence of (int, int)
        (student layer, teacher layer), 0 being the transformer's input. A pair of inner layers with equal numbers
        is matched directly, so that layers taken over from the teacher stay meaningful; any other goes through a
        linear head of its own, thrown away after pretraining.
    width : int
        Student width D.
    cosine : float
        Weight of the cosine term.
    """

    def __init__(
        self, teacher: SpeechEncoder, pairs: Sequence[Sequence[int]], width: int, cosine: float = 1.0
    ) -> None:
        super().__init__()
        self._teacher = [teacher.eval().requires_grad_(False)]  # in a list: not a submodule, never saved
        self.pairs = [tuple(pair) for pair in pairs]
        self.cosine = cosine
        last = max(student for student, _ in self.pairs)
        self.heads = nn.ModuleDict()
        self.scales = nn.ModuleDict()
        for student, target in self.pairs:
            key = f"{student}_{target}"
            self.scales[key] = Standardise(teacher.width)
            if student != target or student == last:
                self.heads[key] = nn.Linear(width, teacher.width)

    def forward(self, student: SpeechEncoder, wavs: Tensor, wav_lens: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts for one batch of waveforms (B, N)."""
        teacher = self._teacher[0].to(wavs.device)
        with torch.no_grad():
            taught, taught_frames = teacher(wavs, wav_lens, all_layers=True)
        learned, frames = student(wavs, wav_lens, all_layers=True)
        size = min(learned[0].shape[1], taught[0].shape[1])
        mask = valid(torch.minimum(frames, taught_frames), size)
        parts = {}
        with torch.autocast(wavs.device.type, enabled=False):
            for student_layer, teacher_layer in self.pairs:
                key = f"{student_layer}_{teacher_layer}"
                target = taught[teacher_layer][:, :size][mask].float()
                guess = learned[student_layer][:, :size][mask].float()
                guess = self.heads[key](guess) if key in self.heads else guess
                parts[key] = self._distance(self.scales[key], guess, target, direct=key not in self.heads)
        return {"loss": torch.stack(list(parts.values())).mean(), **parts}

    def _distance(self, scale: Standardise, guess: Tensor, target: Tensor, direct: bool) -> Tensor:
        if self.training:
            scale.update(target)
        target = scale(target)
        guess = scale(guess) if direct else guess
        similarity = nn.functional.cosine_similarity(guess, target, dim=-1)
        return (guess - target).abs().mean() - self.cosine * nn.functional.logsigmoid(similarity).mean()


class MaskedPrediction(nn.Module):
    """Predict the units of masked frames from their context (HuBERT, Section II-B; BEST-RQ, Section 3).

    Parameters
    ----------
    labeller : Labeller
        Gives the units.
    width : int
        Student width.
    mask : mapping
        ``prob`` and ``length`` of masked spans, in frames.
    """

    def __init__(self, labeller: Labeller, width: int, mask: Mapping[str, float]) -> None:
        super().__init__()
        self._labeller = [labeller]
        self.mask = dict(mask)
        self.head = nn.Linear(width, labeller.units)

    def forward(self, student: SpeechEncoder, wavs: Tensor, wav_lens: Tensor) -> dict[str, Tensor]:
        """Return the loss and the accuracy on masked frames for one batch of waveforms (B, N)."""
        labels = self._labeller[0](wavs, wav_lens)
        features, frames = student.extract(wavs, wav_lens)
        frames = frames.clamp(max=labels.shape[1])
        masked = draw_spans(frames, features.shape[1], self.mask["prob"], int(self.mask["length"])).to(
            wavs.device
        )
        if not (masked & valid(frames, features.shape[1])).any():
            masked[:, 0] = True  # a batch of very short clips still needs something to predict
        hidden = student.contextualise(features, frames, time_mask=masked)
        chosen = masked[:, : labels.shape[1]] & valid(frames, min(labels.shape[1], masked.shape[1]))
        with torch.autocast(wavs.device.type, enabled=False):
            logits = self.head(hidden[:, : chosen.shape[1]][chosen].float())
            target = labels[:, : chosen.shape[1]][chosen]
            loss = nn.functional.cross_entropy(logits, target)
        return {"loss": loss, "accuracy": (logits.argmax(-1) == target).float().mean()}
