"""Who works in the folder of a job, and how its last start ended; imports nothing heavy."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.atomic import write_atomic

LOCK, FAILED, LOG = "lock.json", "failed.json", "log.txt"
SILENT = 300.0  # seconds after which the lock of another machine counts as left behind
BEAT = 30.0  # seconds between two signs of life


def failure(folder: Path) -> Mapping[str, Any] | None:
    """Return what is known about the last start of a job, if it failed."""
    try:
        return json.loads((folder / FAILED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def note_failure(folder: Path, status: int) -> None:
    """Write down that a job failed."""
    write_atomic(folder / FAILED, json.dumps({"status": status, "time": time.time()}).encode())


def last_lines(folder: Path, count: int = 12) -> list[str]:
    """Return the end of a job's log."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def take_lock(folder: Path) -> bool:
    """Claim a job for this process, unless a living one has it; a lock that was left behind is taken over."""
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if is_locked(folder):
            return False
        write_lock(folder, [os.getpid()])
    return True


def write_lock(folder: Path, processes: list[int]) -> None:
    """Write who works on a job: any of these processes keeps the lock alive."""
    told = {"host": socket.gethostname(), "processes": {str(pid): _began(pid) for pid in processes}}
    write_atomic(folder / LOCK, json.dumps(told).encode())


def drop_lock(folder: Path) -> None:
    """Give a job back."""
    (folder / LOCK).unlink(missing_ok=True)


def beat(folder: Path) -> None:
    """Show other machines that a lock is alive."""
    with contextlib.suppress(OSError):
        os.utime(folder / LOCK)


def is_locked(folder: Path) -> bool:
    """Tell whether a living process works on a job."""
    try:
        told = json.loads((folder / LOCK).read_text(encoding="utf-8"))
        age = time.time() - (folder / LOCK).stat().st_mtime
        host, processes = told["host"], dict(told["processes"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():  # its processes cannot be seen from here
        return age < SILENT
    return any(_began(int(pid)) == began for pid, began in processes.items() if began is not None)


def _began(pid: int) -> str | None:
    """Tell when a living process began, since numbers are used again; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        pass
    else:
        state, *rest = text.rpartition(")")[2].split()
        return None if state in "ZX" else rest[18]
    if Path("/proc/self/stat").exists():
        return None
    try:  # systems without /proc
        with contextlib.suppress(PermissionError):  # somebody else's, but there
            os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return "alive"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at a lock and change it."""
    with (folder / ".guard").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
