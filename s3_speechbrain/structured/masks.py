"""Unit masks held over an encoder while it trains: what is removed in deployment is removed in training too.

A mask is a `torch.nn.utils.parametrize` parametrisation of the weight that leads *out* of the units (the columns
of `units`). A removed unit's columns are exactly zero, so it adds exactly nothing, and no gradient reaches its
rows. Its rows go on computing, which gives the dense gradient of its columns, dL/dW where W is masked, for
nothing: it is what decides which units are worth growing.

If rows *and* columns were zero, both gradients would be zero as well, and no unit could ever return.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.parametrisation import restore_
from s3_speechbrain.structured.units import Part, UnitGroup, check_keep, parameter_at, per_unit

STARTS = ("zero", "held", "pretrained")


class UnitMask(nn.Module):
    """Zeroes the columns of removed units, and sums up what their gradients say on request.

    Parameters
    ----------
    group : UnitGroup
        The units.

    Attributes
    ----------
    keep : bool Tensor
        True where a unit is active, shape (units,).
    gradient : Tensor
        Mean magnitude of the dense gradient of each unit's columns, summed over the batches collected.
    contribution : Tensor
        How much the loss would change without the unit, to first order and per weight: magnitude of the sum of
        weight times gradient over the columns, divided by their number, summed over the batches. For a removed
        unit, how much it would change with the weights that are below the mask.
    enforced : bool
        Whether the mask acts in training; in evaluation it always does.
    collecting : bool
        Whether backward passes add to `gradient` and `contribution`.
    loss_scale : float
        What the loss of such a pass is multiplied by (fp16).
    """

    keep: Tensor
    gradient: Tensor
    contribution: Tensor

    def __init__(self, group: UnitGroup) -> None:
        super().__init__()
        self.columns = group.columns
        self.register_buffer("keep", torch.ones(group.count, dtype=torch.bool))
        self.register_buffer("gradient", torch.zeros(group.count))
        self.register_buffer("contribution", torch.zeros(group.count))
        self.enforced = True
        self.collecting = False
        self.loss_scale = 1.0

    @property
    def acts(self) -> bool:
        """Whether units are removed now."""
        return self.enforced or not self.training

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, (out, in) or (out, in, kernel), with zeros in the columns of removed units."""
        masked = weight
        if self.acts:
            keep = self.keep.repeat_interleave(self.columns.width)
            masked = torch.where(keep.view(1, -1, *[1] * (weight.dim() - 2)), weight, 0)
        elif self.collecting:
            masked = weight.view_as(weight)  # a parameter itself would keep the hook for ever
        if self.collecting and masked.requires_grad:
            masked.register_hook(partial(self._collect, weight.detach()))
        return masked

    @torch.no_grad()
    def _collect(self, weight: Tensor, gradient: Tensor) -> None:
        # a pass that overflows is no step of the optimiser either: what is not finite adds nothing
        gradient = torch.nan_to_num(gradient.float() / self.loss_scale, 0.0, 0.0, 0.0)
        gradient = per_unit(gradient, self.columns)
        self.gradient += gradient.abs().mean(1)
        self.contribution += (gradient * per_unit(weight, self.columns)).mean(1).abs()


class KeptLayerNorm(nn.LayerNorm):
    """A layer norm over channels that leaves removed ones out of its statistics."""

    mask: tuple[UnitMask]  # in a tuple, as it is registered where the columns are

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalise (..., C) over the kept channels; removed ones go through the same map."""
        (mask,) = self.mask
        if not mask.acts or bool(mask.keep.all()):
            return super().forward(hidden)
        hidden, keep = hidden.float(), mask.keep.float()
        mean = (hidden * keep).sum(-1, keepdim=True) / keep.sum()
        centred = hidden - mean
        variance = (centred.square() * keep).sum(-1, keepdim=True) / keep.sum()
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def hold_(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> None:
    """Put masks over units, all of them active at first, so that nothing changes yet.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place; its parameters keep their `requires_grad`.
    units : mapping of str to UnitGroup
        As from `find_units`.

    Raises
    ------
    UserError
        If one of the weights is parametrised already.
    """
    layers = {name: _layer(encoder, group) for name, group in units.items()}
    if any(parametrize.is_parametrized(layer) for layer in layers.values()):
        raise UserError(
            "A layer is masked (or parametrised) already: release it first, or start from a new encoder."
        )
    for name, group in units.items():
        mask = UnitMask(group).to(layers[name].weight.device)
        parametrize.register_parametrization(layers[name], "weight", mask, unsafe=True)
        for place in group.norms:
            norm = encoder.get_submodule(place)
            norm.__class__ = KeptLayerNorm
            norm.mask = (mask,)


def unit_masks(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> dict[str, UnitMask]:
    """Find the masks that `hold_` put over units.

    Raises
    ------
    UserError
        If there are none.
    """
    found = dict(_held(encoder, units))
    if found.keys() != units.keys():
        raise UserError("The encoder has no masks over these units: call hold_ first.")
    return found


def _held(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> Iterator[tuple[str, UnitMask]]:
    for name, group in units.items():
        layer = _layer(encoder, group)
        if parametrize.is_parametrized(layer, "weight") and isinstance(
            layer.parametrizations.weight[0], UnitMask
        ):
            yield name, layer.parametrizations.weight[0]


def _layer(encoder: nn.Module, group: UnitGroup) -> nn.Module:
    return encoder.get_submodule(group.columns.parameter.rpartition(".")[0])


def kept_units(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> dict[str, Tensor]:
    """Read which units are active: bool tensors by group, copies on the CPU."""
    return {name: mask.keep.detach().cpu().clone() for name, mask in unit_masks(encoder, units).items()}


def collected(encoder: nn.Module, units: Mapping[str, UnitGroup], what: str) -> dict[str, Tensor]:
    """Read what was collected since the last change of the masks, from all processes together.

    Parameters
    ----------
    encoder, units
        As for `unit_masks`.
    what : {"gradient", "contribution"}
        See `UnitMask`.

    Returns
    -------
    dict of str to Tensor
        By group, one number per unit, on the CPU.
    """
    found = {name: getattr(mask, what).detach().clone() for name, mask in unit_masks(encoder, units).items()}
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for values in found.values():
            torch.distributed.all_reduce(values)
    return {name: values.cpu() for name, values in found.items()}


def set_modes_(
    encoder: nn.Module,
    units: Mapping[str, UnitGroup],
    enforced: bool,
    collecting: bool,
    loss_scale: float = 1.0,
) -> None:
    """Set `UnitMask.enforced`, `UnitMask.collecting` and `UnitMask.loss_scale` of all masks."""
    for mask in unit_masks(encoder, units).values():
        mask.enforced, mask.collecting, mask.loss_scale = enforced, collecting, loss_scale


def sums_of(model: nn.Module) -> list[str]:
    """Name the buffers that each process fills with its own gradients, for DDP to leave alone."""
    return [
        f"{name}.{what}"
        for name, module in model.named_modules()
        if isinstance(module, UnitMask)
        for what in ("gradient", "contribution")
    ]


def snapshot(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> dict[str, Tensor]:
    """Copy the parameters of units, by name, to grow units from them later."""
    names = {part.parameter for group in units.values() for part in group.parts}
    return {name: parameter_at(encoder, name).detach().clone() for name in sorted(names)}


@torch.no_grad()
def change_(
    encoder: nn.Module,
    units: Mapping[str, UnitGroup],
    keep: Mapping[str, Tensor],
    optimizer: Optimizer | None = None,
    start: str = "zero",
    pretrained: Mapping[str, Tensor] | None = None,
) -> None:
    """Make other units active: units that go keep their weights below the mask, units that come start anew.

    Parameters
    ----------
    encoder : nn.Module
        With masks from `hold_`; changed in place.
    units : mapping of str to UnitGroup
        All units that `hold_` was given.
    keep : mapping of str to bool Tensor
        The units to be active, by group.
    optimizer : Optimizer, optional
        Its state (Adam's moments, momentum) is cleared for the units that go or come. A removed unit's gradient
        is zero, so it then gets no update, apart from weight decay, and a grown one starts without a past.
    start : {"zero", "held", "pretrained"}
        Weights of units that come: ``zero``, columns of zeros, so that the function does not change, and rows
        as they were when the unit went; ``held``, all as they were; ``pretrained``, all from `pretrained`.
    pretrained : mapping of str to Tensor, optional
        From `snapshot`, for ``start="pretrained"``.

    Raises
    ------
    UserError
        If a mask does not fit, or there is no such start.
    """
    check_keep(units, keep)
    if start not in STARTS:
        raise UserError(f"start is {start!r}: choose one of {', '.join(STARTS)}.")
    masks = unit_masks(encoder, units)
    forget_(encoder, units, {name: keep[name] ^ mask.keep.cpu() for name, mask in masks.items()}, optimizer)
    for name, mask in masks.items():
        new = keep[name].to(mask.keep.device)
        came = new & ~mask.keep
        if start == "pretrained":
            for part in units[name].parts:
                _set_(parameter_at(encoder, part.parameter), part, came, pretrained[part.parameter])
        if start == "zero":
            _set_(parameter_at(encoder, units[name].columns.parameter), units[name].columns, came, 0)
        mask.keep.copy_(new)
        mask.gradient.zero_()
        mask.contribution.zero_()


@torch.no_grad()
def zero_(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> None:
    """Set the columns of the units that are not active to zero; they stay ordinary weights (structured PARP).

    A unit with zero columns adds nothing and may come back. With all its weights at zero, all their gradients
    would be zero too, and what PARP adjusts would be fixed from the first step.

    Parameters
    ----------
    encoder : nn.Module
        With masks from `hold_`; changed in place.
    units : mapping of str to UnitGroup
        The units.
    """
    for name, mask in unit_masks(encoder, units).items():
        columns = units[name].columns
        _set_(parameter_at(encoder, columns.parameter), columns, ~mask.keep, 0)


@torch.no_grad()
def forget_(
    encoder: nn.Module,
    units: Mapping[str, UnitGroup],
    chosen: Mapping[str, Tensor],
    optimizer: Optimizer | None,
) -> None:
    """Clear an optimiser's state (moments, momentum) for chosen units; bool tensors by group."""
    for name, group in units.items():
        for part in group.parts:
            parameter = parameter_at(encoder, part.parameter)
            state = {} if optimizer is None else optimizer.state.get(parameter, {})
            for value in state.values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    _set_(value, part, chosen[name].to(value.device), 0)


def _set_(values: Tensor, part: Part, chosen: Tensor, new: Tensor | float) -> None:
    """Write into the entries of some units of a parameter: zeros, or what another tensor has there."""
    places = chosen.repeat_interleave(part.width).nonzero().flatten()
    if isinstance(new, Tensor):
        values.index_copy_(part.axis, places, new.to(values.device).index_select(part.axis, places))
    else:
        values.index_fill_(part.axis, places, new)


def release_(encoder: nn.Module, units: Mapping[str, UnitGroup]) -> dict[str, Tensor]:
    """Multiply the masks into the weights and take them off; returns which units were active.

    Parameters
    ----------
    encoder : nn.Module
        With masks from `hold_`; changed in place: removed units have columns of zeros. Layer norms run over all
        channels again, so removed channels of the wav2vec2 shape need `slice_` to be gone from them.
    units : mapping of str to UnitGroup
        All units that `hold_` was given.

    Returns
    -------
    dict of str to bool Tensor
        As from `kept_units`: what `slice_` wants.
    """
    keep = kept_units(encoder, units)
    zero_(encoder, units)
    for group in units.values():
        layer = _layer(encoder, group)
        restore_(layer, {"weight": layer.parametrizations.weight.original})
        for place in group.norms:
            norm = encoder.get_submodule(place)
            del norm.mask
            norm.__class__ = nn.LayerNorm
    return keep
