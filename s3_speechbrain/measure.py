"""What a run costs: parameters, bytes per language, memory, time, real-time factor, software versions."""

import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.memory import peak_rss_mb, reset_peak_rss

__all__ = [
    "LanguageBytes",
    "ParameterCount",
    "Speed",
    "WallClock",
    "count_parameters",
    "entropy_bytes",
    "language_bytes",
    "peak_rss_mb",
    "real_time_factor",
    "reset_peak_rss",
    "tensor_bytes",
    "versions",
]
PACKAGES = ("s3-speechbrain", "torchaudio", "speechbrain", "transformers", "numpy")


class ParameterCount(NamedTuple):
    """Numbers of parameters: of the deployed network, and of what training changes."""

    total: int
    trainable: int


def count_parameters(*modules: nn.Module) -> ParameterCount:
    """Count the parameters of networks; a parameter shared by several places counts once.

    Parameters
    ----------
    *modules : torch.nn.Module
        For example the encoder and the head.

    Returns
    -------
    ParameterCount
        ``total`` leaves out what only a parametrisation holds (mask scores): the network that runs later is
        without it. ``trainable`` counts everything with ``requires_grad``, mask scores included.
    """
    weights: dict[int, int] = {}
    trainable: dict[int, int] = {}
    for module in modules:
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                trainable[id(parameter)] = parameter.numel()
            # torch keeps a parametrised weight as "parametrizations.weight.original" (or original0, ...)
            path = name.split(".")
            if "parametrizations" not in path or path[-1].startswith("original"):
                weights[id(parameter)] = parameter.numel()
    return ParameterCount(sum(weights.values()), sum(trainable.values()))


def entropy_bytes(kept: int, total: int) -> float:
    """Return the least bytes, on average, that a random mask of `total` bits with `kept` ones needs.

    That is ``total * H(kept / total) / 8`` with the binary entropy H in bits.

    Raises
    ------
    ValueError
        If `kept` lies outside 0 to `total`.
    """
    if not 0 <= kept <= total:
        raise ValueError(f"{kept} kept of {total}")
    if kept in (0, total):
        return 0.0
    share = kept / total
    return -total * (share * math.log2(share) + (1 - share) * math.log2(1 - share)) / 8


def tensor_bytes(tensors: Iterable[Tensor], dtype: torch.dtype | None = None) -> int:
    """Count the bytes of tensors as they are, or stored as `dtype`."""
    return sum(tensor.numel() * (dtype or tensor.dtype).itemsize for tensor in tensors)


class LanguageBytes(NamedTuple):
    """What one more language adds to a shared backbone, in bytes."""

    entropy: float  # lower bound for the masks alone
    masks: int  # the masks at one bit per weight, each matrix padded to whole bytes
    weights: int  # head and whatever else is stored for the language
    vocabulary: int  # the tokens as UTF-8 text, one per line

    @property
    def packed(self) -> int:
        """Bytes to store now: masks at one bit per weight, weights and vocabulary."""
        return self.masks + self.weights + self.vocabulary

    @property
    def bound(self) -> int:
        """Bytes that no coding of the masks goes below: their entropy, weights and vocabulary."""
        return math.ceil(self.entropy) + self.weights + self.vocabulary


def language_bytes(
    masks: Mapping[str, Tensor] | None,
    weights: Iterable[Tensor],
    vocabulary: Sequence[str] = (),
    dtype: torch.dtype | None = None,
) -> LanguageBytes:
    """Count what has to be stored for one language.

    Parameters
    ----------
    masks : mapping or None
        Layer name to boolean keep mask of any shape; None for methods without masks.
    weights : iterable of tensors
        Everything else of this language: the head (``head.parameters()``), and for dense finetuning, LoRA or
        BitFit the weights that differ from the backbone.
    vocabulary : sequence of str
        The output tokens.
    dtype : torch.dtype, optional
        Count the weights as stored in this type instead of their own.

    Returns
    -------
    LanguageBytes
        With ``packed``, the bytes to report, and ``bound``, the least possible.
    """
    masks = masks or {}
    return LanguageBytes(
        entropy=sum(entropy_bytes(int(mask.sum()), mask.numel()) for mask in masks.values()),
        masks=sum(-(-mask.numel() // 8) for mask in masks.values()),
        weights=tensor_bytes(weights, dtype),
        vocabulary=sum(len(token.encode()) + 1 for token in vocabulary),
    )


@dataclass(frozen=True)
class Speed:
    """A measured real-time factor with the conditions it holds under."""

    rtf: float
    threads: int
    dtype: str
    device: str
    audio_s: float
    repeats: int
    load: float  # the machine's load average over one minute, before measuring; NaN where there is none

    def as_metrics(self) -> dict[str, Any]:
        """Return the `speed` fields of metrics.json; the load is None where the system tells none."""
        load = None if math.isnan(self.load) else round(self.load, 2)
        names = ("threads", "dtype", "device", "audio_s", "repeats")
        return {"rtf": self.rtf, "load": load, **{name: getattr(self, name) for name in names}}


def real_time_factor(transcribe: Callable[[Tensor], Any], clips: Sequence[Tensor], **options: Any) -> Speed:
    """Measure seconds of computing per second of audio, one clip at a time; see `real_time_factors`."""
    return real_time_factors([transcribe], clips, **options)[0]


def real_time_factors(
    transcribes: Sequence[Callable[[Tensor], Any]],
    clips: Sequence[Tensor],
    *,
    sampling_rate: int = 16000,
    dtype: torch.dtype | str = torch.float32,
    repeats: int = 3,
    warmup: int = 1,
) -> list[Speed]:
    """Measure several recognisers in turns on each clip, so that they meet the same load and ratios can be trusted.

    Parameters
    ----------
    transcribes : sequence of callables
        Each is called with one clip; whatever it returns is dropped. They run without gradients.
    clips : sequence of tensors
        Waveforms, each of shape (samples,), on the device that is to be measured.
    sampling_rate : int
        Samples per second of the clips.
    dtype : torch.dtype or str
        The number type that they compute in, for the record.
    repeats : int
        Passes over all clips; of each clip the fastest counts, since other load on the machine only ever adds time.
    warmup : int
        Clips to run first, unmeasured.

    Returns
    -------
    list of Speed
        Real-time factors with thread count, number type, device and load.

    Raises
    ------
    UserError
        If there are no clips or they hold no samples.
    """
    samples = sum(clip.shape[-1] for clip in clips)
    if samples == 0 or repeats < 1:
        raise UserError("real-time factor: give at least one clip that is not empty and one repeat")
    device = clips[0].device
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan

    def timed(transcribe: Callable[[Tensor], Any], clip: Tensor) -> float:
        start = time.perf_counter()
        transcribe(clip)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # kernels run on after the call returns
        return time.perf_counter() - start

    with torch.inference_mode():
        for transcribe in transcribes:
            for clip in clips[:warmup]:
                transcribe(clip)
        passes = [
            [[timed(transcribe, clip) for transcribe in transcribes] for clip in clips]
            for _ in range(repeats)
        ]
    fastest = np.array(passes).min(axis=0).sum(axis=0)  # of (passes, clips, recognisers)
    seconds = samples / sampling_rate
    name, threads = str(dtype).removeprefix("torch."), torch.get_num_threads()
    return [
        Speed(float(needed) / seconds, threads, name, device.type, seconds, repeats, load)
        for needed in fastest
    ]


class WallClock:
    """Seconds of work, also across a stop and a resume.

    Parameters
    ----------
    already : float
        Seconds spent before this process took over.

    Examples
    --------
    >>> with WallClock(already=120.0) as clock:
    ...     pass
    >>> clock.seconds >= 120.0
    True
    """

    def __init__(self, already: float = 0.0) -> None:
        self.already = already
        self._start: float | None = None

    def __enter__(self) -> "WallClock":
        """Start counting."""
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop counting."""
        self.already = self.seconds
        self._start = None

    @property
    def seconds(self) -> float:
        """Seconds so far; readable while the clock runs."""
        return self.already + (0.0 if self._start is None else time.perf_counter() - self._start)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result, as far as installed."""
    # torch names its build ("+cpu", "+cu130"), which its package metadata leaves out
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
