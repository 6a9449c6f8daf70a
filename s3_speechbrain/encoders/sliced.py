"""Encoders from which attention heads and FFN neurons are physically gone, and how their config says so.

A sliced encoder is an ordinary dense network whose layers have different sizes. Its config has one more key::

    "sliced": {"heads": [[0, 2, 5], [], ...], "neurons": [1201, 0, ...], "channels": 512}

Per transformer layer the original numbers of the remaining heads (WavLM gates its position bias by the part of
the hidden state with that number) and how many neurons remain; ``channels``, for Whisper alone, is how many
channels remain between its two convolutions. Fewer channels in the wav2vec2 shape need no key: they are
``conv_dim``. From this the network is built without the original weights.

Hugging Face's attention follows the sizes of its projections, so most layers need no code of their own. Three
cases do: a layer without heads or neurons still adds its output bias, and WavLM's attention fixes its shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from s3_speechbrain.errors import UserError


@dataclass(frozen=True)
class Sliced:
    """What is left of an encoder.

    Parameters
    ----------
    heads : sequence of sequence of int
        Original numbers of the remaining attention heads, per layer.
    neurons : sequence of int
        Number of remaining FFN neurons, per layer.
    channels : int, optional
        Remaining channels between Whisper's two convolutions; None for all, and for the wav2vec2 shape.
    """

    heads: Sequence[Sequence[int]]
    neurons: Sequence[int]
    channels: int | None = None

    def as_config(self) -> dict[str, Any]:
        """Return the value of the config's key ``sliced``: lists and numbers only."""
        found: dict[str, Any] = {"heads": [list(row) for row in self.heads], "neurons": list(self.neurons)}
        return found if self.channels is None else {**found, "channels": self.channels}


def sizes(config: PretrainedConfig) -> tuple[int, int, int, int]:
    """Return layers, heads per layer, neurons per layer and width of the network before it was sliced."""
    if config.model_type == "whisper":
        return config.encoder_layers, config.encoder_attention_heads, config.encoder_ffn_dim, config.d_model
    return (
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_size,
    )


def read_sliced(config: PretrainedConfig) -> Sliced | None:
    """Read and check the key ``sliced`` of a config; None where there is none.

    Raises
    ------
    UserError
        If it does not fit the sizes in the rest of the config.
    """
    stored = getattr(config, "sliced", None)
    if stored is None:
        return None
    layers, heads, neurons, width = sizes(config)
    problem = "the config's 'sliced' does not fit its other sizes; get the folder again"
    try:
        found = Sliced(stored["heads"], stored["neurons"], stored.get("channels"))
        rows = [list(row) for row in found.heads]
        fits = len(rows) == len(found.neurons) == layers
        fits = fits and all(row == sorted(set(row)) and set(row) <= set(range(heads)) for row in rows)
        fits = fits and all(0 <= count <= neurons for count in found.neurons)
        fits = fits and (found.channels is None or 0 < found.channels <= width)
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(problem) from error
    if not fits:
        raise UserError(problem)
    return found


class Absent(nn.Module):
    """In place of the first FFN matrix of a layer without neurons: no features at all, (..., D) to (..., 0)."""

    in_features = out_features = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return an empty tensor with the leading shape of the input."""
        return x[..., :0]


class OutputBias(nn.Module):
    """In place of an output matrix none of whose inputs is left: its bias alone, (..., any) to (..., D)."""

    in_features = 0

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.detach().clone(), requires_grad=bias.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        """Return the bias at each place of the input, in memory of its own."""
        return x.new_zeros(*x.shape[:-1], 1) + self.bias.to(x.dtype)


class NoAttention(nn.Module):
    """In place of the attention of a layer without heads (not for WavLM)."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.head_dim = dense.head_dim
        self.out_proj = OutputBias(dense.out_proj.bias)

    def forward(self, hidden_states: Tensor, **_: Any) -> tuple[Tensor, None]:
        """Return the output bias and, as there are none, no attention weights."""
        return self.out_proj(hidden_states), None


class SlicedWavLMAttention(WavLMAttention):
    """WavLM's attention with some of its heads; made of a dense one by `_slice_wavlm_`.

    The first layer computes the position bias of *all* original heads, as each layer may have kept others.
    """

    heads: Tensor  # original numbers of the remaining heads

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
        **_: Any,
    ) -> tuple[Tensor, None, Tensor]:
        """Return output (B, T, D), no attention weights, and the position bias (1, H, T, T)."""
        batch, length, _width = hidden_states.shape
        if position_bias is None:
            position_bias = self.compute_bias(length, length)[None]
        if isinstance(self.out_proj, OutputBias):
            return self.out_proj(hidden_states), None, position_bias

        def split(values: Tensor) -> Tensor:
            return values.view(batch, length, -1, self.head_dim).transpose(1, 2)

        seen = split(hidden_states)[:, self.heads]
        gates = self.gru_rel_pos_linear(seen).view(*seen.shape[:-1], 2, 4).sum(-1).sigmoid()
        gate = gates[..., :1] * (gates[..., 1:] * self.gru_rel_pos_const - 1.0) + 2.0
        bias = gate * position_bias[:, self.heads]
        if attention_mask is not None:
            bias = bias.masked_fill(attention_mask.ne(1)[:, None, None], float("-inf"))
        mixed = F.scaled_dot_product_attention(
            split(self.q_proj(hidden_states)),
            split(self.k_proj(hidden_states)),
            split(self.v_proj(hidden_states)),
            attn_mask=bias,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, -1)), None, position_bias


def shrink_(model: nn.Module, heads: Sequence[Sequence[int]], neurons: Sequence[Sequence[int]]) -> None:
    """Remove heads and neurons from every layer of a bare Hugging Face encoder, in place.

    Parameters
    ----------
    model : nn.Module
        Without masks or other parametrisations in its layers; may be sliced already.
    heads, neurons : sequence of sequence of int
        Per transformer layer, which of its present heads and neurons stay, ascending.
    """
    layers = model.layers if model.config.model_type == "whisper" else model.encoder.layers
    wavlm = model.config.model_type == "wavlm"
    dense = all(
        len(kept) * attention_of(layer).head_dim == attention_of(layer).out_proj.in_features
        for layer, kept in zip(layers, heads, strict=True)
    )
    for layer, kept_heads, kept_neurons in zip(layers, heads, neurons, strict=True):
        if (
            not dense
        ):  # WavLM's own attention cannot read the position bias of a sliced one: all layers or none
            (_slice_wavlm_ if wavlm else _slice_attention_)(layer, kept_heads)
        _slice_ffn_(layer, kept_neurons)


def shrink_to_(model: nn.Module, sliced: Sliced) -> None:
    """Bring a freshly built network to the sizes that a config names; which neurons stay does not matter then."""
    shrink_(model, sliced.heads, [range(count) for count in sliced.neurons])
    if sliced.channels is not None:
        shrink_channels_(model, [range(sliced.channels)])


def shrink_channels_(model: nn.Module, channels: Sequence[Sequence[int]]) -> None:
    """Remove channels of the convolutional extractor, in place.

    Parameters
    ----------
    model : nn.Module
        A bare Hugging Face encoder without parametrisations in its extractor.
    channels : sequence of sequence of int
        Which channels stay: per convolution in the wav2vec2 shape; for Whisper one row, as its second
        convolution gives the width of the transformer.
    """
    index = [torch.tensor(kept, dtype=torch.long) for kept in channels]
    if model.config.model_type == "whisper":
        model.conv1 = select_conv(model.conv1, rows=index[0])
        model.conv2 = select_conv(model.conv2, columns=index[0])
        return
    former = None
    for block, kept in zip(model.feature_extractor.conv_layers, index, strict=True):
        block.conv = select_conv(block.conv, rows=kept, columns=former)
        if hasattr(block, "layer_norm"):
            block.layer_norm = _select_norm(block.layer_norm, kept)
        former = kept
    projection = model.feature_projection
    if hasattr(projection, "layer_norm"):
        projection.layer_norm = _select_norm(projection.layer_norm, former)
    projection.projection = select_linear(projection.projection, columns=former)


def attention_of(layer: nn.Module) -> nn.Module:
    """Return the attention of a transformer layer of any family."""
    return layer.self_attn if hasattr(layer, "self_attn") else layer.attention


def ffn_of(layer: nn.Module) -> tuple[nn.Module, str, str]:
    """Return the module that holds a layer's FFN, and the names of its first and second matrix."""
    if hasattr(layer, "fc1"):
        return layer, "fc1", "fc2"
    return layer.feed_forward, "intermediate_dense", "output_dense"


def _slice_attention_(layer: nn.Module, kept: Sequence[int]) -> None:
    attention = attention_of(layer)
    if not kept:
        name = "self_attn" if hasattr(layer, "self_attn") else "attention"
        setattr(layer, name, NoAttention(attention))
        return
    _slice_projections_(attention, kept)
    attention.num_heads = len(kept)


def _slice_wavlm_(layer: nn.Module, kept: Sequence[int]) -> None:
    attention = attention_of(layer)
    former = getattr(attention, "heads", torch.arange(attention.num_heads))
    attention.__class__ = SlicedWavLMAttention
    attention.num_heads = len(kept)
    attention.register_buffer("heads", former[list(kept)], persistent=False)
    if kept:
        _slice_projections_(attention, kept)
        const = attention.gru_rel_pos_const
        attention.gru_rel_pos_const = nn.Parameter(const.detach()[:, list(kept)], const.requires_grad)
        return
    if isinstance(attention.out_proj, nn.Linear):
        attention.out_proj = OutputBias(attention.out_proj.bias)
        for name in ("q_proj", "k_proj", "v_proj", "gru_rel_pos_linear", "gru_rel_pos_const"):
            delattr(attention, name)


def _slice_projections_(attention: nn.Module, kept: Sequence[int]) -> None:
    start = torch.tensor(kept)[:, None] * attention.head_dim
    index = (start + torch.arange(attention.head_dim)).flatten()
    for name in ("q_proj", "k_proj", "v_proj"):
        setattr(attention, name, select_linear(getattr(attention, name), rows=index))
    attention.out_proj = select_linear(attention.out_proj, columns=index)


def _slice_ffn_(layer: nn.Module, kept: Sequence[int]) -> None:
    holder, first, second = ffn_of(layer)
    into, out_of = getattr(holder, first), getattr(holder, second)
    if len(kept) == out_of.in_features:
        return
    index = torch.tensor(kept, dtype=torch.long)
    setattr(holder, first, select_linear(into, rows=index) if kept else Absent())
    setattr(holder, second, select_linear(out_of, columns=index) if kept else OutputBias(out_of.bias))


def select_linear(linear: nn.Linear, rows: Tensor | None = None, columns: Tensor | None = None) -> nn.Linear:
    """Make a linear layer of some rows (outputs) or columns (inputs) of another one, with its own memory."""
    weight, bias = _select(linear, rows, columns)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return _fill_(made, weight, bias)


def select_conv(conv: nn.Conv1d, rows: Tensor | None = None, columns: Tensor | None = None) -> nn.Conv1d:
    """Make a convolution of some output (rows) or input (columns) channels of another one."""
    weight, bias = _select(conv, rows, columns)
    made = nn.Conv1d(
        *(weight.shape[1], weight.shape[0], conv.kernel_size, conv.stride, conv.padding, conv.dilation),
        bias=bias is not None,
        device="meta",
    )
    return _fill_(made, weight, bias)


def _select(
    layer: nn.Module, rows: Tensor | None, columns: Tensor | None
) -> tuple[nn.Parameter, nn.Parameter | None]:
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach().clone()
    if rows is not None:
        weight = weight.index_select(0, rows.to(weight.device))
        bias = None if bias is None else bias.index_select(0, rows.to(weight.device))
    if columns is not None:
        weight = weight.index_select(1, columns.to(weight.device))
    learns = layer.weight.requires_grad
    return nn.Parameter(weight, learns), None if bias is None else nn.Parameter(
        bias, layer.bias.requires_grad
    )


def _fill_(layer: nn.Module, weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Module:
    layer.weight = weight
    if bias is not None:
        layer.bias = bias
    return layer


def _select_norm(norm: nn.GroupNorm | nn.LayerNorm, kept: Tensor) -> nn.Module:
    if isinstance(norm, nn.GroupNorm):  # one channel per group; a subclass ignores padding
        made = type(norm)(len(kept), len(kept), norm.eps, device="meta")
    else:
        made = nn.LayerNorm(len(kept), norm.eps, device="meta")
    return _fill_(made, *_select(norm, kept, None))
