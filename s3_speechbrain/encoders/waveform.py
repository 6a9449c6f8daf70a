"""The wav2vec2 shape (wav2vec2, XLS-R, HuBERT, WavLM, data2vec-audio): convolutions on the waveform, then layers.

Everything here sees the valid samples and frames only, so that a clip gives the same output alone and in a
padded batch. Hugging Face's own code lets padding in at three places: the waveform's normalisation, the group
norm of "base" extractors, and data2vec's stacked positional convolutions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from s3_speechbrain.encoders.kept import Kept

EPSILON = 1e-7  # the value Hugging Face's feature extractor adds to the variance


def valid(lengths: Tensor, size: int) -> Tensor:
    """Return a boolean mask of shape (B, size), true on the first ``lengths[b]`` places of row b."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def normalise_waveform(wavs: Tensor, samples: Tensor | None) -> Tensor:
    """Give each waveform zero mean and unit variance over its valid samples; padding becomes zero.

    Parameters
    ----------
    wavs : Tensor
        Shape (B, N).
    samples : Tensor or None
        Valid samples per row, shape (B,); None for all.
    """
    if samples is None:
        centred = wavs - wavs.mean(1, keepdim=True)
        return centred / torch.sqrt(centred.square().mean(1, keepdim=True) + EPSILON)
    mask = valid(samples, wavs.shape[1])
    count = samples.clamp(min=1)[:, None]
    mean = (wavs * mask).sum(1, keepdim=True) / count
    centred = (wavs - mean) * mask
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / torch.sqrt(variance + EPSILON)


class ValidGroupNorm(nn.GroupNorm):
    """Group norm with one channel per group whose statistics run over valid frames only.

    Set `frames` (B,) before a forward; without it, all frames count (plain group norm).
    """

    frames: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise (B, C, T) over the valid frames of each channel."""
        if self.frames is None:
            return super().forward(hidden)
        mask = valid(self.frames, hidden.shape[-1])[:, None].to(hidden.dtype)
        count = self.frames.clamp(min=1)[:, None, None]
        mean = (hidden * mask).sum(-1, keepdim=True) / count
        centred = hidden - mean
        variance = (centred.square() * mask).sum(-1, keepdim=True) / count
        normal = centred * torch.rsqrt(variance + self.eps)
        return normal * self.weight[:, None] + self.bias[:, None]


def ignore_padding_(model: nn.Module) -> None:
    """Swap the extractor's group norm (if it has one) for `ValidGroupNorm`, in place, keeping its weights."""
    first = model.feature_extractor.conv_layers[0]
    old = getattr(first, "layer_norm", None)
    if isinstance(old, nn.GroupNorm):
        new = ValidGroupNorm(old.num_groups, old.num_channels, eps=old.eps)
        new.load_state_dict(old.state_dict())
        first.layer_norm = new


def frame_count(model: nn.Module, samples: Tensor, layers: int | None = None) -> Tensor:
    """Count the frames that ``samples`` give after the first ``layers`` convolutions (all by default)."""
    for convolution in list(model.feature_extractor.conv_layers)[:layers]:
        kernel, stride = convolution.conv.kernel_size[0], convolution.conv.stride[0]
        samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
    return samples.clamp(min=0)


def extract(model: nn.Module, wavs: Tensor, samples: Tensor | None, normalise: bool) -> Tensor:
    """Run the convolutional extractor: (B, N) samples to (B, T, E) features; without `samples`, all are valid."""
    if normalise:
        wavs = normalise_waveform(wavs, samples)
    norm = getattr(model.feature_extractor.conv_layers[0], "layer_norm", None)
    if isinstance(norm, ValidGroupNorm):
        norm.frames = None if samples is None else frame_count(model, samples, layers=1)
    return model.feature_extractor(wavs.to(_precision(model.feature_extractor))).transpose(1, 2)


def _precision(extractor: nn.Module) -> torch.dtype:
    """Return the type of an extractor's weights: waveforms are normalised in float32 whatever it is."""
    return next(extractor.parameters()).dtype


def project(model: nn.Module, features: Tensor) -> Tensor:
    """Normalise and project features to the transformer's width: (B, T, E) to (B, T, D)."""
    projected = model.feature_projection(features)
    return projected[0] if isinstance(projected, tuple) else projected


@contextmanager
def _silent_padding(model: nn.Module, mask: Tensor | None) -> Iterator[None]:
    """Zero the padding after each of data2vec's stacked positional convolutions while the block runs."""
    stack = [] if mask is None else getattr(model.encoder.pos_conv_embed, "layers", [])
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out: out * mask[:, None].to(out.dtype)) for layer in stack
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _given_positions(model: nn.Module, positions: Tensor) -> Iterator[None]:
    """Let the positional convolution return what was computed before, while the block runs."""
    convolution = model.encoder.pos_conv_embed
    convolution.forward = lambda _hidden: positions
    try:
        yield
    finally:
        del convolution.forward


def transform(
    model: nn.Module,
    hidden: Tensor,
    frames: Tensor | None,
    kept: Kept | None = None,
) -> Tensor:
    """Run positional convolution and transformer layers over the valid frames: (B, T, D) to (B, T, D).

    With `kept` the convolution runs over all frames and the layers over those, or their means, alone.
    Without counts of valid frames there is no padding, and no attention mask to compute.
    """
    mask = None if frames is None else valid(frames, hidden.shape[1])
    if kept is None:
        # The encoder writes zeros into its input; a clone keeps the caller's tensor (and autograd) whole.
        with _silent_padding(model, mask):
            return model.encoder(hidden.clone(), attention_mask=mask).last_hidden_state
    with _silent_padding(model, mask):
        inside = hidden if mask is None else hidden * mask[:, :, None].to(hidden.dtype)
        positions = model.encoder.pos_conv_embed(inside)
    with _given_positions(model, kept.take(positions)):
        short = kept.take(hidden)
        mask = None if kept.frames is None else valid(kept.frames, kept.index.shape[1])
        return model.encoder(short, attention_mask=mask).last_hidden_state
