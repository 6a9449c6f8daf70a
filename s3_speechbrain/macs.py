"""Multiply-accumulate operations (MACs) of an encoder, counted from the shapes of its weights.

Counted is what matrix products and convolutions multiply: convolutional extractor, feature projection,
positional convolution, attention projections, attention scores (``Q K^T`` and their product with V; for WavLM
also the gates of the position bias) and FFN. Norms, activations, softmax and Whisper's log-mel are not; the
head is not part of the encoder. A MAC is two FLOPs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import nn

from s3_speechbrain.encoders import log_mel, waveform
from s3_speechbrain.encoders.encoder import SpeechEncoder
from s3_speechbrain.encoders.loading import bare_model
from s3_speechbrain.layers import group_of


@dataclass(frozen=True)
class Macs:
    """MACs of one clip by part of the encoder."""

    extractor: int = 0
    projection: int = 0
    positional: int = 0
    attention: int = 0
    scores: int = 0
    ffn: int = 0

    @property
    def transformer(self) -> int:
        """What the transformer layers take: attention projections, scores and FFN."""
        return self.attention + self.scores + self.ffn

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(getattr(self, field.name) for field in fields(self))

    def as_metrics(self) -> dict[str, int]:
        """Return the parts, the transformer and the total by name."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**parts, "transformer": self.transformer, "total": self.total}


@dataclass(frozen=True)
class Operation:
    """One product of a forward pass.

    Attributes
    ----------
    part : str
        A field of `Macs`.
    macs : int
        What it takes.
    layer : str
        Dotted name of the layer whose weight it multiplies by, or of the attention module whose heads each take
        an equal share of it.
    """

    part: str
    macs: int
    layer: str


def count_macs(encoder: nn.Module, seconds: float, frames: int | None = None) -> Macs:
    """Count the MACs of an encoder for one clip.

    Parameters
    ----------
    encoder : nn.Module
        A `SpeechEncoder`, a bare Hugging Face encoder of one of its families, or a module that holds one. Masked
        weights count as if dense, as they take the same time; what is sliced off does not count. Nor do low-rank
        adapters, which can be added to the weights.
    seconds : float
        Length of the clip at 16 kHz.
    frames : int, optional
        Frames that go on behind the extractor, where a method drops some of them; default all.

    Returns
    -------
    Macs
        Exact counts.
    """
    counts: dict[str, int] = {}
    for operation in operations(encoder, seconds, frames):
        counts[operation.part] = counts.get(operation.part, 0) + operation.macs
    return Macs(**counts)


def operations(encoder: nn.Module, seconds: float, frames: int | None = None) -> Iterator[Operation]:
    """List the products of a forward pass; arguments as in `count_macs`."""
    prefix, model = bare_model(encoder)
    samples = round(seconds * SpeechEncoder.sampling_rate)
    extracted = _extractor_positions(model, samples)
    frames = extracted["frames"] if frames is None else frames
    for name, layer in model.named_modules():
        if hasattr(layer, "out_proj"):
            yield Operation("scores", _attention_macs(layer, frames), prefix + name)
        if not isinstance(layer, nn.Linear | nn.Conv1d) or name.endswith("gru_rel_pos_linear"):
            continue
        if ".adapter_" in name:
            continue
        part, positions = group_of(name.removesuffix(".pretrained_module")), frames
        if part == "extractor":
            positions = extracted[name]
        elif "pos_conv_embed" in name:
            part, positions = "positional", _outputs(layer, frames)
        if part is not None:
            inputs = layer.in_channels // layer.groups if isinstance(layer, nn.Conv1d) else layer.in_features
            outputs = layer.out_channels if isinstance(layer, nn.Conv1d) else layer.out_features
            kernel = layer.kernel_size[0] if isinstance(layer, nn.Conv1d) else 1
            yield Operation(part, inputs * outputs * kernel * positions, prefix + name)


def _extractor_positions(model: nn.Module, samples: int) -> dict[str, int]:
    """Count the outputs in time of each convolution of the extractor, and the frames at its end."""
    if model.config.model_type == "whisper":
        spectra = samples // log_mel.HOP
        return {
            "conv1": spectra,
            "conv2": _outputs(model.conv2, spectra),
            "frames": _outputs(model.conv2, spectra),
        }
    blocks = range(len(model.feature_extractor.conv_layers))
    names = [f"feature_extractor.conv_layers.{number}.conv" for number in blocks]
    total = torch.tensor(samples)
    counts = [int(waveform.frame_count(model, total, number + 1)) for number in blocks]
    return {**dict(zip(names, counts, strict=True)), "frames": counts[-1]}


def _outputs(conv: nn.Conv1d, inputs: int) -> int:
    return max(0, (inputs + 2 * conv.padding[0] - conv.kernel_size[0]) // conv.stride[0] + 1)


def _attention_macs(attention: nn.Module, frames: int) -> int:
    output = getattr(attention.out_proj, "pretrained_module", attention.out_proj)  # behind an adapter
    inner = output.in_features  # 0 for a layer without heads
    macs = 2 * frames * frames * inner
    gate = getattr(attention, "gru_rel_pos_linear", None)
    if gate is not None:
        macs += frames * (inner // attention.head_dim) * gate.in_features * gate.out_features
    return macs
