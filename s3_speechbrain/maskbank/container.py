"""An entry as a safetensors file: written whole or not at all, read without trust.

Tensors: ``masks`` (all coded masks, one after the other), ``head.*`` (float32 or float16), ``tokenizer.model``
(only with SentencePiece), ``sha256``. Metadata: one field, ``entry``, the JSON of `header`. The digest covers the
JSON and the name, type, shape and bytes of every other tensor.
"""

import hashlib
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.atomic import write_atomic
from s3_speechbrain.maskbank.coding import CodingError, decode, encode
from s3_speechbrain.maskbank.entry import Entry, PackedEntry, head_shapes
from s3_speechbrain.maskbank.header import (
    MOST_HEADER_BYTES,
    Header,
    Layer,
    RefusedError,
    dump_header,
    parse_header,
)
from s3_speechbrain.maskbank.packing import PackedMask

MOST_FILE_BYTES = 1 << 30
HEAD = "head."
_HEAD_DTYPES = {"F32": 4, "F16": 2}


def write_entry(path: str | Path, entry: Entry, head_dtype: torch.dtype = torch.float32) -> int:
    """Write an entry: a reader sees the old file or the new one, whenever the writer is killed.

    Parameters
    ----------
    path : path
        Its folder must exist; a file is replaced.
    entry : Entry
        The language.
    head_dtype : torch.dtype
        ``float16`` halves the head, at the price of transcripts that can differ from those of the run.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    UserError
        If a part of the entry does not fit another, or holds NaN, or is beyond the limits of the format.
    """
    return publish(Path(path), serialise(entry, head_dtype))


def entry_bytes(entry: Entry, head_dtype: torch.dtype = torch.float32) -> int:
    """Return the bytes that `write_entry` would write."""
    return len(serialise(entry, head_dtype))


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
    path = Path(path)
    with _refusing(path):
        size = _check_file(path)
        with safe_open(path, framework="numpy") as file:
            text, header = _header(file, size)
            if accept is not None:
                accept(header)
            _check_table(file, header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if tensors.pop("sha256").tobytes() != _digest(text, tensors):
            raise RefusedError("its checksum is wrong")
        return _entry(header, tensors)


def read_header(path: str | Path) -> Header:
    """Read what a file says about itself; whether the file is whole only `read_packed` tells.

    Raises
    ------
    UserError
        As for `read_entry`.
    """
    path = Path(path)
    with _refusing(path):
        size = _check_file(path)
        with safe_open(path, framework="numpy") as file:
            return _header(file, size)[1]


def serialise(entry: Entry, head_dtype: torch.dtype = torch.float32) -> bytes:
    """Return the bytes of an entry's file, having checked them as a reader does."""
    try:
        packed = PackedEntry.of(entry)
        coded = list(
            _parallel(lambda mask: encode(mask.bits, mask.entries, mask.zeros), packed.masks.values())
        )
        layers = [
            Layer(name, mask.shape, mask.zeros, coding, len(data))
            for (name, mask), (coding, data) in zip(packed.masks.items(), coded, strict=True)
        ]
        tensors = _head_arrays(entry, head_dtype)
        tensors["masks"] = np.frombuffer(b"".join(data for _, data in coded), np.uint8)
        if entry.tokenizer["model"] is not None:
            tensors["tokenizer.model"] = np.frombuffer(entry.tokenizer["model"], np.uint8)
        text = dump_header(entry, layers)
        tensors["sha256"] = np.frombuffer(_digest(text, tensors), np.uint8)
        data = safetensors.numpy.save(tensors, {"entry": text})
        _check_written(text, data, entry)
    except RefusedError as error:
        raise UserError(f"the entry of {entry.language!r} cannot be stored: {error}") from None
    return data


def publish(path: Path, data: bytes) -> int:
    """Write a file whole and return its size; a folder that cannot be written to is a `UserError`."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror}): give a folder that can be written to"
        ) from None
    return len(data)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn whatever a bad file causes into one line that names the file."""
    try:
        yield
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


def _header(file: safe_open, size: int) -> tuple[str, Header]:
    metadata = file.metadata() or {}
    if metadata.keys() != {"entry"}:
        raise RefusedError("it is not a file of a mask bank")
    return metadata["entry"], parse_header(metadata["entry"], size)


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
    _check_finite(head)
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

    return dict(zip([layer.name for layer in layers], _parallel(one, layers, ends), strict=True))


def _parallel(action: Callable, *arguments: object) -> Iterator:
    """Map over the layers with as many threads as torch uses; zlib and numpy work outside Python's lock."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        yield from pool.map(action, *arguments)


def _head_arrays(entry: Entry, dtype: torch.dtype) -> dict[str, np.ndarray]:
    if dtype not in (torch.float32, torch.float16):
        raise UserError(f"head_dtype is {dtype}: choose torch.float32 or torch.float16")
    head = {name: value.detach().cpu().to(dtype).contiguous() for name, value in entry.head.items()}
    _check_finite(head)
    return {HEAD + name: value.numpy() for name, value in head.items()}


def _check_written(text: str, data: bytes, entry: Entry) -> None:
    header = parse_header(text, len(data))
    wanted = head_shapes(header.head_options, len(header.labels))
    if {name: tuple(value.shape) for name, value in entry.head.items()} != wanted:
        raise RefusedError("the shapes of its head do not fit head_options and the labels of the tokenizer")
    if (header.kind == "sentencepiece") != (entry.tokenizer["model"] is not None):
        raise RefusedError("a SentencePiece tokenizer needs its model, characters have none")
    if int.from_bytes(data[:8], "little") > MOST_HEADER_BYTES or len(data) > MOST_FILE_BYTES:
        raise RefusedError("it is too large; give fewer metrics")


def _check_finite(head: dict[str, Tensor]) -> None:
    for name, value in head.items():
        if not value.isfinite().all():
            raise RefusedError(f"the head's {name} holds NaN or infinity")


def _digest(text: str, tensors: dict[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    return digest.digest()
