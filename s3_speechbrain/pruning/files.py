"""The masks of a run as one small file: one bit per weight, checked before anything is believed.

A safetensors file: one uint8 tensor of packed bits per pruned parameter, under the parameter's name, and in the
metadata the shapes, a checksum and what the writer says about the run. Nothing in it can run code when read.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from s3_speechbrain.atomic import write_atomic
from s3_speechbrain.errors import UserError

FORMAT = "s3-speechbrain masks 1"
LARGEST = 2**31  # a size of a tensor, to keep products and views within what torch counts


def save_masks(path: str | Path, masks: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> Path:
    """Write masks as one file, whole or not at all.

    Parameters
    ----------
    path : path
        The file, customarily ``mask.safetensors``; its folder is made if needed.
    masks : mapping of str to bool Tensor
        By parameter name (``encoder.layers.0.attention.q_proj.weight``), True where an entry is kept; any shapes.
    about : mapping, optional
        Where the masks come from (language, backbone, ...), in values that JSON knows.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If a mask is not of type bool, or there is none.

    Examples
    --------
    >>> save_masks("mask.safetensors", {"a": torch.tensor([True, False])})  # doctest: +SKIP
    """
    path = Path(path)
    wrong = next((name for name, keep in masks.items() if keep.dtype != torch.bool), None)
    if wrong is not None or not masks:
        raise UserError(f"{path}: {f'mask {wrong!r} is not of type bool' if wrong else 'no masks to save'}.")
    packed = {name: np.packbits(keep.detach().cpu().reshape(-1).numpy()) for name, keep in masks.items()}
    metadata = {
        "format": FORMAT,
        "shapes": json.dumps({name: list(keep.shape) for name, keep in masks.items()}),
        "sha256": _checksum(packed),
        "about": json.dumps(dict(about or {}), sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, save(packed, metadata))
    return path


def load_masks(path: str | Path) -> dict[str, Tensor]:
    """Read what `save_masks` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to bool Tensor
        The masks, in the order in which they were given to `save_masks`.

    Raises
    ------
    UserError
        If there is no such file, or it is no file of masks, cut short or changed.
    """
    path = Path(path)
    metadata, packed = _read(path)
    shapes = _json_object(path, metadata, "shapes", "its list of shapes")
    if not all(map(_is_shape, shapes.values())):
        raise _damaged(path, "its list of shapes cannot be read")
    if shapes.keys() != packed.keys():
        raise _damaged(path, "its masks are not those that it lists")
    for name, shape in shapes.items():
        if packed[name].shape != (-(-math.prod(shape) // 8),):
            raise _damaged(path, f"mask {name!r} has not the size that it claims")
    if metadata.get("sha256") != _checksum(packed):
        raise _damaged(path, "its checksum differs")
    return {
        name: torch.from_numpy(np.unpackbits(packed[name], count=math.prod(shape)).astype(bool)).view(shape)
        for name, shape in shapes.items()
    }


def masks_about(path: str | Path) -> dict[str, Any]:
    """Read what the writer of a file of masks said about them; empty if nothing.

    Raises
    ------
    UserError
        As `load_masks`.
    """
    path = Path(path)
    metadata, _ = _read(path)
    return _json_object(path, metadata, "about", "what it says about itself")


def _json_object(path: Path, metadata: Mapping[str, str], field: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(metadata[field])
    except (KeyError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _damaged(path, f"{what} cannot be read")
    return found


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < LARGEST for size in value)


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    if not path.is_file():
        raise UserError(f"There is no file of masks {path}: give the mask.safetensors of a finished run.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UserError(
                    f"{path} holds no masks of this project: give the mask.safetensors of a finished run."
                )
            names = list(file.keys())  # no mapping
            if any(file.get_slice(name).get_dtype() != "U8" for name in names):
                raise _damaged(path, "its masks are no packed bits")
            packed = {name: file.get_tensor(name) for name in names}
    except UserError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, " ".join(str(error).split())) from None
    return metadata, packed


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): copy it again, or run again what made it.")


def _checksum(packed: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(packed):
        digest.update(name.encode())
        digest.update(packed[name].tobytes())
    return digest.hexdigest()
