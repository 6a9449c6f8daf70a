"""When to prune and how much, as pure functions of the round or the update number."""

import math
from dataclasses import dataclass
from fractions import Fraction

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning.magnitude import check_sparsity

IMP_STEPS = 10  # rounds that would remove everything
GAP = 0.2  # between PARP-P's first sparsity and its target, unless told otherwise


def first_sparsity(target: float) -> float:
    """Return where the sparsity of PARP-P begins unless told otherwise: `GAP` below its target, at least 0."""
    return max(0.0, round(target - GAP, 6))


def imp_share(number: int) -> Fraction:
    """Tell which share of the remaining weights a round of iterative magnitude pruning removes.

    Parameters
    ----------
    number : int
        The round k, from 1 to 10.

    Returns
    -------
    Fraction
        ``1 / (10 - (k - 1))``: a tenth, then a ninth of the rest, and so on, each a tenth of the whole.
    """
    return Fraction(1, IMP_STEPS - (number - 1))


def imp_sparsities(target: float) -> list[float]:
    """Return the sparsity after each round of iterative magnitude pruning, the last one being the target.

    Parameters
    ----------
    target : float
        A multiple of 0.1 from 0.1 to 0.9.

    Returns
    -------
    list of float
        0.1, 0.2, ... up to the target.

    Raises
    ------
    UserError
        For any other target: rounds remove a tenth of the weights each.

    Examples
    --------
    >>> imp_sparsities(0.3)
    [0.1, 0.2, 0.3]
    """
    check_sparsity(target)
    kept, reached = Fraction(1), []
    for number in range(1, IMP_STEPS):
        kept *= 1 - imp_share(number)
        reached.append(float(1 - kept))
        if reached[-1] == float(target):
            return reached
    raise UserError(f"IMP prunes in steps of 0.1: sparsity {target} is not 0.1, 0.2, ... or 0.9.")


@dataclass(frozen=True)
class ParpSchedule:
    """When PARP re-prunes and to which sparsity; with `start`, the growing sparsity of PARP-P.

    Parameters
    ----------
    sparsity : float
        The target, in [0, 1).
    interval : int
        Updates n between two re-prunes. The last update re-prunes too.
    updates : int
        Length of the training.
    start : float, optional
        PARP-P's first sparsity s0, at most the target; None keeps the target throughout (PARP).
    growth : float
        Share of the re-prunes over which the sparsity grows to the target, in (0, 1]. PARP-P as published grows
        over the whole run, 1.

    Raises
    ------
    UserError
        If a number is out of range.
    """

    sparsity: float
    interval: int
    updates: int
    start: float | None = None
    growth: float = 1.0

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        if not isinstance(self.interval, int) or self.interval < 1:
            raise UserError(f"interval is {self.interval}: give the updates between re-prunes, 1 or more.")
        if self.start is not None:
            check_sparsity(self.start)
            if self.start > self.sparsity:
                raise UserError(
                    f"start_sparsity {self.start} is above sparsity {self.sparsity}: PARP-P grows."
                )
        if not 0 < self.growth <= 1:
            raise UserError(f"growth is {self.growth}: give a share of the re-prunes above 0, at most 1.")

    @property
    def steps(self) -> int:
        """Re-prunes until the target is reached; 0 for PARP."""
        if self.start is None:
            return 0
        return max(1, _ceil(Fraction(repr(self.growth)) * self.updates / self.interval))

    @classmethod
    def growing(
        cls, sparsity: float, interval: int, updates: int, start: float | None, growth: float
    ) -> "ParpSchedule":
        """Return the schedule of PARP-P, which begins `GAP` below the target where `start` is None."""
        check_sparsity(sparsity)
        start = first_sparsity(sparsity) if start is None else start
        return cls(sparsity, interval, updates, start, growth)

    def due(self, update: int) -> bool:
        """Tell whether the weights are re-pruned after so many updates."""
        return update > 0 and (update % self.interval == 0 or update == self.updates)

    def check_validations(self, every: int, languages: int = 1) -> None:
        """Refuse validations between two re-prunes, where the weights are dense.

        Parameters
        ----------
        every : int
            Updates of one language between two validations; the last update is validated too.
        languages : int
            That train together: so many times as many updates lie between two validations.

        Raises
        ------
        UserError
            If one would fall there.
        """
        if every * languages % self.interval and every * languages < self.updates:
            step = self.interval // math.gcd(self.interval, languages)
            nearest = max(1, round(every / step)) * step
            each = f" times {languages} languages" * (languages > 1)
            raise UserError(
                f"valid_every {every}{each} is no multiple of interval {self.interval}, and dev must see re-pruned "
                f"weights: give --valid_every {nearest}"
            )

    def sparsity_after(self, update: int) -> float:
        """Return the sparsity of a re-prune after so many updates; 0 updates means the first zeroing.

        PARP-P adds ``(target - start) / steps`` at each re-prune and stops at exactly the target; the authors'
        code may overshoot it by up to one step.
        """
        number = _ceil(Fraction(update, self.interval))
        if number >= self.steps:
            return self.sparsity
        start, target = Fraction(repr(float(self.start))), Fraction(repr(float(self.sparsity)))
        return float(start + (target - start) * number / self.steps)

    def at_target(self, update: int) -> bool:
        """Tell whether the weights after so many updates are re-pruned to the target."""
        return self.due(update) and self.sparsity_after(update) == self.sparsity


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
