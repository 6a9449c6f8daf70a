"""Levers that make a recogniser faster on a CPU, each pulled only after its error was looked at.

Three of them, see docs/deployment.md for when each helps:

``onednn``  float32 matrix products through oneDNN instead of PyTorch's default library. The switch asks for
            bfloat16 arithmetic inside; a CPU that has no units for it computes in float32 just the same, one that
            has them may not, which is why the error decides and not the name.
``bf16``    weights and activations in bfloat16.
``int8``    linear layers with 8-bit weights, activations rounded to 8 bits per product; the rest stays float32.
"""

import contextlib
import copy
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from s3_speechbrain.brains.errors import edit_distance, greedy_decode
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.tokens import ConvSelector


@dataclass(frozen=True)
class Limit:
    """How far a lever may move the output.

    Parameters
    ----------
    error : float
        Most relative error of the logits (2-norm of the difference over that of float32's).
    changed : float
        Most share of changed labels: edits between greedy outputs over labels in float32's.
    """

    error: float
    changed: float


LIMITS = {"onednn": Limit(1e-4, 0.0), "bf16": Limit(0.1, 0.02), "int8": Limit(0.2, 0.02)}
DTYPES: dict[str, tuple[str, ...]] = {
    "float32": ("onednn",),
    "bfloat16": ("bf16", "onednn"),
    "int8": ("onednn", "int8"),
}


@dataclass(frozen=True)
class Pulled:
    """What became of a lever.

    Attributes
    ----------
    lever : str
        ``onednn``, ``bf16`` or ``int8``.
    applied : bool
        Whether the result uses it.
    why : str
        The reason, for people.
    error, changed : float or None
        As in `Limit`; None if it could not run, and ``error`` also where it keeps other frames than float32.
    """

    lever: str
    applied: bool
    why: str
    error: float | None = None
    changed: float | None = None

    def __str__(self) -> str:
        return f"{'applied' if self.applied else 'refused'} {self.lever}: {self.why}"


class Optimised(nn.Module):
    """A recogniser with levers pulled: waveform (1, N) to logits (1, T, V), and what was tried on the way.

    ``torch.backends`` is changed while a forward pass runs and set back after it, so that nothing else in the
    process computes differently, unless it does so in another thread at the same moment.

    Attributes
    ----------
    levers : list of Pulled
        All that were tried.
    dtype : str
        The arithmetic that the result uses: ``float32``, ``bfloat16`` or ``int8``.
    """

    def __init__(self, clip: nn.Module, levers: Sequence[Pulled]) -> None:
        super().__init__()
        self.clip, self.levers = clip, list(levers)
        names = {lever.lever for lever in self.levers if lever.applied}
        self.dtype = "bfloat16" if "bf16" in names else "int8" if "int8" in names else "float32"
        self._through_onednn = "onednn" in names

    @torch.inference_mode()
    def forward(self, wave: Tensor) -> Tensor:
        """Return logits in float32; see `OneClip`."""
        with onednn_products() if self._through_onednn else contextlib.nullcontext():
            return self.clip(wave)


class _Switch:
    """The process-wide switch of oneDNN's products, on while anyone needs it, then as it was before."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, ""

    def on(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.backends.mkldnn.matmul.fp32_precision
                torch.backends.mkldnn.matmul.fp32_precision = "bf16"
            self._users += 1

    def off(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                torch.backends.mkldnn.matmul.fp32_precision = self._before


_SWITCH = _Switch()


@contextlib.contextmanager
def onednn_products() -> Iterator[None]:
    """Route float32 matrix products through oneDNN while the block runs, in the whole process.

    Blocks may overlap in several threads; the setting of before comes back when the last one ends.
    """
    _SWITCH.on()
    try:
        yield
    finally:
        _SWITCH.off()


def optimize_for_inference(
    recogniser: Recogniser,
    dtype: str = "float32",
    clips: Sequence[Tensor] | None = None,
    limits: Mapping[str, Limit] = LIMITS,
) -> Optimised:
    """Pull the levers of a number type, those of them whose error on sample clips is within limits.

    Parameters
    ----------
    recogniser : Recogniser
        In the form that it runs in, on the CPU; left as it is.
    dtype : {"float32", "bfloat16", "int8"}
        What to try. Where ``bf16`` or ``int8`` is refused, float32 remains, with ``onednn`` if that holds.
    clips : sequence of Tensor, optional
        Waveforms (N,) at 16 kHz to measure errors on; real speech is best. Default two clips of noise.
    limits : mapping of str to Limit
        By lever.

    Returns
    -------
    Optimised
        Its `levers` say what was applied and what was refused, and why.

    Raises
    ------
    UserError
        If the number type is unknown, or no clip has a frame.
    """
    if dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}: choose one of {', '.join(DTYPES)}")
    plain = OneClip(recogniser)
    waves = [
        wave[None] for wave in (_noise() if clips is None else clips) if wave.numel() >= plain.least_samples
    ]
    if not waves:
        raise UserError("no clip to check errors on is long enough for a frame; give longer ones")
    wanted = Optimised(plain, [])
    exact = [wanted(wave) for wave in waves]
    chosen: nn.Module = plain
    pulled: list[Pulled] = []
    for lever in DTYPES[dtype]:
        if lever == "onednn" and any(other.lever == "bf16" and other.applied for other in pulled):
            break  # no float32 product is left
        tried, result = _try(lever, Optimised(chosen, pulled), waves, exact, limits[lever])
        pulled.append(tried)
        chosen = result if tried.applied else chosen
    return Optimised(chosen, pulled)


def _try(
    lever: str, so_far: Optimised, waves: Sequence[Tensor], exact: Sequence[Tensor], limit: Limit
) -> tuple[Pulled, nn.Module]:
    clip = so_far.clip
    reason = _unusable(lever)
    if reason:
        return Pulled(lever, False, reason), clip
    try:
        changed_clip = _LEVERS[lever](clip)
        hope = Optimised(changed_clip, [*so_far.levers, Pulled(lever, True, "tried")])
        found = [hope(wave) for wave in waves]
    except (RuntimeError, TypeError, AttributeError, NotImplementedError) as problem:
        return Pulled(lever, False, f"it cannot run here ({' '.join(str(problem).split())[:120]})"), clip
    error, changed = difference(exact, found)
    told = (
        f"error {'unknown' if error is None else f'{error:.1e}'}, {100 * changed:.2f} % of the labels changed"
    )
    allowed = f"at most {limit.error:.1e} and {100 * limit.changed:.2f} %"
    good = changed <= limit.changed and (error is None or error <= limit.error)
    return Pulled(
        lever, good, told if good else f"{told}; allowed are {allowed}", error, changed
    ), changed_clip


def difference(exact: Sequence[Tensor], found: Sequence[Tensor]) -> tuple[float | None, float]:
    """Compare logits of some clips.

    Parameters
    ----------
    exact, found : sequence of Tensor
        Shape (1, T, V) each.

    Returns
    -------
    error : float or None
        2-norm of the difference over that of `exact`; None if some clip has another number of frames (a token
        selector that decided otherwise). Infinite if `found` is not finite.
    changed : float
        Edits between the greedy label sequences over the labels in those of `exact`.
    """
    labels = [
        [greedy_decode(row, torch.tensor([row.shape[1]]))[0] for row in rows] for rows in (exact, found)
    ]
    edits = sum(edit_distance(one, other) for one, other in zip(*labels, strict=True))
    changed = edits / max(1, sum(map(len, labels[0])))
    if any(one.shape != other.shape for one, other in zip(exact, found, strict=True)):
        return None, changed
    if not all(row.isfinite().all() for row in found):
        return float("inf"), changed
    apart = sum(float((one - other).square().sum()) for one, other in zip(exact, found, strict=True))
    return (apart / max(1e-30, sum(float(row.square().sum()) for row in exact))) ** 0.5, changed


def _unusable(lever: str) -> str | None:
    if lever in ("onednn", "bf16") and not torch.backends.mkldnn.is_available():
        return "this PyTorch was built without oneDNN"
    if lever == "int8" and "onednn" not in torch.backends.quantized.supported_engines:
        return "this PyTorch has no oneDNN engine for 8-bit products"
    return None


def _half(clip: nn.Module) -> nn.Module:
    """Copy a recogniser with bfloat16 weights; what scores frames stays float32, as thresholds are sharp."""
    clip = copy.deepcopy(clip)
    clip.encoder.model.to(torch.bfloat16)
    clip.head.to(torch.bfloat16)
    if isinstance(clip.selector, ConvSelector):
        clip.selector.to(torch.bfloat16)
    return clip


def _eight_bits(clip: nn.Module) -> nn.Module:
    """Copy a recogniser with 8-bit linear layers in its transformer."""
    from torch.ao.quantization import default_dynamic_qconfig, quantize_dynamic

    clip = copy.deepcopy(clip)
    before = torch.backends.quantized.engine
    layers = [name for name, layer in clip.encoder.layers.named_modules() if isinstance(layer, nn.Linear)]
    try:
        torch.backends.quantized.engine = "onednn"  # weights are packed for the engine of this moment
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torchao, the successor, is slower on a CPU
            quantize_dynamic(
                clip.encoder.layers, dict.fromkeys(layers, default_dynamic_qconfig), inplace=True
            )
    finally:
        torch.backends.quantized.engine = before
    return clip


_LEVERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "onednn": lambda clip: clip,
    "bf16": _half,
    "int8": _eight_bits,
}


def _noise() -> list[Tensor]:
    """Return two clips of noise that swells and fades."""
    generator = torch.Generator().manual_seed(0)
    clips = []
    for seconds in (2, 5):
        times = torch.arange(seconds * 16000)
        clips.append(0.1 * torch.randn(len(times), generator=generator) * torch.sin(times / 3000.0).abs())
    return clips
