"""Prepare the prompts corpus: real speech in five languages, free to use, about 20 minutes each.

    python prepare_prompts.py --save_folder data/prompts

fetches the Asterisk core sounds (about 55 MB), decodes, cleans and splits them, and writes
data/prompts/{en,es,fr,it,ru} in Common Voice layout, ready for --data_folder of every recipe here.
Run it again at any time: what is finished stays.
"""

import argparse
from pathlib import Path

from s3_speechbrain.data.prompts import LANGUAGES, format_report, prepare_prompts
from s3_speechbrain.errors import tell_user_errors

EPILOGUE = """
sources, tried in this order when --source is left out:
  debian     apt-get download and dpkg -x: no root needed, any Debian or Ubuntu machine
  upstream   the tarballs of asterisk.org, any machine
or name a folder that holds the packages (*.deb), the tarballs, or the unpacked files.

examples:
  python prepare_prompts.py --save_folder data/prompts
  python prepare_prompts.py --save_folder data/prompts --languages fr it
  python prepare_prompts.py --save_folder data/prompts --source ~/Downloads

The voices belong to their makers, see ATTRIBUTION.md in every language's folder (en, es, fr: CC BY-SA 3.0;
it, ru: CC BY 3.0). report.json next to it lists every row that was left out, with its line and the reason.
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save_folder", type=Path, required=True, help="where the corpus goes")
    parser.add_argument(
        "--languages", nargs="+", default=list(LANGUAGES), metavar="LANG", help="default: all five"
    )
    parser.add_argument("--source", help="debian, upstream, or a folder (default: debian, else upstream)")
    parser.add_argument("--train_minutes", type=float, default=10.0, help="length of train; default: 10")
    parser.add_argument("--max_seconds", type=float, default=20.0, help="drop longer clips; default: 20")
    parser.add_argument("--seed", type=int, default=1, help="of the split; default: 1")
    parser.add_argument("--workers", type=int, help="decoding threads; default: one per core")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--again", action="store_true", help="do everything anew, even where it is finished")
    return parser.parse_args()


@tell_user_errors
def main() -> None:
    """Prepare and print what was kept."""
    arguments = parse_arguments()
    reports = prepare_prompts(
        arguments.save_folder,
        arguments.languages,
        source=arguments.source,
        train_minutes=arguments.train_minutes,
        max_seconds=arguments.max_seconds,
        seed=arguments.seed,
        workers=arguments.workers,
        progress=not arguments.quiet,
        again=arguments.again,
    )
    print(format_report(reports))


if __name__ == "__main__":
    main()
