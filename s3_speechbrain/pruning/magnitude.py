"""Weights to masks, as pure functions: what magnitude pruning keeps, with exact counts."""

import zlib
from collections.abc import Iterable, Mapping
from numbers import Real

import torch
from torch import Tensor

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import layer_index
from s3_speechbrain.masking.selection import count_zeros, keep_largest

SCOPES = ("global", "layer")


def magnitude_masks(
    tensors: Mapping[str, Tensor], sparsity: float, scope: str = "global"
) -> dict[str, Tensor]:
    """Keep the entries of largest magnitude over all tensors together, or within each transformer layer.

    With ``scope="global"`` this is PARP's ranking: one threshold over weights and biases of all layers, so that
    layers end up differently sparse (`torch.nn.utils.prune.global_unstructured` with L1).

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By parameter name, any shapes, as from `prunable`.
    sparsity : float
        Fraction of all entries that is removed, in [0, 1). Exactly ``round(sparsity * entries)`` go per ranking;
        of equal magnitudes the first goes first.
    scope : {"global", "layer"}
        Who competes with whom; what is outside the transformer layers is ranked together under ``"layer"``.

    Returns
    -------
    dict of str to bool Tensor
        True where an entry is kept; shapes and order of the tensors.

    Raises
    ------
    UserError
        If the sparsity or the scope does not exist, or a weight is not a number.
    """
    masks: dict[str, Tensor] = {}
    for names in _rankings(tensors, sparsity, scope):
        members = [tensors[name] for name in names]
        zeros = count_zeros([(sparsity, sum(tensor.numel() for tensor in members))])
        masks.update(zip(names, keep_largest(members, zeros), strict=True))
    return {name: masks[name] for name in tensors}


def _rankings(names: Iterable[str], sparsity: float, scope: str) -> list[list[str]]:
    check_sparsity(sparsity)
    check_scope(scope)
    rankings: dict[int | None, list[str]] = {}
    for name in names:
        rankings.setdefault(layer_index(name) if scope == "layer" else None, []).append(name)
    return list(rankings.values())


def prune_further(
    tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor], sparsity: float, scope: str = "global"
) -> dict[str, Tensor]:
    """Remove more of what masks still keep, by magnitude; nothing comes back (IMP).

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By parameter name; the values of removed entries do not matter.
    masks : mapping of str to bool Tensor
        Of the same names and shapes.
    sparsity : float
        Fraction of all entries that is removed afterwards, counting those removed before.
    scope : {"global", "layer"}
        As in `magnitude_masks`.

    Returns
    -------
    dict of str to bool Tensor
        The new masks; where one is True the old one was.

    Raises
    ------
    UserError
        If the sparsity is out of range or below that of the masks.
    """
    result = {name: keep.clone() for name, keep in masks.items()}
    for names in _rankings(masks, sparsity, scope):
        members = {name: masks[name] for name in names}
        entries, gone = sum(keep.numel() for keep in members.values()), removed(members)
        more = count_zeros([(sparsity, entries)]) - gone
        if more < 0:
            raise UserError(f"The masks remove {gone} of {entries} entries already: raise the sparsity.")
        alive = keep_largest([tensors[name].detach()[keep] for name, keep in members.items()], more)
        for name, still in zip(names, alive, strict=True):
            result[name][masks[name]] = still
    return result


def random_masks(
    tensors: Mapping[str, Tensor], sparsity: float, seed: int, scope: str = "global"
) -> dict[str, Tensor]:
    """Remove entries drawn uniformly at random.

    PARP's own random pruning (RP) is `magnitude_masks` of a randomly initialised network instead; there biases,
    which start at zero, all fall first, and matrices with a smaller initial scale lose more.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        For names, shapes and device.
    sparsity, scope
        As in `magnitude_masks`.
    seed : int
        The same seed gives a parameter the same draw on every device.

    Returns
    -------
    dict of str to bool Tensor
        True where an entry is kept.
    """
    draws = {}
    for name, tensor in tensors.items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
        draws[name] = torch.rand(tensor.shape, generator=generator).to(tensor.device)
    return magnitude_masks(draws, sparsity, scope)


def removed(masks: Mapping[str, Tensor]) -> int:
    """Count the entries that masks remove."""
    return sum(keep.numel() - int(keep.sum()) for keep in masks.values())


def check_scope(scope: str) -> None:
    """Refuse a ranking that is not in `SCOPES`."""
    if scope not in SCOPES:
        raise UserError(f"scope is {scope!r}: choose one of {', '.join(SCOPES)}.")


def check_sparsity(sparsity: float) -> None:
    """Refuse what is no number in [0, 1)."""
    if not isinstance(sparsity, Real) or not 0 <= sparsity < 1:
        raise UserError(f"sparsity {sparsity} is not in [0, 1): it is the fraction removed, 0.5 for half.")
