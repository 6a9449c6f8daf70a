"""Which options of `publish` go with what is published: those that would do nothing are refused."""

from collections.abc import Mapping
from typing import Any

from s3_speechbrain.errors import UserError

WHOLE, MASKS, BAKED = "a model", "a bank", "a language that is baked"
TAKES = {
    WHOLE: {"dtype"},
    MASKS: {"source", "backbone", "revision", "with_backbone"},
    BAKED: {"language", "source", "dtype"},
}
# Of a bank: an option, and the one without which it does nothing.
NEEDS = {"revision": "backbone", "source": "with_backbone"}


def check_options(kind: str, given: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing for what is published.

    Parameters
    ----------
    kind : str
        One of `TAKES`.
    given : mapping
        Options by name; those that are None or False are not given.

    Raises
    ------
    UserError
        For the first of them.
    """
    used = [name for name, value in given.items() if value not in (None, False)]
    for name in used:
        if name not in TAKES[kind]:
            right = " and for ".join(other for other, names in TAKES.items() if name in names)
            raise UserError(f"--{name} is for {right}, this is {kind}: leave --{name} out")
        if kind == MASKS and NEEDS.get(name, name) not in used:
            raise UserError(
                f"--{name} of a bank does nothing alone: give --{NEEDS[name]} too, or leave --{name} out"
            )


def check_clips(count: int) -> None:
    """Refuse a number of clips that is none."""
    if type(count) is not int or count < 0:
        raise UserError(f"--clips is {count}: give the number of clips to try, or 0 for no test")
