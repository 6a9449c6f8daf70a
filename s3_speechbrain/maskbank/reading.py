"""Reading an entry: nothing in a file is believed before it is checked."""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.coding import CodingError, decode
from s3_speechbrain.maskbank.container import HEAD, MOST_FILE_BYTES, check_finite, digest, parallel
from s3_speechbrain.maskbank.entry import Entry, PackedEntry, head_shapes
from s3_speechbrain.maskbank.header import MOST_HEADER_BYTES, Header, Layer, RefusedError, parse_header
from s3_speechbrain.maskbank.packing import PackedMask

_HEAD_DTYPES = ("F32", "F16")


def read_entry(path: str | Path) -> Entry:
    """Read and check an entry; the head comes in float32.

    Raises
    ------
    UserError
        If the file is missing, damaged, of another format, or claims more than it can hold.
    """
    return read_packed(path).unpack()


def read_packed(path: str | Path, accept: Callable[[Header], None] | None = None) -> PackedEntry:
    """Read an entry with its masks at one bit per weight, as a recogniser holds them.

    Parameters
    ----------
    path : path
        As written by `write_entry`.
    accept : callable, optional
        Gets the header before anything is decoded, and raises if it is not the one wanted.

    Raises
    ------
    UserError
        As for `read_entry`.
    """
    with _opened(Path(path)) as (file, text, header):
        if accept is not None:
            accept(header)
        _check_table(file, header)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if tensors.pop("sha256").tobytes() != digest(text, tensors):
            raise RefusedError("its checksum is wrong")
        return _entry(header, tensors)


def read_header(path: str | Path) -> Header:
    """Read what a file says about itself; whether the file is whole only `read_packed` tells.

    Raises
    ------
    UserError
        As for `read_entry`.
    """
    with _opened(Path(path)) as (_, _, header):
        return header


@contextmanager
def _opened(path: Path) -> Iterator[tuple[safe_open, str, Header]]:
    """Open a file, give its header as text and checked; whatever a bad file causes becomes one line that names it."""
    try:
        size = _check_file(path)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.keys() != {"entry"}:
                raise RefusedError("it is not a file of a mask bank")
            yield file, metadata["entry"], parse_header(metadata["entry"], size)
    except (RefusedError, CodingError, SafetensorError) as error:
        reason = " ".join(str(error).split())
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise UserError(f"{path} is refused: {reason[:300]}; get the file again or train the language again")


def _check_file(path: Path) -> int:
    """Return the size of a file that may be opened as safetensors."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError("it is not a file")
    if not 8 < found.st_size <= MOST_FILE_BYTES:
        raise RefusedError(f"{found.st_size} bytes are too few or too many")
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(MOST_HEADER_BYTES, found.st_size):
        raise RefusedError(f"its header claims {header} bytes")
    return found.st_size


def _check_table(file: safe_open, header: Header) -> None:
    """Compare the names, types and shapes of the tensors with the header, before any is read."""
    wanted = {"sha256": (32,), "masks": (sum(layer.size for layer in header.layers),)}
    heads = head_shapes(header.head_options, len(header.labels))
    wanted |= {HEAD + name: shape for name, shape in heads.items()}
    found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    if (header.kind == "sentencepiece") != ("tokenizer.model" in found):
        raise RefusedError("its SentencePiece model is missing or superfluous")
    if "tokenizer.model" in found:
        wanted["tokenizer.model"] = tuple(found["tokenizer.model"].get_shape())
    if found.keys() != wanted.keys():
        odd = min(found.keys() ^ wanted.keys())
        raise RefusedError(f"the tensor {odd[:80]!r} is missing or unknown")
    for name, shape in wanted.items():
        dtypes = _HEAD_DTYPES if name.startswith(HEAD) else ("U8",)
        if tuple(found[name].get_shape()) != shape or found[name].get_dtype() not in dtypes:
            raise RefusedError(f"the tensor {name!r} has another shape or type than its header says")


def _entry(header: Header, tensors: dict[str, np.ndarray]) -> PackedEntry:
    head = {
        name.removeprefix(HEAD): torch.from_numpy(value.astype(np.float32))
        for name, value in tensors.items()
        if name.startswith(HEAD)
    }
    check_finite(head)
    model = tensors.get("tokenizer.model")
    return PackedEntry(
        language=header.language,
        backbone=header.backbone,
        masks=_decode_all(header.layers, tensors["masks"]),
        head=head,
        head_options=header.head_options,
        tokenizer={
            "kind": header.kind,
            "labels": list(header.labels),
            "model": None if model is None else model.tobytes(),
        },
        normaliser=header.normaliser,
        sparsity=header.sparsity,
        metrics=header.metrics,
    )


def _decode_all(layers: tuple[Layer, ...], coded: np.ndarray) -> dict[str, PackedMask]:
    ends = np.cumsum([layer.size for layer in layers], dtype=np.int64).tolist()

    def one(layer: Layer, end: int) -> PackedMask:
        bits = decode(layer.coding, coded[end - layer.size : end].data, layer.entries, layer.zeros)
        return PackedMask(layer.shape, layer.zeros, bits)

    return dict(zip([layer.name for layer in layers], parallel(one, layers, ends), strict=True))
