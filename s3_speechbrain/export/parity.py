"""An exported file against the recogniser that it came from, clip by clip."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference.optimise import difference

MOST_ERROR = 1e-3  # of a float32 file: the rounding of other kernels in another order


@dataclass(frozen=True)
class Parity:
    """How far apart two recognisers are on some clips.

    Attributes
    ----------
    clips : int
        That were compared.
    error, changed : float
        As from `difference`; the error is None where a clip has another number of frames.
    """

    clips: int
    error: float | None
    changed: float

    @property
    def exact(self) -> bool:
        """Whether they are the same up to rounding; without clips nothing shows that."""
        return self.clips > 0 and self.error is not None and self.error <= MOST_ERROR

    def as_record(self) -> dict[str, float | int | None]:
        """Return the fields as a mapping."""
        return asdict(self)


@torch.inference_mode()
def compare(recogniser: nn.Module, exported: OnnxRecogniser, clips: Sequence[Tensor]) -> Parity:
    """Compare the logits of an exported file with those of the recogniser.

    Parameters
    ----------
    recogniser : OneClip or Optimised
        In PyTorch.
    exported : OnnxRecogniser
        The file.
    clips : sequence of Tensor
        Waveforms (N,); those too short for a frame are left out.
    """
    used = [clip for clip in clips if clip.numel() >= exported.least_samples]
    wanted = [recogniser(clip[None]) for clip in used]
    found = [torch.from_numpy(exported.logits(clip.numpy()))[None] for clip in used]
    error, changed = difference(wanted, found)
    return Parity(len(used), error, changed)
