"""Files that are whole or as they were."""

import errno
import os
import secrets
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under another name, flush it to disk, rename it, flush the folder.

    A process that is killed meanwhile leaves the old file (and perhaps a hidden ``.part`` file, which nothing
    reads).

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    data : bytes
        Its new content.

    Raises
    ------
    OSError
        If it cannot be written; of a folder it is `IsADirectoryError`.
    """
    if not path.name:  # ".", "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Make the content of a file, or the names in a folder, last through a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
