#!/usr/bin/env python3
"""Turn LibriSpeech, and Libri-light's 10 min / 1 h / 10 h training sets, into manifests.

    python prepare_librispeech.py /data manifests --train 10min --dev dev-other --test test-clean
    python prepare_librispeech.py /data manifests --train train-clean-100

The same as: s3sb prepare librispeech ...
"""

import sys

from s3_speechbrain.cli.prepare import script
from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main() -> int:
    """Prepare the corpus and print what was kept."""
    return script("librispeech")


if __name__ == "__main__":
    sys.exit(main())
