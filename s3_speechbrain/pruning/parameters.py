"""The pruned set: which parameters of an encoder compete for being kept."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils import parametrize

from s3_speechbrain.layers import bare_matrices, select_layers

GROUPS = ("ffn", "attention")  # the six linears of each transformer layer


def prunable(
    encoder: nn.Module, groups: Sequence[str] = GROUPS, biases: bool = True
) -> dict[str, nn.Parameter]:
    """Find the parameters that are pruned: weights and biases of the linears of some groups.

    Parameters
    ----------
    encoder : nn.Module
        A Hugging Face speech encoder or a module that contains one; with or without enforced masks.
    groups : sequence of str
        Some of `s3_speechbrain.layers.GROUPS`. PARP prunes query, key, value, output and the two FFN linears
        of every transformer layer: all of ``ffn`` and ``attention``.
    biases : bool
        Rank the biases together with the weights, as PARP does. A layer without bias (Whisper's keys) has none.

    Returns
    -------
    dict of str to nn.Parameter
        By parameter name, in network order. Under a mask these are the parameters below it, not their product.

    Raises
    ------
    UserError
        If a group does not exist, or the encoder has no layer of it.

    Examples
    --------
    >>> list(prunable(encoder))[:2]  # doctest: +SKIP
    ['encoder.layers.0.attention.k_proj.weight', 'encoder.layers.0.attention.k_proj.bias']
    """
    found = {
        f"{name}.{role}": parameter_below(layer, role)
        for name, layer in select_layers(encoder, groups, bare=True).items()
        for role in roles_of(layer)
        if biases or role != "bias"
    }
    return {name: parameter for name, parameter in found.items() if parameter is not None}


def roles_of(layer: nn.Module | None) -> tuple[str, ...]:
    """Name the parameters of a layer that can be pruned: ``weight`` and ``bias``, or its bare matrices."""
    return ("weight", "bias") if isinstance(layer, nn.Linear | nn.Conv1d) else bare_matrices(layer)


def parameter_below(layer: nn.Module, role: str) -> Tensor | None:
    """Return the parameter ``weight`` or ``bias`` of a layer, the unmasked one where it is masked."""
    if parametrize.is_parametrized(layer, role):
        return layer.parametrizations[role].original
    return getattr(layer, role)
