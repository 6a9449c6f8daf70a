"""The files of a model folder, opened with suspicion."""

import hashlib
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.header import RefusedError, need, parse_json
from s3_speechbrain.maskbank.links import leads_out

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
BACKBONE = "backbone"  # folder in a bank that carries its encoder
MOST_HEADER_BYTES = 1 << 22
LFS_POINTER = b"version https://git-lfs"
ITEM_BYTES = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2},
    **{"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8},
}
_BLOCK = 1 << 22


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn whatever a bad folder causes into one line that names it."""
    try:
        yield
    except (RefusedError, SafetensorError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:300]
    except OSError as error:
        reason = f"{Path(error.filename or folder).name}: {error.strerror or type(error).__name__}"
    else:
        return
    raise UserError(f"{folder} is refused: {reason}; get the folder again, or train and publish it again")


def inside(folder: Path, name: str) -> Path:
    """Return the path of a folder's file, which may be no link out of it (see `leads_out`).

    Raises
    ------
    RefusedError
        If the file is missing, leads elsewhere or is not a regular file.
    """
    path = folder / name
    need(path.exists() or path.is_symlink(), f"it has no {name}")
    need(not leads_out(folder, path), f"{name} is a link that leads out of the folder")
    need(path.exists() and stat.S_ISREG(path.stat().st_mode), f"{name} is not a file")
    return path


def read_text(folder: Path, name: str, most: int) -> str:
    """Read a text file of at most so many bytes."""
    path = inside(folder, name)
    size = path.stat().st_size
    need(size <= most, f"{name} has {size} bytes, more than {most}")
    with path.open("rb") as file:
        data = file.read(most + 1)  # it may have grown meanwhile
    need(len(data) <= most, f"{name} has more than {most} bytes")
    return data.decode("utf-8")


def read_table(path: Path, size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Read the types and shapes of the tensors in a safetensors file, and nothing else of it.

    The library that reads the tensors checks their places again, but only when a network was built for them. This
    looks at the header's size and form before anything is allocated for it, sees to it that the file has the bytes
    of every shape that it claims, and refuses repeated names, which the library does not see.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Bytes that it shall have.

    Raises
    ------
    RefusedError
        If the file has another size, or its header is no table of tensors that fill the rest of it without gaps.
    """
    found = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
        need(start != LFS_POINTER, f"{path.name} is a pointer of Git LFS, not the weights: run git lfs pull")
        need(found == size, f"{path.name} has {found} bytes, its config says {size}")
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        need(length <= min(MOST_HEADER_BYTES, size - 8), f"{path.name} claims a header of {length} bytes")
        table = parse_json(file.read(length).decode("utf-8"), f"the header of {path.name}")
    table.pop("__metadata__", None)
    rows = {name: _row(name, row) for name, row in table.items()}
    end = 0
    for start, stop, name in sorted((*row[2], name) for name, row in rows.items()):
        need(start == end, f"the tensor {name[:80]!r} overlaps another one, or follows a gap")
        end = stop
    held = size - 8 - length
    need(end == held, f"the offsets of its tensors end at {end}, {path.name} holds {held} bytes of them")
    return {name: (code, shape) for name, (code, shape, _) in rows.items()}


def _row(name: str, row: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Return type, shape and offsets of a tensor, whose bytes are as many as its shape needs."""
    what = f"the tensor {name[:80]!r}"
    shape, code = (row.get("shape"), row.get("dtype")) if isinstance(row, dict) else (None, None)
    known = isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
    need(known and isinstance(code, str), f"{what} has no type or no shape")
    need(code in ITEM_BYTES, f"{what} is of the unknown type {code[:16]!r}")
    offsets = row.get("data_offsets")
    known = (
        isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int and n >= 0 for n in offsets)
    )
    need(known, f"{what} has no offsets")
    right = offsets[1] - offsets[0] == math.prod(shape) * ITEM_BYTES[code]
    need(right, f"{what} has other offsets than its shape and type need")
    return code, tuple(shape), (offsets[0], offsets[1])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_flushed(path: Path, data: bytes) -> None:
    """Write a new file and flush it to disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
