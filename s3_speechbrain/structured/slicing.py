"""Physically remove units: a smaller dense encoder with the outputs of the masked one."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from s3_speechbrain.encoders.loading import bare_model
from s3_speechbrain.encoders.sliced import Sliced, read_sliced, shrink_, shrink_channels_, sizes
from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.units import UnitGroup, check_keep, find_units


def sliced_config(encoder: nn.Module, keep: Mapping[str, Tensor]) -> dict[str, Any]:
    """Describe what `slice_` makes of an encoder, as data that JSON can hold.

    Parameters
    ----------
    encoder : nn.Module
        As for `find_units`.
    keep : mapping of str to bool Tensor
        As for `slice_`.

    Returns
    -------
    dict
        Keys of the encoder's config to set: ``sliced``, and ``conv_dim`` where channels of the wav2vec2 shape
        are among the units. See `s3_speechbrain.encoders.sliced`.
    """
    _, model = bare_model(encoder)
    stays = _stays(encoder, keep)
    layers, heads, neurons, _ = sizes(model.config)
    former = read_sliced(model.config) or Sliced([range(heads)] * layers, [neurons] * layers)
    channels = [kept for name, kept in stays.items() if name.startswith("channels.")]
    whisper = model.config.model_type == "whisper"
    described = Sliced(
        [
            [row[index] for index in stays.get(f"heads.{number}", range(len(row)))]
            for number, row in enumerate(former.heads)
        ],
        [len(stays.get(f"neurons.{number}", range(count))) for number, count in enumerate(former.neurons)],
        len(channels[0]) if whisper and channels else former.channels,
    )
    found: dict[str, Any] = {"sliced": described.as_config()}
    if channels and not whisper:
        found["conv_dim"] = [len(kept) for kept in channels]
    return found


def slice_(encoder: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Remove units from an encoder for good.

    The outputs are those of the encoder with the columns of the removed units set to zero, up to rounding: a
    layer without heads or neurons still adds its output bias to the residual.

    Parameters
    ----------
    encoder : nn.Module
        Without unit masks (call `release_` first) or other parametrisations in its layers; changed in place. Its
        config then describes it, so that `save_pretrained` writes a folder that `SpeechEncoder` accepts.
    keep : mapping of str to bool Tensor
        By the names of `find_units`, True for what stays; all groups of one or more kinds.

    Raises
    ------
    UserError
        If a mask does not fit, or no channel of a convolution would stay.
    """
    _, model = bare_model(encoder)
    changes = sliced_config(encoder, keep)
    stays = _stays(encoder, keep)
    layers = range(sizes(model.config)[0])
    present = find_units(encoder)

    def kept(kind: str) -> list[list[int]]:
        names = [f"{kind}.{number}" for number in layers]
        return [
            stays.get(name, list(range(present[name].count)) if name in present else []) for name in names
        ]

    shrink_(model, kept("heads"), kept("neurons"))
    channels = [row for name, row in stays.items() if name.startswith("channels.")]
    if channels:
        shrink_channels_(model, channels)
    for key, value in changes.items():
        setattr(model.config, key, value)


def _stays(encoder: nn.Module, keep: Mapping[str, Tensor]) -> dict[str, list[int]]:
    units = _units_named(encoder, keep)
    check_keep(units, keep)
    found = {name: keep[name].nonzero().flatten().tolist() for name in units}
    for name, kept in found.items():
        if not kept and units[name].kind == "channels":
            raise UserError(
                f"Units {name!r}: none would stay, but a convolution needs one channel; keep one."
            )
    return found


def _units_named(encoder: nn.Module, keep: Mapping[str, Tensor]) -> dict[str, UnitGroup]:
    kinds = sorted({name.partition(".")[0] for name in keep})
    return find_units(encoder, kinds)
