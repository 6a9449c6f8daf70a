"""What a student is trained to predict: a teacher's layers (DistilHuBERT) or discrete units (HuBERT, BEST-RQ)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.spec_augment import draw_spans
from s3_speechbrain.encoders.waveform import valid

PAST = -1  # stands for a unit where a clip has ended


class Labeller(Protocol):
    """Turns waveforms into one unit per 20 ms frame. A clip's units are the same alone and in any batch."""

    units: int
    centre: float  # of its first frame, in samples

    def __call__(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        """Return int64 labels of shape (B, T) on the waveforms' device, `PAST` beyond each clip's frames."""


def frame_centre(encoder: SpeechEncoder) -> float:
    """Return where in a clip, in samples, the centre of an encoder's first frame lies.

    Whisper pads its spectrogram by half a window, so its frames are centred on multiples of 20 ms; an extractor
    without padding is late by half its receptive field. Frames of two encoders match when their centres do.
    """
    if encoder.family == "whisper":
        return 0.0
    field, jump = 1, 1
    for layer in encoder.model.feature_extractor.conv_layers:
        field += (layer.conv.kernel_size[0] - 1) * jump
        jump *= layer.conv.stride[0]
    return field / 2


def frames_late(student: SpeechEncoder, centre: float) -> int:
    """Count by how many frames a student's frames come after targets whose first frame is centred at `centre`."""
    return max(0, round((frame_centre(student) - centre) / student.frame_stride))


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


class TaughtLayers:
    """Some layers of a frozen teacher, computed once per clip if asked to.

    Parameters
    ----------
    teacher : SpeechEncoder
        Frozen; any family.
    layers : sequence of int
        Which layers, 0 being the transformer's input.
    remember : bool
        Keep what was computed in memory as float16: 100 kB a second of audio for two layers of width 512. Worth it
        from the second pass over the data on.
    """

    def __init__(self, teacher: SpeechEncoder, layers: Sequence[int], remember: bool = False) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.layers = sorted(set(layers))
        self.remember = remember
        self._known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(
        self, wavs: Tensor, wav_lens: Tensor, names: Sequence[str]
    ) -> tuple[dict[int, Tensor], Tensor]:
        """Return layer -> hidden states (B, T, D), and valid frames (B,), of clips known by unique names."""
        if not all(name in self._known for name in names):
            self.teacher.to(wavs.device)
            every, frames = self.teacher(wavs, wav_lens, all_layers=True)
            chosen = torch.stack([every[layer] for layer in self.layers], dim=2)
            if not self.remember:
                return dict(zip(self.layers, chosen.float().unbind(2), strict=True)), frames
            for name, row, count in zip(names, chosen, frames.tolist(), strict=True):
                self._known[name] = row[:count].half().cpu()
        rows = [self._known[name] for name in names]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(wavs.device).float()
        frames = torch.tensor([len(row) for row in rows], device=wavs.device)
        return dict(zip(self.layers, padded.unbind(2), strict=True)), frames


class LayerRegression(nn.Module):
    """Match a frozen teacher's layers: L1 and cosine on standardised channels (DistilHuBERT, Equation 1).

    Each pair has a linear head of its own, thrown away after pretraining.

    Parameters
    ----------
    teacher : SpeechEncoder
        Frozen; not part of the student's checkpoint.
    pairs : sequence of (int, int)
        (student layer, teacher layer), 0 being the transformer's input.
    width : int
        Student width D.
    cosine : float
        Weight of the cosine term.
    remember : bool
        See `TaughtLayers`.
    """

    def __init__(
        self,
        teacher: SpeechEncoder,
        pairs: Sequence[Sequence[int]],
        width: int,
        cosine: float = 1.0,
        remember: bool = False,
    ) -> None:
        super().__init__()
        self.pairs = [tuple(pair) for pair in pairs]
        self.cosine = cosine
        self.taught = TaughtLayers(teacher, [layer for _, layer in self.pairs], remember)
        names = [f"{student}_{target}" for student, target in self.pairs]
        self.heads = nn.ModuleDict({name: nn.Linear(width, teacher.width) for name in names})
        self.scales = nn.ModuleDict({name: Standardise(teacher.width) for name in names})

    def forward(
        self, student: SpeechEncoder, wavs: Tensor, wav_lens: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """Return the loss and its parts for one batch of waveforms (B, N) of clips with unique names."""
        taught, taught_frames = self.taught(wavs, wav_lens, names)
        late = frames_late(student, frame_centre(self.taught.teacher))
        taught = {layer: states[:, late:] for layer, states in taught.items()}
        taught_frames = taught_frames - late
        learned, frames = student(wavs, wav_lens, all_layers=True)
        size = min(learned[0].shape[1], next(iter(taught.values())).shape[1])
        mask = valid(torch.minimum(frames, taught_frames), size)
        parts = {}
        with torch.autocast(wavs.device.type, enabled=False):
            for (student_layer, teacher_layer), name in zip(self.pairs, self.heads, strict=True):
                target = taught[teacher_layer][:, :size][mask]
                if self.training:
                    self.scales[name].update(target)
                guess = self.heads[name](learned[student_layer][:, :size][mask].float())
                parts[name] = self._distance(guess, self.scales[name](target))
        return {"loss": torch.stack(list(parts.values())).mean(), **parts}

    def _distance(self, guess: Tensor, target: Tensor) -> Tensor:
        similarity = nn.functional.cosine_similarity(guess, target, dim=-1)
        return (guess - target).abs().mean() - self.cosine * nn.functional.logsigmoid(similarity).mean()


class MaskedPrediction(nn.Module):
    """Predict the units of masked frames from their context (HuBERT, Section II-B; BEST-RQ, Section 3).

    Parameters
    ----------
    labeller : Labeller
        Gives the units; not part of the checkpoint.
    width : int
        Student width.
    mask : mapping
        ``prob`` and ``length`` of masked spans, in frames.
    """

    def __init__(self, labeller: Labeller, width: int, mask: Mapping[str, float]) -> None:
        super().__init__()
        # In a list it is no module of this one: nothing of it is trained, saved or moved; it moves itself.
        self._labeller = [labeller]
        self.mask = dict(mask)
        self.head = nn.Linear(width, labeller.units)

    def forward(
        self, student: SpeechEncoder, wavs: Tensor, wav_lens: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """Return the loss and the accuracy on masked frames for one batch of waveforms (B, N)."""
        del names
        late = frames_late(student, self._labeller[0].centre)
        with torch.autocast(wavs.device.type, enabled=False):  # rounding to bfloat16 would change units
            labels = self._labeller[0](wavs, wav_lens)[:, late:]
        features, frames = student.extract(wavs, wav_lens)
        frames = torch.minimum(frames, (labels != PAST).sum(1))
        masked = draw_spans(frames, features.shape[1], self.mask["prob"], int(self.mask["length"])).to(
            wavs.device
        )
        known = valid(frames, features.shape[1])
        if not (masked & known).any():
            masked[:, 0] = True  # a batch of very short clips still needs something to predict
        hidden = student.contextualise(features, frames, time_mask=masked)
        chosen = (masked & known)[:, : labels.shape[1]]
        with torch.autocast(wavs.device.type, enabled=False):
            logits = self.head(hidden[:, : chosen.shape[1]][chosen].float())
            target = labels[:, : chosen.shape[1]][chosen]
            loss = nn.functional.cross_entropy(logits, target)
        return {"loss": loss, "accuracy": (logits.argmax(-1) == target).float().mean()}
