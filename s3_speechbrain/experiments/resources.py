"""How many jobs fit on this machine at once."""

import contextlib
import os
from pathlib import Path

GB = 1e9


def cores() -> int:
    """Return the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def free_memory_gb(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """Return the memory that new processes can have, in units of 1e9 bytes; None where the system does not tell.

    Parameters
    ----------
    meminfo, group : Path
        Where Linux tells the memory of the machine, and the limit of a container.
    """
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):  # no container, or "max": no limit of its own
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        free = min(free, max(0, limit - used))
    return free / GB


def share_out(
    cores: int,
    memory_gb: float | None,
    per_job_gb: float,
    jobs: int | None = None,
    threads: int | None = None,
) -> tuple[int, int]:
    """Divide a machine.

    Parameters
    ----------
    cores : int
        Of the machine.
    memory_gb : float or None
        Free memory; None where it is not known.
    per_job_gb : float
        What a job needs.
    jobs, threads : int, optional
        What the user asks for.

    Returns
    -------
    jobs, threads : int, int
        Jobs at once, and threads of each.

    Examples
    --------
    >>> share_out(8, 10.0, 3.0)
    (3, 2)
    """
    if jobs is None:
        most = cores // threads if threads else cores
        fitting = most if memory_gb is None else int(memory_gb // per_job_gb)
        jobs = max(1, min(most, fitting))
    return jobs, threads or max(1, cores // jobs)
