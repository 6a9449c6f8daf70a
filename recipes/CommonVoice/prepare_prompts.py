"""Prepare the prompts corpus: real speech in five languages, free to use, about 20 minutes each.

    python prepare_prompts.py --save_folder data/prompts

fetches the Asterisk core sounds (about 55 MB), decodes, cleans and splits them, and writes
data/prompts/{en,es,fr,it,ru} in Common Voice layout, ready for --data_folder of every recipe here.
Run it again at any time: what is finished stays. The same as: s3sb prepare prompts --save_folder data/prompts
"""

import sys

from s3_speechbrain.cli.prepare import script
from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main() -> int:
    """Prepare and print what was kept."""
    return script("prompts")


if __name__ == "__main__":
    sys.exit(main())
