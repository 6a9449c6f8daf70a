"""Load pretrained weights and make sure that the network is the one that was saved: none random, none left out."""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, PretrainedConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from s3_speechbrain.errors import UserError

# Whole Whisper models hold the encoder under "model.encoder.", classifiers under "encoder.".
WHISPER_NAMES = {r"^(model\.)?encoder\.": ""}
# Tensors of a layer, in any family and under any prefix; a decoder's are not the encoder's.
OF_A_LAYER = re.compile(r"^(?!(.*\.)?decoder\.)(.*\.)?(layers|conv_layers)\.\d+\.")
LFS_POINTER = b"version https://git-lfs"


def load_weights(source: str, config: PretrainedConfig, revision: str | None = None) -> nn.Module:
    """Build the bare encoder of a checkpoint in float32.

    The checkpoint may be of the encoder itself or of a model with a head on it (``...ForCTC``,
    ``...ForPreTraining``, a whole Whisper), in safetensors or in PyTorch's own format.

    Parameters
    ----------
    source : str
        Local folder or hub name.
    config : PretrainedConfig
        Of one of the supported families.
    revision : str, optional
        Hub revision.

    Returns
    -------
    nn.Module
        Hugging Face's encoder without a head.

    Raises
    ------
    UserError
        If there are no weights, they cannot be read, hold NaN, or are not exactly those that the config asks for.
    """
    options = {
        "config": config,
        "revision": revision,
        "dtype": torch.float32,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # we name the first one; Hugging Face's own message does not
    }
    whisper = config.model_type == "whisper"
    load = WhisperEncoder.from_pretrained if whisper else AutoModel.from_pretrained
    if not whisper:
        options["trust_remote_code"] = False  # no code of a repository is run
    try:
        with _without_report():
            model, info = load(source, **options, **({"key_mapping": WHISPER_NAMES} if whisper else {}))
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise UserError(_unreadable(source, error)) from error
    except (OSError, ValueError) as error:
        hint = "" if Path(source).is_dir() else " (offline? give a local folder)"
        raise UserError(f"no encoder weights for {source!r}: {_first_line(error)}{hint}") from error
    _refuse_other_tensors(source, info)
    _refuse_broken(source, model)
    return model


def fill_(model: nn.Module, source: str, revision: str | None = None) -> nn.Module:
    """Fill a sliced network; from_pretrained cannot, as it builds the network before it was sliced.

    Parameters
    ----------
    model : nn.Module
        Of the sliced shape; changed in place.
    source, revision
        As in `load_weights`; holds ``model.safetensors``.

    Returns
    -------
    nn.Module
        The same network.

    Raises
    ------
    UserError
        As in `load_weights`.
    """
    try:
        weights = load_file(cached_file(source, "model.safetensors", revision=revision))
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split("\n")[:2])
        raise UserError(f"no weights for the sliced encoder {source!r}: {reason}") from error
    _refuse_broken(source, model)
    return model


@contextmanager
def _without_report() -> Iterator[None]:
    """Silence Hugging Face's table of keys, which lists every head that is left out; we read it."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _refuse_other_tensors(source: str, info: dict[str, Any]) -> None:
    # masked_spec_embed is legitimately absent from many released checkpoints.
    missing = sorted(name for name in info["missing_keys"] if "masked_spec_embed" not in name)
    if missing:
        raise UserError(
            f"{source!r}: {len(missing)} weights are missing, first {missing[0]}; the folder is incomplete"
        )
    for name, saved, asked in sorted(info["mismatched_keys"]):
        raise UserError(
            f"{source!r}: the weight {name} has shape {tuple(saved)}, config.json asks for {tuple(asked)}; "
            "get the config.json that belongs to these weights"
        )
    surplus = sorted(name for name in info["unexpected_keys"] if OF_A_LAYER.match(name))
    if surplus:
        raise UserError(
            f"{source!r}: config.json has no place for {len(surplus)} weights of the encoder, first {surplus[0]}; "
            "get the config.json that belongs to these weights"
        )


def _refuse_broken(source: str, model: nn.Module) -> None:
    broken = next((name for name, value in model.named_parameters() if not value.isfinite().all()), None)
    if broken:
        raise UserError(f"{source!r}: the weight {broken} holds NaN or infinity; get the model again")


def _unreadable(source: str, error: Exception) -> str:
    for path in sorted(Path(source).glob("*")):
        if path.suffix in (".safetensors", ".bin") and path.read_bytes()[: len(LFS_POINTER)] == LFS_POINTER:
            return f"{path} is a pointer of Git LFS, not the weights: run git lfs pull in {source}"
    return f"{source!r}: its weights cannot be read ({_first_line(error)}); copy or download them again"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
