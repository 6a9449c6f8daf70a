"""Names the weight matrices of encoders by what they do, whatever the encoder family calls them."""

import re
from collections.abc import Sequence

from torch import nn

from s3_speechbrain.errors import UserError

GROUPS = ("ffn", "attention", "projection", "extractor")

# wav2vec2, HuBERT, WavLM and data2vec share one naming scheme, the Whisper encoder has its own. Of text encoders,
# BERT, RoBERTa, ELECTRA and DeBERTa share one; DistilBERT and XLNet have their own. XLNet's attention has five
# matrices that are bare parameters of one module.
_PATTERNS = {
    "ffn": r"layers\.\d+\.(feed_forward\.(intermediate|output)_dense|fc1|fc2)"
    r"|layer\.\d+\.((intermediate|output)\.dense|ffn\.lin[12]|ff\.layer_[12])",
    "attention": r"layers\.\d+\.(attention|self_attn)\.(q|k|v|out)_proj"
    r"|layer\.\d+\.(attention\.(self\.(query|key|value)(_proj)?|output\.dense|(q|k|v|out)_lin)|rel_attn)",
    "projection": r"feature_projection\.projection",
    "extractor": r"feature_extractor\.conv_layers\.\d+\.conv|conv[12]",
}
_GROUP_OF = {group: re.compile(rf"(?:.*\.)?(?:{pattern})") for group, pattern in _PATTERNS.items()}
_PARAMETRISED = re.compile(r"(?:^|(?<=\.))parametrizations\.(\w+)\.original$")
_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")  # "conv_layers.3." has no dot before "layers": not a match


def group_of(name: str) -> str | None:
    """Tell which group a layer belongs to.

    Parameters
    ----------
    name : str
        Dotted module name, for example ``encoder.layers.3.feed_forward.output_dense``; any prefix is allowed.

    Returns
    -------
    str or None
        One of `GROUPS`, or None for a module that is in no group.

    Examples
    --------
    >>> group_of("model.encoder.layers.3.attention.q_proj")
    'attention'
    """
    return next((group for group, pattern in _GROUP_OF.items() if pattern.fullmatch(name)), None)


def layer_index(name: str) -> int | None:
    """Tell the number of the transformer layer a module lives in.

    Parameters
    ----------
    name : str
        Dotted module name.

    Returns
    -------
    int or None
        Number counted from 0; None outside the transformer layers.

    Examples
    --------
    >>> layer_index("encoder.layers.11.feed_forward.output_dense")
    11
    """
    match = _LAYER.search(name)
    return int(match.group(1)) if match else None


def plain_name(name: str) -> str:
    """Name a parameter as it is called without a parametrisation (a mask) over it.

    Parameters
    ----------
    name : str
        Dotted parameter name.

    Returns
    -------
    str
        The name in the bare module; any other name as it is.

    Examples
    --------
    >>> plain_name("layers.0.fc1.parametrizations.weight.original")
    'layers.0.fc1.weight'
    """
    return _PARAMETRISED.sub(r"\1", name)


def bare_matrices(layer: nn.Module) -> tuple[str, ...]:
    """Name the matrices that a layer holds as bare parameters, not as linear layers (XLNet's attention)."""
    kinds = {kind.__name__ for kind in type(layer).__mro__}  # under a mask the class is one derived from it
    return ("q", "k", "v", "o", "r") if "XLNetRelativeAttention" in kinds else ()


def is_matrix(name: str) -> bool:
    """Tell whether a parameter is a matrix of the transformer's FFN or attention.

    Parameters
    ----------
    name : str
        Dotted parameter name.

    Returns
    -------
    bool
        False for biases and norms, and everything outside those groups.

    Examples
    --------
    >>> is_matrix("layers.0.fc1.weight"), is_matrix("layers.0.fc1.bias")
    (True, False)
    """
    layer, _, role = name.rpartition(".")
    bare = layer.endswith("rel_attn")
    return group_of(layer) in ("ffn", "attention") and (role in "qkvor" if bare else role == "weight")


def check_groups(groups: Sequence[str]) -> None:
    """Refuse what is no list of names in `GROUPS`.

    Raises
    ------
    UserError
        If a group does not exist, or none is named.
    """
    if isinstance(groups, str) or not groups:
        raise UserError(f"groups is {groups!r}: give a list with one or more of {', '.join(GROUPS)}.")
    for group in groups:
        if group not in GROUPS:
            raise UserError(f"Unknown layer group {group!r}: use one or more of {', '.join(GROUPS)}.")


def select_layers(encoder: nn.Module, groups: Sequence[str], bare: bool = False) -> dict[str, nn.Module]:
    """Find the linear and convolutional layers of some groups.

    Parameters
    ----------
    encoder : nn.Module
        A Hugging Face speech encoder, or any module that contains one.
    groups : sequence of str
        Some of `GROUPS`.
    bare : bool
        Find layers with bare matrices too (`bare_matrices`).

    Returns
    -------
    dict of str to nn.Module
        Dotted name to `nn.Linear` or `nn.Conv1d` (or a layer with bare matrices), in the order in which the encoder
        registers them.

    Raises
    ------
    UserError
        If a group does not exist, none is named, or the encoder has no layer of a group.
    """
    check_groups(groups)
    named = {name: group_of(name) for name, module in encoder.named_modules() if _maskable(module, bare)}
    for group in groups:
        if group not in named.values():
            kind = type(encoder).__name__
            raise UserError(
                f"{kind} has no layer of group {group!r}: leave it out, or use a wav2vec2, HuBERT, WavLM, "
                "data2vec-audio or Whisper encoder, or a BERT-like one for text."
            )
    return {name: encoder.get_submodule(name) for name, group in named.items() if group in groups}


def _maskable(module: nn.Module, bare: bool) -> bool:
    return isinstance(module, nn.Linear | nn.Conv1d) or (bare and bool(bare_matrices(module)))
