"""The units that structured pruning keeps or removes as a whole, and the weights that belong to each.

=============  ==================================================  ===================================
kind           rows (input side)                                   columns (output side)
=============  ==================================================  ===================================
``heads``      query, key, value of the head, with their biases    the head's part of the output matrix
``neurons``    a row of the first FFN matrix, with its bias        a column of the second one
``channels``   a filter of a convolution, its bias and its norm    that channel in the next layer
=============  ==================================================  ===================================

A unit whose columns are zero adds nothing to the output, so the columns are where a mask sits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils import parametrize

from s3_speechbrain.encoders.loading import bare_model
from s3_speechbrain.encoders.sliced import attention_of, ffn_of
from s3_speechbrain.errors import UserError

KINDS = ("heads", "neurons", "channels")


@dataclass(frozen=True)
class Part:
    """The share that units have in one parameter.

    Attributes
    ----------
    parameter : str
        Dotted name in the encoder without masks.
    axis : int
        Along which axis of the parameter the units lie.
    width : int
        Neighbouring entries along the axis that belong to one unit.
    """

    parameter: str
    axis: int
    width: int = 1


@dataclass(frozen=True)
class UnitGroup:
    """All units of one kind in one layer.

    Attributes
    ----------
    name : str
        For example ``heads.3``.
    kind : str
        One of `KINDS`.
    layer : int
        Number of the transformer layer, or of the convolution.
    place : str
        Dotted name of the module that holds the units.
    count : int
        How many there are.
    rows : tuple of Part
        The input side.
    columns : Part
        The output side; the parameter is the weight of a linear layer or a convolution.
    norms : tuple of str
        Layer norms that run over these units, which a mask has to leave the removed ones out of.
    """

    name: str
    kind: str
    layer: int
    place: str
    count: int
    rows: tuple[Part, ...]
    columns: Part
    norms: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Both sides."""
        return (*self.rows, self.columns)


def find_units(encoder: nn.Module, kinds: Sequence[str] = ("heads", "neurons")) -> dict[str, UnitGroup]:
    """Find the units of an encoder.

    Parameters
    ----------
    encoder : nn.Module
        A `SpeechEncoder`, a bare Hugging Face encoder or a module that holds one; with or without unit masks,
        sliced or not.
    kinds : sequence of str
        Some of `KINDS`.

    Returns
    -------
    dict of str to UnitGroup
        By name, first layer first, the kinds of a layer in the order of `KINDS`; a layer of which nothing is
        left is not there.

    Raises
    ------
    UserError
        If a kind does not exist or none is named.
    """
    if isinstance(kinds, str) or not kinds:
        raise UserError(f"kinds is {kinds!r}: give a list with one or more of {', '.join(KINDS)}.")
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"Unknown kind of unit {kind!r}: use one or more of {', '.join(KINDS)}.")
    prefix, model = bare_model(encoder)
    whisper = model.config.model_type == "whisper"
    stem, layers = ("layers", model.layers) if whisper else ("encoder.layers", model.encoder.layers)
    found = []
    if "channels" in kinds:
        found += _whisper_channels(prefix, model) if whisper else _channels(prefix, model)
    for number, layer in enumerate(layers):
        place = f"{prefix}{stem}.{number}"
        if "heads" in kinds:
            found.append(_heads(place, number, layer))
        if "neurons" in kinds:
            found.append(_neurons(place, number, layer))
    return {group.name: group for group in found if group.count}


def _heads(place: str, number: int, layer: nn.Module) -> UnitGroup:
    attention = attention_of(layer)
    place += ".self_attn" if hasattr(layer, "self_attn") else ".attention"
    width = attention.head_dim
    count = attention.out_proj.in_features // width
    rows = [
        Part(f"{place}.{name}.{role}", 0, width)
        for name in ("q_proj", "k_proj", "v_proj")
        for role in ("weight", "bias")
        if count and getattr(getattr(attention, name), role) is not None  # Whisper's keys have no bias
    ]
    if count and hasattr(attention, "gru_rel_pos_const"):
        rows.append(Part(f"{place}.gru_rel_pos_const", 1))
    columns = Part(f"{place}.out_proj.weight", 1, width)
    return UnitGroup(f"heads.{number}", "heads", number, place, count, tuple(rows), columns)


def _neurons(place: str, number: int, layer: nn.Module) -> UnitGroup:
    holder, first, second = ffn_of(layer)
    if holder is not layer:
        place += ".feed_forward"
    rows = tuple(Part(f"{place}.{first}.{role}", 0) for role in ("weight", "bias"))
    columns = Part(f"{place}.{second}.weight", 1)
    return UnitGroup(
        f"neurons.{number}", "neurons", number, place, getattr(holder, second).in_features, rows, columns
    )


def _channels(prefix: str, model: nn.Module) -> Iterator[UnitGroup]:
    blocks = model.feature_extractor.conv_layers
    for number, block in enumerate(blocks):
        place = f"{prefix}feature_extractor.conv_layers.{number}"
        norms = [f"{place}.layer_norm"] if hasattr(block, "layer_norm") else []
        following = f"{prefix}feature_extractor.conv_layers.{number + 1}.conv.weight"
        if number == len(blocks) - 1:
            following = f"{prefix}feature_projection.projection.weight"
            norms += [f"{prefix}feature_projection.layer_norm"] * hasattr(
                model.feature_projection, "layer_norm"
            )
        affine = [f"{norm}.{role}" for norm in norms for role in ("weight", "bias")]
        own = [f"{place}.conv.weight"] + [f"{place}.conv.bias"] * (block.conv.bias is not None)
        rows = tuple(Part(name, 0) for name in (*own, *affine))
        yield UnitGroup(
            *(f"channels.{number}", "channels", number, place, block.conv.out_channels, rows),
            columns=Part(following, 1),
            norms=tuple(
                norm
                for norm in norms
                if isinstance(model.get_submodule(norm.removeprefix(prefix)), nn.LayerNorm)
            ),
        )


def _whisper_channels(prefix: str, model: nn.Module) -> Iterator[UnitGroup]:
    rows = (Part(f"{prefix}conv1.weight", 0), Part(f"{prefix}conv1.bias", 0))
    columns = Part(f"{prefix}conv2.weight", 1)
    yield UnitGroup("channels.0", "channels", 0, f"{prefix}conv1", model.conv1.out_channels, rows, columns)


def parameter_at(encoder: nn.Module, name: str) -> Tensor:
    """Return a parameter by its name in the encoder without masks; where it is masked, the one below the mask."""
    place, _, role = name.rpartition(".")
    module = encoder.get_submodule(place)
    if parametrize.is_parametrized(module, role):
        return module.parametrizations[role].original
    return getattr(module, role)


def per_unit(values: Tensor, part: Part) -> Tensor:
    """Bring the units of a parameter to the front: any shape to (units, entries of each); a view or a copy."""
    moved = values.movedim(part.axis, 0)
    return moved.reshape(values.shape[part.axis] // part.width, -1)


def check_keep(units: Mapping[str, UnitGroup], keep: Mapping[str, Tensor]) -> None:
    """Refuse keep masks whose names or lengths are not those of the units.

    Raises
    ------
    UserError
        Naming the first that does not fit.
    """
    for name in sorted(units.keys() ^ keep.keys()):
        wrong = "is not in this encoder" if name in keep else "is missing"
        raise UserError(
            f"Units {name!r}: their mask {wrong}; use masks made for this backbone and these kinds."
        )
    for name, mask in keep.items():
        if tuple(mask.shape) != (units[name].count,):
            raise UserError(
                f"Units {name!r}: the mask has shape {tuple(mask.shape)}, the encoder {units[name].count} units; "
                "use masks made for this backbone."
            )
