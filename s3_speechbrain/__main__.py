"""``python -m s3_speechbrain`` is the command ``s3sb``."""

import sys

from s3_speechbrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
