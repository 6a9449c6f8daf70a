"""Which backbone a mask belongs to."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.masking import SELECTION

# Settings that change what equal weights compute. Dropout rates and file names do not.
_SETTINGS = (
    "num_attention_heads",
    "encoder_attention_heads",
    "hidden_act",
    "activation_function",
    "feat_extract_activation",
    "feat_extract_norm",
    "layer_norm_eps",
    "do_stable_layer_norm",
    "conv_stride",
    "num_buckets",
    "max_bucket_distance",
)


def fingerprint(encoder: SpeechEncoder) -> str:
    """Return the SHA-256 of an encoder's own weights: names, types, shapes, bytes.

    Masks and scores do not count, so an encoder has one fingerprint masked and unmasked. Neither do the vectors
    that only SpecAugment uses. What equal weights compute also depends on a few settings (activation, number of
    heads, normalisation of the waveform, ...), so they count.

    Parameters
    ----------
    encoder : SpeechEncoder
        With its full weights, masked or not.

    Returns
    -------
    str
        64 hexadecimal digits; the same on every machine that stores numbers in little-endian order.
    """
    settings = {name: _plain(getattr(encoder.model.config, name, None)) for name in _SETTINGS}
    about = {"family": encoder.family, "normalises": encoder.normalises, **settings}
    return fingerprint_of(about, _weights(encoder))


def fingerprint_of(about: Mapping[str, object], weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named weights and of what else changes what they compute.

    Parameters
    ----------
    about : mapping
        The latter, as JSON can hold it.
    weights : mapping of str to Tensor
        In any order.

    Returns
    -------
    str
        64 hexadecimal digits, as for `fingerprint`.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, weight in sorted(weights.items()):
        digest.update(f"\n{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _weights(encoder: SpeechEncoder) -> dict[str, Tensor]:
    """Return the parameters under the names they have without masks."""
    named = {
        name.replace(".parametrizations.weight.original", ".weight")
        if name.endswith(".parametrizations.weight.original")
        else name: weight
        for name, weight in encoder.model.named_parameters()
        if not name.endswith(SELECTION)
    }
    named.pop("masked_spec_embed", None)  # many checkpoints lack it: it is random then
    return named
