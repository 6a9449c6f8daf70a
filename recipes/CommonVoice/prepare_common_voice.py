#!/usr/bin/env python3
"""Turn Common Voice, as downloaded, into manifests for the recipes of this folder.

    python prepare_common_voice.py cv-corpus-25.0-2026-03-09-nl.tar.gz manifests --languages nl --train_minutes 10
    python prepare_common_voice.py cv-corpus-25.0-2026-03-09 manifests --languages nl tr zh-TW --limit 200

The same as: s3sb prepare common-voice ...
"""

import sys

from s3_speechbrain.cli.prepare import script
from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main() -> int:
    """Prepare the languages and print what was kept."""
    return script("common-voice")


if __name__ == "__main__":
    sys.exit(main())
