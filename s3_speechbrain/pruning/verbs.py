"""Verbs: zero weights once, re-prune them (PARP), or hold a mask over them (OMP, MPI, RP, IMP)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.api import bake_ as bake_weights_
from s3_speechbrain.masking.parametrisation import MaskedWeight, attach_, detach_
from s3_speechbrain.pruning.magnitude import magnitude_masks
from s3_speechbrain.pruning.parameters import parameter_below, roles_of


@torch.no_grad()
def prune_once_(parameters: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Set the removed entries to zero, in place; afterwards they are ordinary weights and may come back.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        As from `prunable`; the objects stay the same, so an optimiser keeps its state for them.
    masks : mapping of str to bool Tensor
        Of the same names and shapes; False removes.

    Raises
    ------
    UserError
        If names or shapes differ; nothing is changed then.
    """
    check_fit(parameters, masks)
    for name, keep in masks.items():
        parameters[name].mul_(keep.to(parameters[name].device))  # five times as fast as filling in zeros


def reprune_(
    parameters: Mapping[str, Tensor],
    sparsity: float,
    scope: str = "global",
    optimizer: Optimizer | None = None,
) -> dict[str, Tensor]:
    """Rank the weights anew and zero the smallest: PARP's step between its stretches of dense training.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        As from `prunable`; changed in place.
    sparsity, scope
        As in `magnitude_masks`.
    optimizer : Optimizer, optional
        Its state for the removed entries (Adam's two moments) is set to zero as well. PARP keeps it, so that a
        weight just removed moves on at once; pass nothing for that.

    Returns
    -------
    dict of str to bool Tensor
        The new masks.
    """
    masks = magnitude_masks(parameters, sparsity, scope)
    prune_once_(parameters, masks)
    if optimizer is not None:
        for name, keep in masks.items():
            _forget_(optimizer, parameters[name], ~keep)
    return masks


@torch.no_grad()
def _forget_(optimizer: Optimizer, parameter: Tensor, gone: Tensor) -> None:
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.masked_fill_(gone, 0)


def enforce_(encoder: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Hold fixed masks over weights and biases: every forward pass multiplies them in.

    The parameters keep their values and their `requires_grad` below the mask; removed entries get no gradient.

    Parameters
    ----------
    encoder : nn.Module
        Without masks; changed in place.
    masks : mapping of str to bool Tensor
        By parameter name, as from `magnitude_masks`.

    Raises
    ------
    UserError
        If a mask fits no parameter, or a parameter is masked already; nothing is changed then.
    """
    layers = {name.rpartition(".")[0]: None for name in masks}
    known = dict(encoder.named_modules())
    found = {
        f"{name}.{role}": parameter_below(known[name], role)
        for name in layers
        for role in roles_of(known.get(name))
    }
    check_fit({name: value for name, value in found.items() if name in masks and value is not None}, masks)
    if any(parametrize.is_parametrized(known[name]) for name in layers):
        raise UserError("A layer is masked already: call bake_ first, or start from a new encoder.")
    for name in sorted(masks, key=lambda name: name.endswith(".bias")):  # attach_ wants a layer without masks
        layer_name, _, role = name.rpartition(".")
        layer = known[layer_name]
        masked = MaskedWeight(masks[name].detach().clone().to(found[name].device))
        if role == "weight":
            attach_(layer, masked, train_weight=layer.weight.requires_grad)
        else:
            parametrize.register_parametrization(layer, role, masked, unsafe=True)


def _enforced(encoder: nn.Module) -> Iterator[tuple[str, nn.Module, str, MaskedWeight]]:
    for name, layer in encoder.named_modules():
        for role in layer.parametrizations if parametrize.is_parametrized(layer) else ():
            masked = layer.parametrizations[role][0]
            if isinstance(masked, MaskedWeight):
                yield name, layer, role, masked


def enforced_masks(encoder: nn.Module) -> dict[str, Tensor]:
    """Read the masks that `enforce_` put on an encoder.

    Returns
    -------
    dict of str to bool Tensor
        By parameter name, in network order; copies.
    """
    return {f"{name}.{role}": masked.keep.clone() for name, _, role, masked in _enforced(encoder)}


def bake_(encoder: nn.Module) -> None:
    """Multiply enforced masks into weights and biases and remove them: an ordinary encoder remains.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place; its outputs stay bit-identical.
    """
    bake_weights_(encoder)
    others = [
        layer for _, layer, *_ in _enforced(encoder)
    ]  # bare matrices, a bias beside a weight without a mask
    for layer in dict.fromkeys(others):
        detach_(layer, leave_masked=True)


def check_fit(parameters: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Refuse masks whose names, types or shapes are not those of the parameters.

    Raises
    ------
    UserError
        Naming the first that does not fit.
    """
    advice = "use masks of this backbone, made with the same groups and biases"
    for name in sorted(parameters.keys() ^ masks.keys()):
        if name in masks:
            raise UserError(f"Mask {name!r} has no parameter in this encoder: {advice}.")
        raise UserError(f"The masks lack {name!r}: {advice}.")
    for name, keep in masks.items():
        shape = tuple(parameters[name].shape)
        if keep.dtype != torch.bool or tuple(keep.shape) != shape:
            given = f"{keep.dtype} {tuple(keep.shape)}"
            raise UserError(f"Mask {name!r} is {given}, expected torch.bool {shape}: {advice}.")
