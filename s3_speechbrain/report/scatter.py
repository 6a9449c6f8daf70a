"""How far trainings that differ in their seed alone lie apart, pooled over all settings with several seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import t

from s3_speechbrain.report.runs import Setting

SIDES = 0.975  # quantile: 95 % between both ends


@dataclass(frozen=True)
class Scatter:
    """A pooled standard deviation of test errors over seeds.

    Attributes
    ----------
    percent : float
        Of a setting's mean error.
    freedom : int
        Degrees of freedom: trainings less settings.
    """

    percent: float
    freedom: int

    def reach(self, shares: Sequence[tuple[float, int]]) -> float:
        """Return half of the 95 % interval that seeds alone give a ratio of two mean errors, in percent of it.

        Parameters
        ----------
        shares : sequence of (float, int)
            For each side and language: its share in the sum of its side's errors, and how many trainings it is the
            mean of. The relative variance of a sum is ``sum_l share_l^2 percent^2 / n_l``, that of a ratio the sum of
            both sides'; Student's t allows for `percent` being an estimate.
        """
        variance = sum(share**2 / count for share, count in shares)
        return float(t.ppf(SIDES, self.freedom)) * self.percent * math.sqrt(variance)


def scatter_of(settings: Iterable[Setting]) -> Scatter | None:
    """Pool the relative standard deviations of all settings with several seeds; None where there are none."""
    squares, freedom = 0.0, 0
    for setting in settings:
        error = setting.error("test") if len(setting.runs) > 1 else None
        if error and error.spread is not None and error.mean > 0:
            squares += (error.count - 1) * (100 * error.spread / error.mean) ** 2
            freedom += error.count - 1
    return Scatter(math.sqrt(squares / freedom), freedom) if freedom else None
