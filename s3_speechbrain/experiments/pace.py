"""How long jobs take, learned from those that have finished."""

from collections.abc import Iterable, Sequence

Measured = tuple[str, int, float]  # kind, updates, seconds


class Pace:
    """Seconds per update by kind of job.

    Parameters
    ----------
    past : iterable of (str, int, float)
        Kind, updates and seconds of jobs of other times or machines; they count for a kind only until one of that
        kind has finished here.
    """

    def __init__(self, past: Iterable[Measured] = ()) -> None:
        self._past, self._here = list(past), []

    def add(self, kind: str, updates: int, seconds: float) -> None:
        """Take note of a job that has finished here."""
        self._here.append((kind, updates, seconds))

    def seconds(self, kind: str, updates: int) -> float | None:
        """Estimate what a job takes; None if nothing has ever finished."""
        for rows in (
            [row for row in self._here if row[0] == kind],
            [row for row in self._past if row[0] == kind],
            self._here,
            self._past,
        ):
            done = sum(row[1] for row in rows)
            if done:
                return updates * sum(row[2] for row in rows) / done
        return None

    def left(
        self, waiting: Sequence[tuple[str, int]], running: Sequence[tuple[str, int, float]], at_once: int
    ) -> float | None:
        """Estimate the time until everything is done.

        Parameters
        ----------
        waiting : sequence of (str, int)
            Kind and updates.
        running : sequence of (str, int, float)
            Kind, updates, and seconds since the start.
        at_once : int
            Jobs that run at once.
        """
        whole = [self.seconds(kind, updates) for kind, updates in waiting]
        begun = [(self.seconds(kind, updates), elapsed) for kind, updates, elapsed in running]
        if None in whole or any(total is None for total, _ in begun):
            return None
        rest = [max(0.0, total - elapsed) for total, elapsed in begun]
        return max([(sum(whole) + sum(rest)) / at_once, *rest])


def in_words(seconds: float | None) -> str:
    """Write a length of time as people say it: ``45 s``, ``12 min``, ``1 h 20 min``."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
