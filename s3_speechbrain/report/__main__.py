"""The command ``python -m s3_speechbrain.report``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from s3_speechbrain.errors import UserError, tell_user_errors
from s3_speechbrain.report.demo import demo
from s3_speechbrain.report.gather import gather
from s3_speechbrain.report.metrics import collect
from s3_speechbrain.report.pareto import show_pareto
from s3_speechbrain.report.results import build, stale
from s3_speechbrain.report.runs import Setting, load_evidence, pool
from s3_speechbrain.report.schema import value_of
from s3_speechbrain.report.tables import Table, markdown, number, plain, spread

EPILOG = """\
The way of a number from a run to the README:

  1. a recipe ends:            RESULTS/mask_finetuning/demo/fr/sparsity-0.2-seed-1/metrics.json
  2. keep it as evidence:      python -m s3_speechbrain.report gather RESULTS evidence
  3. rebuild every table:      python -m s3_speechbrain.report results
  4. in CI, refuse old pages:  python -m s3_speechbrain.report check

RESULTS lies below the folder that the recipe was started in: recipes/CommonVoice/mask_finetuning/results, say,
or recipes for the runs of all recipes. That of ./demo.sh and of experiments is results.

A look at runs without keeping them:

  python -m s3_speechbrain.report demo results
  python -m s3_speechbrain.report pareto results
  python -m s3_speechbrain.report table results --columns language method sparsity.masked dev.CER test.CER
"""
COLUMNS = (
    "backbone",
    "language",
    "method",
    "sparsity.masked",
    "dev.CER",
    "test.CER",
    "size.bytes_per_language",
)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m s3_speechbrain.report",
        description="Make tables, plots and pages from the metrics.json files that runs leave behind.",
        epilog=EPILOG,
        formatter_class=form,
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    for name, text in (
        ("results", "write RESULTS.md, figures, and the blocks between markers in README.md and docs/"),
        ("check", "leave with status 1 if one of these differs from what the evidence gives; writes nothing"),
    ):
        page = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        page.add_argument("--root", default=".", help="the project's folder (default: the current one)")
        page.add_argument("--evidence", help="the committed runs (default: ROOT/evidence)")
    page = commands.add_parser(
        "demo", help="print the table and one transcript per language of finished runs"
    )
    page.add_argument("folder", nargs="?", default="results", help="folder with runs (default: results)")
    page = commands.add_parser("table", help="print any fields of runs as a table")
    page.add_argument(
        "folder", nargs="?", default="results", help="folder with runs or evidence (default: results)"
    )
    page.add_argument(
        "--columns", nargs="+", default=COLUMNS, help="fields, nested ones with dots, such as test.CER"
    )
    page.add_argument(
        "--runs", action="store_true", help="one line per run instead of the mean over its seeds"
    )
    page.add_argument("--markdown", action="store_true", help="print markdown instead of aligned text")
    page = commands.add_parser(
        "pareto", help="print and draw error against time and MACs of smaller or faster networks"
    )
    page.add_argument(
        "folders",
        nargs="*",
        default=["results"],
        metavar="FOLDER",
        help="folders with runs; the figures go into the first (default: results)",
    )
    page = commands.add_parser("gather", help="copy metrics.json files into the evidence folder")
    page.add_argument("results", help="folder with finished runs")
    page.add_argument("evidence", help="the committed folder")
    page.add_argument(
        "--replace", action="store_true", help="overwrite evidence of the same setting and seed"
    )
    return parser


def _cell(setting: Setting, dotted: str) -> str:
    value = value_of(setting.first, dotted)
    if isinstance(value, float):
        return spread(setting.stat(dotted), 3 if dotted.startswith("sparsity") else 2)
    if isinstance(value, int) and dotted != "seed":
        return number(setting.stat(dotted).mean, 0)
    if dotted == "seed":
        return " ".join(map(str, setting.seeds))
    return "" if value is None else str(value)


def table(folder: str | Path, columns: Sequence[str], every_run: bool = False) -> Table:
    """Return chosen fields of the runs below a folder, pooled over seeds unless `every_run`.

    Raises
    ------
    UserError
        If no run has one of the fields, or there are no runs.
    """
    # a results folder holds other JSON files beside metrics.json, the evidence folder only metrics
    runs = collect(folder) or load_evidence(folder).runs
    if not runs:
        raise UserError(f"no runs below {folder}; give the folder that your runs were written to")
    for column in columns:
        if all(value_of(run, column) is None for run in runs):
            raise UserError(f"no run has a field '{column}'; docs/reporting.md lists the fields")
    settings = (
        [Setting((run,)) for setting in pool(runs) for run in setting.runs] if every_run else pool(runs)
    )
    texts = sum(isinstance(value_of(runs[0], column), str) for column in columns)
    return Table(columns, [[_cell(setting, column) for column in columns] for setting in settings], texts)


@tell_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = _parser().parse_args(arguments)
    if given.action == "results":
        changed = build(given.root, given.evidence)
        print("\n".join(f"wrote {path}" for path in changed) or "everything is up to date")
    elif given.action == "check":
        old = stale(given.root, given.evidence)
        for path in old:
            print(
                f"{path} differs from the evidence; run: python -m s3_speechbrain.report results",
                file=sys.stderr,
            )
        return int(bool(old))
    elif given.action == "demo":
        print(demo(given.folder))
    elif given.action == "pareto":
        print(show_pareto(given.folders))
    elif given.action == "table":
        made = table(given.folder, given.columns, given.runs)
        print(markdown(made) if given.markdown else plain(made))
    else:
        written = gather(given.results, given.evidence, given.replace)
        print("\n".join(f"wrote {path}" for path in written) or "everything is already there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
