"""The parser of ``s3sb`` and what every subcommand has in common: help, exit status, errors in one line."""

import argparse
import os
import sys
from collections.abc import Sequence

from s3_speechbrain import __version__
from s3_speechbrain.cli import bench, inspect, prepare, publish, report, transcribe
from s3_speechbrain.cli.options import printable
from s3_speechbrain.errors import UserError, told_of_place

COMMANDS = {
    "transcribe": transcribe,
    "inspect": inspect,
    "bench": bench,
    "report": report,
    "publish": publish,
    "prepare": prepare,
}
EPILOG = """\
from speech to a model to text:

  s3sb prepare prompts --save_folder data/prompts          real speech in five languages
  ./demo.sh                                                a mask per language, and a bank of them
  s3sb inspect results/demo                                what is in it
  s3sb transcribe talk.mp3 --model results/demo --language fr
  s3sb report results/demo -o report.html                  tables, curves and audio on one page
  s3sb publish results/demo/bank published/demo            a folder anyone can load

exit status: 0 success, 1 something to mend (one line on stderr says what), 2 wrong usage
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line of ``s3sb``."""
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(
        prog="s3sb",
        description="Use, share and look at speech recognisers trained with s3_speechbrain.",
        epilog=EPILOG,
        formatter_class=form,
    )
    made.add_argument("--version", action="version", version=f"s3sb {__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        page = commands.add_parser(
            name,
            help=module.HELP,
            description=f"{module.HELP[0].upper()}{module.HELP[1:]}.",
            epilog=module.EPILOG,
            formatter_class=form,
        )
        module.add_arguments(page)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default those of the process.

    Returns
    -------
    int
        The exit status: 0, or 1 after a mistake that the user can mend. Wrong usage leaves with status 2.
    """
    given = parser().parse_args(arguments)
    # transformers warns of what a recogniser does not use
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():  # bars of the hub and of transformers
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return COMMANDS[given.command].run(given)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {printable(told_of_place(error))}", file=sys.stderr)
        return 1
