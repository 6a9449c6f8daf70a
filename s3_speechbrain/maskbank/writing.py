"""Writing an entry: checked as a reader does, whole or not at all."""

from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from s3_speechbrain.atomic import write_atomic
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.coding import encode
from s3_speechbrain.maskbank.container import HEAD, MOST_FILE_BYTES, check_finite, digest, parallel
from s3_speechbrain.maskbank.entry import Entry, PackedEntry, head_shapes
from s3_speechbrain.maskbank.header import (
    MOST_ENTRIES_PER_BYTE,
    MOST_HEADER_BYTES,
    Layer,
    RefusedError,
    dump_header,
    parse_header,
)


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


def serialise(entry: Entry, head_dtype: torch.dtype = torch.float32) -> bytes:
    """Return the bytes of an entry's file, having checked them as a reader does."""
    try:
        packed = PackedEntry.of(entry)
        tensors = _head_arrays(entry, head_dtype)
        coded = _coded(packed, sum(value.nbytes for value in tensors.values()))
        layers = [
            Layer(name, mask.shape, mask.zeros, coding, len(data))
            for (name, mask), (coding, data) in zip(packed.masks.items(), coded, strict=True)
        ]
        tensors["masks"] = np.frombuffer(b"".join(data for _, data in coded), np.uint8)
        if entry.tokenizer["model"] is not None:
            tensors["tokenizer.model"] = np.frombuffer(entry.tokenizer["model"], np.uint8)
        text = dump_header(entry, layers)
        tensors["sha256"] = np.frombuffer(digest(text, tensors), np.uint8)
        data = safetensors.numpy.save(tensors, {"entry": text})
        _check_written(text, data, entry)
    except RefusedError as error:
        raise UserError(f"the entry of {entry.language!r} cannot be stored: {error}") from None
    return data


def _coded(packed: PackedEntry, others: int) -> list[tuple[str, bytes]]:
    """Code all masks, so that a reader believes that so few bytes hold so many entries.

    A mask that ends with its last removed entry early on, or has none, costs next to nothing as gaps. Where a file
    consists of such masks, beside `others` bytes, they are stored as bits: at least a byte for 64 entries.
    """
    masks = list(packed.masks.values())
    coded = list(parallel(lambda mask: encode(mask.bits, mask.entries, mask.zeros), masks))
    believed = MOST_ENTRIES_PER_BYTE * (others + sum(len(data) for _, data in coded))
    if sum(mask.entries for mask in masks) > believed:
        coded = [
            encode(mask.bits, mask.entries, mask.zeros, ("bytes",))
            if mask.entries > MOST_ENTRIES_PER_BYTE * len(data)
            else (coding, data)
            for mask, (coding, data) in zip(masks, coded, strict=True)
        ]
    return coded


def publish(path: Path, data: bytes) -> int:
    """Write a file whole and return its size; a folder that cannot be written to is a `UserError`."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror}): give a folder that can be written to"
        ) from None
    return len(data)


def _head_arrays(entry: Entry, dtype: torch.dtype) -> dict[str, np.ndarray]:
    if dtype not in (torch.float32, torch.float16):
        raise UserError(f"head_dtype is {dtype}: choose torch.float32 or torch.float16")
    head = {name: value.detach().cpu().to(dtype).contiguous() for name, value in entry.head.items()}
    check_finite(head)
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
