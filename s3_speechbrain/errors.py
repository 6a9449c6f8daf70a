"""One kind of error for what a user can mend, told in one line."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class UserError(ValueError):
    """A mistake that the user can mend; the message is one line and says what to do next."""


def told_of_place(error: OSError) -> str:
    """Say in one line which file or folder the system refuses, and why."""
    return f"{error.filename}: {error.strerror}; give a place that exists and can be read and written"


def tell_user_errors(main: Callable[P, R]) -> Callable[P, R]:
    """Make a command print a `UserError` as one line and leave with status 2, without a traceback.

    So does it tell of a file or folder that the system refuses to read or write.

    Parameters
    ----------
    main : callable
        The entry point of a command.

    Returns
    -------
    callable
        The same entry point; every other exception passes through unchanged.
    """

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
        except OSError as error:
            if error.filename is None:
                raise
            print(f"error: {told_of_place(error)}", file=sys.stderr)
        sys.exit(2)

    return guarded
