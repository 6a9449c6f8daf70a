"""Ways to finetune weights: which parameters of an encoder learn."""

from collections.abc import Collection
from typing import Any

import torch
from speechbrain.nnet.adapters import LoRA, replace_module

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import select_layers

METHODS = ("frozen", "dense", "dense_freeze", "scratch", "lora", "bitfit")


def encoder_options(method: str) -> dict[str, Any]:
    """Tell how an encoder is built for a method.

    Parameters
    ----------
    method : str
        One of `METHODS`.

    Returns
    -------
    dict
        Arguments of `SpeechEncoder` that the method decides; empty for most.

    Raises
    ------
    UserError
        For an unknown method.
    """
    if method not in METHODS:
        raise UserError(f"method is {method!r}: choose one of {', '.join(METHODS)}")
    if method == "frozen":
        return {"freeze": True}
    # Random convolutions must be learned; pretrained ones are better left alone (wav2vec 2.0, Section 4.3).
    return {"pretrained": False, "freeze_extractor": False} if method == "scratch" else {}


def mask_options(groups: Collection[str]) -> dict[str, Any]:
    """Return the arguments of `SpeechEncoder` that masks on some groups of layers decide.

    Scores on the convolutional extractor need it in every pass; otherwise it runs once and without gradients.
    """
    return {"freeze_extractor": False} if "extractor" in groups else {}


def finetune_(encoder: SpeechEncoder, method: str, rank: int = 16, alpha: float = 16.0) -> None:
    """Choose what learns in an encoder, in place.

    Parameters
    ----------
    encoder : SpeechEncoder
        Built with `encoder_options`.
    method : str
        ``frozen``: nothing. ``dense``, ``dense_freeze``, ``scratch``: all weights behind the extractor (for
        ``scratch`` also the extractor). ``lora``: SpeechBrain's low-rank adapters on all attention and FFN
        matrices. ``bitfit``: the biases of the transformer. The vector that SpecAugment masks with learns in
        all but the first.
    rank, alpha : int, float
        Of LoRA; its update is scaled by alpha / rank.
    """
    if method == "lora":
        freeze_weights_(encoder)
        for name, layer in select_layers(encoder, ["attention", "ffn"]).items():
            replace_module(encoder, name, LoRA(layer, rank=rank, alpha=alpha))
    elif method == "bitfit":
        freeze_weights_(encoder)
        extractor = {id(parameter) for module in encoder.extractor for parameter in module.parameters()}
        for name, parameter in encoder.named_parameters():
            if name.endswith(".bias") and id(parameter) not in extractor:
                parameter.requires_grad_(True)


@torch.no_grad()
def merge_adapters_(encoder: SpeechEncoder) -> None:
    """Add the updates of low-rank adapters to the matrices that they belong to, in place; ordinary layers are left.

    Parameters
    ----------
    encoder : SpeechEncoder
        With SpeechBrain's `LoRA` on some of its linear layers, or on none.
    """
    adapted = [(name, module) for name, module in encoder.named_modules() if isinstance(module, LoRA)]
    for name, lora in adapted:
        layer = lora.pretrained_module
        layer.weight += lora.scaling * (lora.adapter_up_proj.weight @ lora.adapter_down_proj.weight)
        replace_module(encoder, name, layer)


def freeze_weights_(encoder: SpeechEncoder) -> None:
    """Freeze all weights, biases and norms, as S3-Router does; the vector of SpecAugment stays trainable.

    Parameters
    ----------
    encoder : SpeechEncoder
        Changed in place; put masks on it afterwards.
    """
    learns = encoder.mask_vector.requires_grad
    encoder.requires_grad_(False)
    encoder.mask_vector.requires_grad_(learns)
