"""How far trainings that differ in their seed alone lie apart, pooled over settings with several seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from scipy.stats import t

from s3_speechbrain.report.runs import Setting
from s3_speechbrain.report.schema import value_of

SIDES = 0.975  # quantile: 95 % between both ends
ENOUGH = 3  # degrees of freedom with which a recipe speaks for itself


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

    def reach(self, share: float, count: int) -> float:
        """Return half of the 95 % interval that seeds alone give a sum of errors, in percent of the sum.

        Parameters
        ----------
        share : float
            What this setting makes up of the sum.
        count : int
            How many trainings its error is the mean of. Student's t allows for `percent` being an estimate.
        """
        return float(t.ppf(SIDES, self.freedom)) * self.percent * share / math.sqrt(count)


@dataclass(frozen=True)
class Scatters:
    """The scatter of each recipe's trainings.

    Attributes
    ----------
    settings : sequence of Setting
        All that there are.
    """

    settings: Sequence[Setting]

    @cached_property
    def by_recipe(self) -> dict[str, Scatter]:
        """Of the recipes with enough repeated trainings, those with a shared teacher apart; sorted by name."""
        groups: dict[str, list[Setting]] = {}
        for setting in self.settings:
            groups.setdefault(kind_of(setting), []).append(setting)
        found = {name: pooled(group) for name, group in sorted(groups.items())}
        return {name: each for name, each in found.items() if each and each.freedom >= ENOUGH}

    @cached_property
    def overall(self) -> Scatter | None:
        """Of all recipes together, without students, whose seeds leave their teacher as it is; None of nothing."""
        return pooled([setting for setting in self.settings if not taught(setting)])

    def of(self, setting: Setting, other: Setting) -> Scatter | None:
        """Return what a seed changes of one side of a comparison.

        That is the scatter of its recipe, else that of all together. Of students beside runs without their teacher it
        is the latter as well: another teacher would change them, too.
        """
        kinds = [kind_of(each) for each in (setting, other)]
        if taught(setting) and len(set(kinds)) > 1:
            return self.overall
        return self.by_recipe.get(kinds[0], self.overall)


def kind_of(setting: Setting) -> str:
    """Name the recipe, and whether its runs share a teacher."""
    return setting.first["recipe"] + (" with a shared teacher" if taught(setting) else "")


def taught(setting: Setting) -> bool:
    """Tell whether a setting's runs began with a teacher that another run had trained."""
    return value_of(setting.first, "config.teacher_run_seed") is not None


def pooled(settings: Sequence[Setting]) -> Scatter | None:
    """Pool the relative standard deviations of the settings with several seeds; None where there are none."""
    squares, freedom = 0.0, 0
    for setting in settings:
        error = setting.error("test") if len(setting.runs) > 1 else None
        if error and error.spread is not None and error.mean > 0:
            squares += (error.count - 1) * (100 * error.spread / error.mean) ** 2
            freedom += error.count - 1
    return Scatter(math.sqrt(squares / freedom), freedom) if freedom else None
