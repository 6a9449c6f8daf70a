"""The command ``python -m s3_speechbrain.export``."""

import sys
from collections.abc import Sequence

from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    from s3_speechbrain.export.command import run  # torch and transformers: not for --help's sake alone

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
