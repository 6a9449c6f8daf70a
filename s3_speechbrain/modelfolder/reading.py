"""Reading a model folder: nothing in it is believed before it is checked, and nothing of it is run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.tokens import Tokenizer, tokenizer_from_record
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.header import RefusedError, need
from s3_speechbrain.modelfolder.building import build, expected_tensors
from s3_speechbrain.modelfolder.config import MOST_CONFIG_BYTES, ModelConfig, parse_model_config
from s3_speechbrain.modelfolder.files import (
    CONFIG,
    WEIGHTS,
    inside,
    read_table,
    read_text,
    refusing,
    sha256_of,
)
from s3_speechbrain.modelfolder.tensors import state_of

_CODES = {"float32": "F32", "float16": "F16", torch.int64: "I64"}


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model folder in memory.

    Attributes
    ----------
    recogniser : Recogniser
        Frozen, in evaluation mode, on the CPU, in float32.
    tokenizer : Tokenizer
        Of its labels.
    languages : tuple of str
        That it was trained on.
    config : ModelConfig
        All that the folder says about it.
    """

    recogniser: Recogniser
    tokenizer: Tokenizer
    languages: tuple[str, ...]
    config: ModelConfig


def is_model(folder: str | Path) -> bool:
    """Tell whether a folder looks like a model folder; whether it is a sound one only `read_model` tells."""
    return (Path(folder) / CONFIG).is_file() and (Path(folder) / WEIGHTS).is_file()


def read_config(folder: str | Path) -> ModelConfig:
    """Read and check what a model folder says about itself; its weights are not looked at.

    Raises
    ------
    UserError
        As for `read_model`.
    """
    folder = _existing(folder)
    with refusing(folder):
        return parse_model_config(read_text(folder, CONFIG, MOST_CONFIG_BYTES))


def read_model(folder: str | Path) -> LoadedModel:
    """Build the recogniser of a model folder; no network is used, and no code of the folder is run.

    Parameters
    ----------
    folder : path
        As written by `write_model`, or fetched with `fetch`.

    Returns
    -------
    LoadedModel
        Its logits are those of the recogniser that was written, bit for bit where the weights are float32.

    Raises
    ------
    UserError
        If anything in the folder is missing, damaged, of an unknown format, out of range, or is not what the
        config says. Sizes are checked before memory is taken for them.
    """
    folder = _existing(folder)
    with refusing(folder):
        config = parse_model_config(read_text(folder, CONFIG, MOST_CONFIG_BYTES))
        path = inside(folder, WEIGHTS)
        table = read_table(path, config.weights["bytes"])
        check_table(table, expected_tensors(config), config.weights["dtype"])
        need(sha256_of(path) == config.weights["sha256"], f"the checksum of {WEIGHTS} is wrong")
        tokenizer = _tokenizer(config.tokenizer)
        model = build(config)
        fill_(state_of(model, config.encoder.model_type, config.head), path)
    return LoadedModel(model, tokenizer, tuple(config.facts.languages), config)


def _tokenizer(record: Mapping[str, Any]) -> Tokenizer:
    try:
        return tokenizer_from_record(record)
    except UserError as error:
        raise RefusedError(str(error)) from None


def _existing(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give a model folder, or fetch one from the hub first")
    return folder


def check_table(
    table: Mapping[str, tuple[str, tuple[int, ...]]], wanted: Mapping[str, Tensor], dtype: str
) -> None:
    """Compare the file's table of tensors with what the config makes, before any is read."""
    odd = min(table.keys() ^ wanted.keys(), default=None)
    need(odd is None, f"the tensor {str(odd)[:80]!r} is {'missing' if odd in wanted else 'unknown'}")
    for name, value in wanted.items():
        code, shape = table[name]
        need(
            shape == tuple(value.shape), f"{name} has shape {shape}, its config makes it {tuple(value.shape)}"
        )
        right = _CODES[dtype if value.is_floating_point() else value.dtype]
        need(code == right, f"{name} is of type {code[:16]}, its config says {right}")


def fill_(state: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors of a file, whose table was checked, into those of a network."""
    with safe_open(path, framework="pt") as file:
        for name, value in state.items():
            stored = file.get_tensor(name)
            need(stored.isfinite().all(), f"{name} holds NaN or infinity")
            value.copy_(stored)
