"""Verbs on a whole encoder: mask it, read, set and renew its masks, bake them in."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import layer_index, select_layers
from s3_speechbrain.masking.config import MaskConfig
from s3_speechbrain.masking.groups import MaskGroup, renew_groups
from s3_speechbrain.masking.initialisation import initial_scores, score_shape
from s3_speechbrain.masking.parametrisation import LanguageMasks, MaskedWeight, attach_, detach_
from s3_speechbrain.masking.selection import count_zeros
from s3_speechbrain.masking.thresholds import learn_thresholds_


def mask_(
    encoder: nn.Module, config: MaskConfig, layer_filter: Callable[[str], bool] | None = None
) -> dict[str, MaskedWeight]:
    """Put learnable masks on an encoder and freeze the masked weights.

    Other parameters (biases, norms, unmasked layers) keep their `requires_grad`; S3-Router freezes them all.

    Parameters
    ----------
    encoder : nn.Module
        A Hugging Face speech encoder or a module that contains one; changed in place.
    config : MaskConfig
        What to mask and how.
    layer_filter : callable, optional
        Gets a dotted layer name, tells whether to mask it; default all layers of the config's groups.

    Returns
    -------
    dict of str to MaskedWeight
        The new masks by dotted layer name, as from `masks_of`.

    Raises
    ------
    UserError
        If nothing is left to mask, the encoder is masked already, or `layer_sparsity` has not one number per
        layer.

    Examples
    --------
    >>> mask_(encoder, MaskConfig(sparsity=0.08))  # doctest: +SKIP
    """
    layers = layers_to_mask(encoder, config, layer_filter)
    masks, peers = new_masks(layers, config)
    for name, layer in layers.items():
        attach_(layer, masks[name], config.train_weights)
    renew_groups(peers)
    return masks_of(encoder)


def layers_to_mask(
    encoder: nn.Module, config: MaskConfig, layer_filter: Callable[[str], bool] | None = None
) -> dict[str, nn.Module]:
    """Find the layers that a configuration masks in an encoder without masks; arguments as in `mask_`."""
    layers = select_layers(encoder, config.groups)
    _check_layer_sparsity(config, layers)
    layers = {name: layer for name, layer in layers.items() if layer_filter is None or layer_filter(name)}
    if not layers:
        raise UserError(
            "layer_filter leaves no layer to mask: let it accept at least one name of the groups."
        )
    if masks_of(encoder):
        raise UserError("The encoder is masked already: call bake_ first, or start from a new encoder.")
    return layers


def new_masks(
    layers: Mapping[str, nn.Module], config: MaskConfig
) -> tuple[dict[str, MaskedWeight], list[MaskGroup]]:
    """Make first scores and groups for some layers, without touching them; the masks are not renewed yet."""
    rankings: dict[str, list[str]] = {}
    for name in layers:
        rankings.setdefault(config.ranking_of(name), []).append(name)
    # What stays is allocated before anything temporary. Between the temporaries of the initialisation it would
    # leave gaps in the heap that count as used memory to the end.
    masks = {name: _empty_mask(layer.weight, config) for name, layer in layers.items()}
    peers: list[MaskGroup] = []
    for names in rankings.values():
        members = {name: masks[name] for name in names}
        _start_ranking_(members, [layers[name].weight for name in names], config, peers)
    if config.scope == "threshold":
        learn_thresholds_(peers)
    return masks, peers


def _check_layer_sparsity(config: MaskConfig, layers: Mapping[str, nn.Module]) -> None:
    if config.layer_sparsity is None:
        return
    depth = 1 + max((layer_index(name) or 0 for name in layers), default=0)
    if len(config.layer_sparsity) != depth:
        given = len(config.layer_sparsity)
        raise UserError(
            f"layer_sparsity has {given} numbers, the encoder {depth} layers: give one per layer."
        )


def _empty_mask(weight: Tensor, config: MaskConfig) -> MaskedWeight:
    shape = score_shape(weight, config.structure)
    keep = torch.ones(shape, dtype=torch.bool, device=weight.device)
    return MaskedWeight(keep, torch.empty(shape, device=weight.device), sigmoid=config.ste == "sigmoid")


def _start_ranking_(
    members: Mapping[str, MaskedWeight], weights: Sequence[Tensor], config: MaskConfig, peers: list[MaskGroup]
) -> None:
    """Give masks that are ranked together their group and their first scores."""
    shares = [(config.sparsity_of(name), masked.keep.numel()) for name, masked in members.items()]
    group = MaskGroup(count_zeros(shares), peers)
    seeds = [zlib.crc32(f"{config.seed}/{name}".encode()) for name in members]
    scores = initial_scores(
        config.init, weights, seeds, group.zeros, config.structure, config.magnitude_scale
    )
    for masked, score in zip(members.values(), scores, strict=True):
        masked.group = group
        group.members.append(masked)
        with torch.no_grad():
            masked.score.copy_(score)


def _masked_layers(encoder: nn.Module) -> Iterator[tuple[str, nn.Module, MaskedWeight]]:
    for name, layer in encoder.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            masked = layer.parametrizations.weight[0]
            masked = masked.in_use if isinstance(masked, LanguageMasks) else masked
            if isinstance(masked, MaskedWeight):
                yield name, layer, masked


def masks_of(encoder: nn.Module) -> dict[str, MaskedWeight]:
    """Find the masks of an encoder.

    Parameters
    ----------
    encoder : nn.Module
        Masked or not.

    Returns
    -------
    dict of str to MaskedWeight
        By dotted layer name, in network order; of the selected language where there are several; empty
        without masks.
    """
    return {name: masked for name, _, masked in _masked_layers(encoder)}


def renew_masks_(encoder: nn.Module) -> None:
    """Make all learned masks from their scores now, all matrices in parallel.

    A forward pass does this by itself after every change that PyTorch can see. Call it to time it, or after
    writing to a score through ``.data``, which PyTorch does not see.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place; fixed masks stay.
    """
    groups = {id(masked.group): masked.group for masked in masks_of(encoder).values() if masked.group}
    renew_groups(list(groups.values()))


def keep_masks(encoder: nn.Module) -> dict[str, Tensor]:
    """Read the masks of an encoder.

    Parameters
    ----------
    encoder : nn.Module
        Masked by `mask_` or `load_keep_masks_`.

    Returns
    -------
    dict of str to bool Tensor
        By dotted layer name; copies, of the weight's shape ((out, 1) or (1, in) for structured masks).
    """
    renew_masks_(encoder)
    return {name: masked.keep.clone() for name, masked in masks_of(encoder).items()}


def load_keep_masks_(encoder: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Put fixed masks on an encoder in place of any it has; if one does not fit, nothing is changed.

    Parameters
    ----------
    encoder : nn.Module
        With its full weights, masked or not; changed in place.
    masks : mapping of str to bool Tensor
        By dotted layer name, as from `keep_masks`.

    Raises
    ------
    UserError
        If a layer does not exist, or a mask is not of type bool or does not fit its weight.
    """
    for name, keep in masks.items():
        if keep.dtype != torch.bool:
            raise UserError(
                f"Mask {name!r} is {keep.dtype}: expected torch.bool, as read from the backbone it was made for."
            )
    layers = layers_of_masks(encoder, {name: keep.shape for name, keep in masks.items()})
    for _, layer, _ in list(_masked_layers(encoder)):
        detach_(layer, leave_masked=False)
    for name, keep in masks.items():
        layer = layers[name]
        attach_(layer, MaskedWeight(keep.detach().clone().to(layer.weight.device)))


def layers_of_masks(encoder: nn.Module, shapes: Mapping[str, Sequence[int]]) -> dict[str, nn.Module]:
    """Find the layers that masks belong to.

    Parameters
    ----------
    encoder : nn.Module
        Masked or not.
    shapes : mapping of str to sequence of int
        Dotted layer name to the shape of its mask: the weight's, or 1 along shared axes.

    Returns
    -------
    dict of str to nn.Module
        The layers by name, in the order of `shapes`.

    Raises
    ------
    UserError
        If a layer does not exist, a mask does not fit its weight, or the weight is computed from others (as that of
        the positional convolution, which is normalised).
    """
    modules = dict(encoder.named_modules())
    for name, given in shapes.items():
        layer = modules.get(name)
        if not isinstance(layer, nn.Linear | nn.Conv1d):
            raise UserError(f"Mask {name!r} has no layer in this encoder: use the backbone it was made for.")
        shape = _original(layer, name).shape
        if len(given) != len(shape) or any(k not in (1, n) for k, n in zip(given, shape, strict=True)):
            raise UserError(
                f"Mask {name!r} is {tuple(given)}: expected {tuple(shape)}, use the backbone it was made for."
            )
    return {name: modules[name] for name in shapes}


def _original(layer: nn.Module, name: str) -> Tensor:
    if not parametrize.is_parametrized(layer, "weight"):
        return layer.weight
    if not isinstance(layer.parametrizations.weight[0], MaskedWeight | LanguageMasks):
        raise UserError(f"Mask {name!r} is of a weight that is computed from others: mask other layers.")
    return layer.parametrizations.weight.original


def bake_(encoder: nn.Module) -> None:
    """Multiply the masks into the weights and remove them: an ordinary encoder with zeros in it remains.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place; its outputs stay bit-identical. Its weights keep their `requires_grad`.
    """
    for _, layer, _ in list(_masked_layers(encoder)):
        detach_(layer, leave_masked=True)
