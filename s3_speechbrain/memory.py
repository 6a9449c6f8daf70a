"""The memory of this process; imports nothing heavy, so that a small program can look at its own."""

import contextlib
import gc
import sys
from pathlib import Path


def peak_rss_mb() -> float:
    """Return the largest resident memory of this process so far, in units of 1e6 bytes.

    Child processes such as data-loading workers are not counted.
    """
    try:
        # VmHWM starts afresh with this program; getrusage carries over the peak of whoever started us
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource  # not on Windows, so not imported above

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def reset_peak_rss() -> None:
    """Make `peak_rss_mb` count from now on, where the system can do that (Linux)."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
