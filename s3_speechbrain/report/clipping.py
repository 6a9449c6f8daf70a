"""How hard gradients were clipped: runs compete only at limits that both sides of a comparison tried."""

from collections.abc import Iterable

from s3_speechbrain.report.runs import Run, Setting
from s3_speechbrain.report.schema import value_of

CLIPPING = "max_grad_norm"
USUAL = 5.0  # records leave it out


def clipped_at(run: Run) -> float:
    """Return the limit of the gradients' norm in a run."""
    return value_of(run, f"config.{CLIPPING}", USUAL)


def clipping_note(limit: float) -> str:
    """Return what a title adds to tell a limit: nothing for the usual one."""
    return "" if limit == USUAL else f", gradients clipped at {limit:g}"


def clipping_slug(limit: float) -> list[str]:
    """Return what a file name adds to tell a limit: no part for the usual one."""
    return [] if limit == USUAL else [f"clipped{limit:g}"]


def clipped_like(settings: Iterable[Setting], beside: Iterable[Setting]) -> list[Setting]:
    """Keep the settings whose gradients were clipped as in some setting beside them; all if there are none.

    The limit moves every method by more than many methods differ, so one that was tried on one side alone would be
    an advantage that has nothing to do with what is compared.
    """
    settings = list(settings)
    limits = {clipped_at(setting.first) for setting in beside}
    return [setting for setting in settings if clipped_at(setting.first) in limits] or settings
