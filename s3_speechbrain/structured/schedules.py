"""When units are removed, dropped and grown: pure functions of the number of updates done."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from s3_speechbrain.errors import UserError

STRATEGIES = ("safari", "no_adjust", "random", "one_shot", "parp", "parp_final")


@dataclass(frozen=True)
class Plan:
    """The course of one run.

    Parameters
    ----------
    strategy : str
        ``safari``: remove units after `start` updates, adjust every `every` updates until `until`, then finetune
        what is left. ``no_adjust``: the same without adjusting. ``random``: random units in place of the
        smallest. ``one_shot``: the smallest of the weights that the run begins with, and no adjusting. ``parp``:
        structured PARP, which zeroes units after `start` updates, lets them train, and zeroes the smallest again
        every `every` updates. ``parp_final``: so until `until`, then the mask is enforced.
    updates : int
        Length of the run.
    start, until, every : int
        In updates; see above.
    drop : float
        Share of the active units' cost that the first adjustment may drop, in [0, 1]; it falls to 0 at `until`.
    window : int
        Updates before an event whose gradients are collected, at most `every`.

    Raises
    ------
    UserError
        If a number is out of range.
    """

    strategy: str
    updates: int
    start: int
    until: int
    every: int
    drop: float = 0.3
    window: int = 8

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy is {self.strategy!r}: choose one of {', '.join(STRATEGIES)}.")
        if not 0 <= self.start <= self.until <= self.updates:
            raise UserError(
                f"Units are removed after {self.start} updates and adjusted until {self.until} of {self.updates}: "
                "give numbers in this order."
            )
        if self.every < 1 or not 1 <= self.window <= self.every:
            raise UserError(
                f"every is {self.every} and window {self.window}: give 1 or more updates between adjustments, and a "
                "window that fits between them."
            )
        if not 0 <= self.drop <= 1:
            raise UserError(f"drop is {self.drop}: give the share of active units to drop at first, 0 to 1.")

    @property
    def parp(self) -> bool:
        """Whether removed units may train."""
        return self.strategy.startswith("parp")

    @property
    def first(self) -> int:
        """The update after which units are removed for the first time; 0 is before all training."""
        return 0 if self.strategy == "one_shot" else self.start

    def event(self, update: int) -> str | None:
        """Tell what happens after so many updates.

        Returns
        -------
        {"select", "adjust", "reprune"} or None
            Remove units for the first time; drop and grow; rank all units anew.
        """
        if update == self.first:
            return "select"
        passed = update - self.first
        if passed < 0:
            return None
        due = passed % self.every == 0
        if self.strategy == "safari" and due and update < self.until:
            return "adjust"
        if self.strategy == "parp" and (due or update == self.updates):
            return "reprune"
        if self.strategy == "parp_final" and update <= self.until and (due or update == self.until):
            return "reprune"
        return None

    def enforced(self, update: int) -> bool:
        """Tell whether the mask acts in the training step that follows so many updates."""
        return not self.parp or (self.strategy == "parp_final" and update >= self.until)

    def collecting(self, update: int, events: Collection[str]) -> bool:
        """Tell whether the step that follows so many updates adds to the gradients for one of some events."""
        return any(self.event(later) in events for later in range(update + 1, update + self.window + 1))

    def first_of(self, events: Collection[str]) -> int | None:
        """Return after how many updates the first of some events happens; None if none of them does."""
        return next((update for update in range(self.updates + 1) if self.event(update) in events), None)

    def drop_at(self, update: int) -> float:
        """Return the share to drop after so many updates: ``drop / 2 * (1 + cos(pi * progress))``, then 0."""
        length = self.until - self.first
        progress = (update - self.first) / length if length else 1.0
        return self.drop / 2 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))

    def at_budget(self, update: int) -> bool:
        """Tell whether the network after so many updates has its units removed."""
        return update >= self.first
