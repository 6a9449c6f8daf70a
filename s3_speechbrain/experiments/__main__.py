"""The command ``python -m s3_speechbrain.experiments``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from s3_speechbrain.errors import UserError, tell_user_errors
from s3_speechbrain.experiments.command import run, show_status

ROOT = Path(__file__).resolve().parents[2]
EPILOG = """\
examples:
  python -m s3_speechbrain.experiments status experiments/*.yaml
  python -m s3_speechbrain.experiments run experiments/pruning.yaml --data prompts=PATH/prompts
  python -m s3_speechbrain.experiments run experiments/tokens.yaml --data prompts=PATH/prompts --only salad --dry_run

What is done is skipped, what was stopped goes on: start the same command again. docs/experiments.md says more.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s3_speechbrain.experiments",
        description="Run grids of experiments and keep their results as evidence.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    for name, text in (
        ("run", "run what is missing, put results into the evidence"),
        ("status", "print what is done, running, failed and missing, and the time that is left"),
    ):
        page = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        page.add_argument("files", nargs="+", metavar="FILE", help="grid files")
        page.add_argument("--only", nargs="+", metavar="ENTRY", help="these entries, and what they build on")
        page.add_argument(
            "--root", type=Path, default=ROOT, help="the project's folder (default: that of this package)"
        )
        page.add_argument("--results", type=Path, help="output folders (default: ROOT/results/experiments)")
        page.add_argument("--evidence", type=Path, help="the committed runs (default: ROOT/evidence)")
    _add_run(commands.choices["run"])
    return parser


def _add_run(page: argparse.ArgumentParser) -> None:
    page.add_argument("--data", action="append", metavar="NAME=PATH", help="folder or tar of a corpus")
    page.add_argument("--source", action="append", metavar="NAME=PATH", help="folder of a backbone")
    page.add_argument(
        "--jobs", type=int, metavar="N", help="jobs at once (default: what cores and memory allow)"
    )
    page.add_argument("--threads", type=int, metavar="N", help="threads per job (default: cores / jobs)")
    page.add_argument("--memory_gb_per_job", type=float, default=3.0, metavar="GB", help="default: 3")
    page.add_argument("--dry_run", action="store_true", help="print the commands, run nothing")
    stay = page.add_mutually_exclusive_group()
    stay.add_argument("--keep_going", action="store_true", help="go on after a failure (the default)")
    stay.add_argument("--fail_fast", action="store_true", help="begin nothing new after a failure")
    page.add_argument(
        "--replace", action="store_true", help="overwrite other evidence of the same setting and seed"
    )
    page.add_argument(
        "--engine",
        choices=("local", "slurm", "submitit-local"),
        default="local",
        help="where jobs run (default: local)",
    )
    page.add_argument("--partition", help="slurm: partition")
    page.add_argument("--minutes", type=int, default=240, help="slurm: longest time of a job (default: 240)")
    page.add_argument("--gpus_per_job", type=int, default=0, help="slurm: GPUs of a job (default: 0)")


def _pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    found = {}
    for text in given or []:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"--{option} {text}: write NAME=PATH")
        found[name] = path
    return found


@tell_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except KeyboardInterrupt:  # while grids are read
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(given: argparse.Namespace) -> int:
    given.root = given.root.resolve()
    given.results = (given.results or given.root / "results" / "experiments").resolve()
    given.evidence = (given.evidence or given.root / "evidence").resolve()
    if given.action == "status":
        return show_status(given)
    given.data = {
        name: Path(path).expanduser().resolve() for name, path in _pairs(given.data, "data").items()
    }
    sources = _pairs(given.source, "source")
    # a name on the hub is no folder of this machine
    given.source = {
        name: str(Path(path).expanduser().resolve()) if Path(path).expanduser().exists() else path
        for name, path in sources.items()
    }
    for name in ("jobs", "threads"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise UserError(f"--{name} must be at least 1")
    if not given.memory_gb_per_job > 0:
        raise UserError("--memory_gb_per_job must be above 0")
    return run(given)


if __name__ == "__main__":
    sys.exit(main())
