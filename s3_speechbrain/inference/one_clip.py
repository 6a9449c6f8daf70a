"""A recogniser as it is deployed: one clip at a time, so nothing is computed for padding."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.encoders.kept import Kept
from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.parametrisation import restore_
from s3_speechbrain.tokens import ConvSelector, ScoredSelector, TokenSelector
from s3_speechbrain.tokens.scorers import TeacherScorer


class OneClip(nn.Module):
    """Logits of one clip, those of the recogniser in a batch up to rounding.

    No attention masks, no lengths, and group norm as PyTorch has it. All shapes follow from the clip's length, so
    that the forward pass can be traced to a graph for any length.

    Parameters
    ----------
    recogniser : Recogniser
        Copied. Parametrisations (masks, weight norm) become plain weights.

    Raises
    ------
    UserError
        If its token selector runs a whole teacher.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        if isinstance(getattr(recogniser.selector, "scorer", None), TeacherScorer):
            raise UserError(
                "this selector runs its whole teacher, which saves nothing; deploy one with a detector"
            )
        recogniser = copy.deepcopy(recogniser).requires_grad_(False).eval()
        bake_(recogniser)
        self.encoder, self.head, self.selector = recogniser.encoder, recogniser.head, recogniser.selector
        self.eval()

    @property
    def least_samples(self) -> int:
        """Length of the shortest clip that has a frame."""
        if self.encoder.family == "whisper":
            return self.encoder.log_mel.n_fft // 2 + 1  # what the reflected border needs
        needed = 1
        for block in reversed(self.encoder.model.feature_extractor.conv_layers):
            needed = (needed - 1) * block.conv.stride[0] + block.conv.kernel_size[0]
        return needed

    def forward(self, wave: Tensor) -> Tensor:
        """Return logits (1, T, V), in float32, of a waveform (1, N) at 16 kHz with `least_samples` or more."""
        features, _ = self.encoder.extract(wave, None)
        kept = None
        if self.selector is not None and self.selector.cut == "after_positions":
            kept = kept_frames(self.selector, features, wave)
        elif self.selector is not None:
            features = shorten(self.selector, features, wave)
        mixes = self.head.mix is not None
        hidden = self.encoder.contextualise(features, None, all_layers=mixes, kept=kept)
        return self.head(torch.stack(hidden, dim=2) if mixes else hidden).float()


def bake_(module: nn.Module) -> None:
    """Make plain, frozen weights of all parametrised ones, in place; other copies of the module stay as they are."""
    for layer in list(module.modules()):
        if not parametrize.is_parametrized(layer):
            continue
        weights = {name: getattr(layer, name).detach().clone() for name in layer.parametrizations}
        restore_(layer, {name: nn.Parameter(weight, requires_grad=False) for name, weight in weights.items()})


def kept_frames(selector: ScoredSelector, features: Tensor, wave: Tensor) -> Kept:
    """Return which frames of one clip a selector keeps, or which means it leaves."""
    scores = selector.scores(features, _frames(features), wave)[0]
    keep = (scores > selector.threshold) | (torch.arange(features.shape[1], device=features.device) == 0)
    group = (keep.long().cumsum(0) - 1)[None] if selector.reduce == "mean" else None
    return Kept(keep.nonzero()[:, 0][None], None, group)


def shorten(selector: TokenSelector, features: Tensor, wave: Tensor) -> Tensor:
    """Shorten the features of one clip, (1, T, E) to (1, T', E), as the selector does for a batch."""
    if isinstance(selector, ConvSelector):
        return selector(features, _frames(features)).features
    return kept_frames(selector, features, wave).take(features)


def _frames(features: Tensor) -> Tensor:
    """Count a clip's frames (1,) as a tensor: a traced graph would hold on to a Python number."""
    return torch.ones_like(features[:, :, 0], dtype=torch.long).sum(1)
