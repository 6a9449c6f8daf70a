"""The files of a model folder, opened with suspicion."""

import hashlib
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
MOST_HEADER_BYTES = 1 << 22
MOST_METRICS_BYTES = 1 << 24
LFS_POINTER = b"version https://git-lfs"
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

    The library that reads the tensors checks their places again; this looks at the header's size and form before
    anything is allocated for it, and refuses repeated names, which the library does not see.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Bytes that it shall have.
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
    return {name: _row(name, row) for name, row in table.items()}


def _row(name: str, row: Any) -> tuple[str, tuple[int, ...]]:
    shape = row.get("shape") if isinstance(row, dict) else None
    known = isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and n >= 0 for n in shape)
    need(known and isinstance(row.get("dtype"), str), f"the tensor {name[:80]!r} has no type or no shape")
    return row["dtype"], tuple(shape)


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
