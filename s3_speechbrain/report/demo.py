"""The closing table of the demo, with one transcript per language."""

from collections.abc import Mapping
from pathlib import Path

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.main_table import COTRAINED, TITLES, row_of, stored_bytes
from s3_speechbrain.report.metrics import collect
from s3_speechbrain.report.runs import Run, Setting, pool
from s3_speechbrain.report.schema import MASK_METHOD, error_name
from s3_speechbrain.report.schemes import SCHEMES
from s3_speechbrain.report.tables import Table, amount, number, plain, size, spread


def _order(setting: Setting) -> tuple:
    titles = list(TITLES)
    row = row_of(setting.first)
    return (setting.first["language"], titles.index(row) if row in titles else len(titles))


def _title(run: Run) -> str:
    row, titles = row_of(run), {**SCHEMES, **TITLES}
    method = row.removesuffix(COTRAINED)
    return titles.get(row) or titles.get(method, method) + " and weights" * (method != row)


def demo_table(settings: list[Setting]) -> str:
    """Return a terminal table: one line per language and method."""
    rows = []
    for setting in sorted(settings, key=_order):
        run = setting.first
        rows.append(
            [
                run["language"],
                _title(run),
                number(run["sparsity"]["masked"]),
                spread(setting.error("dev"), 1),
                spread(setting.error("test"), 1),
                spread(setting.stat("test.WER"), 1),
                amount(run["cost"]["trainable"]),
                size(stored_bytes([setting])),
                number(run["cost"]["wall_s"], 0),
            ]
        )
    name = " or ".join(sorted({error_name(setting.first) for setting in settings}))
    header = [
        "lang",
        "method",
        "sparsity",
        f"dev {name}",
        f"test {name}",
        "test WER",
        "trainable",
        "bytes/lang",
        "wall s",
    ]
    return plain(Table(header, rows, 2))


def _examples(run: Run) -> dict[str, Mapping[str, str]]:
    return {row["id"]: row for row in run.get("examples") or []}


def transcripts(runs: list[Run]) -> str:
    """Return, per language, the first example that was recorded: its reference and what each method heard.

    The first one is shown whether it is good or bad. Where a mask run has examples its first one decides.
    """
    blocks = []
    for language in sorted({run["language"] for run in runs}):
        here = [run for run in runs if run["language"] == language and run.get("examples")]
        if not here:
            continue
        lead = next((run for run in here if MASK_METHOD.fullmatch(run["method"])), here[0])
        chosen = lead["examples"][0]
        lines = [f"{language}  {'reference':<28}  {chosen['reference']}"]
        for setting in sorted(pool(here), key=_order):
            found = _examples(setting.first).get(chosen["id"])
            if found:
                title = _title(setting.first)
                lines.append(f"{' ' * len(language)}  {title:<28}  {found['hypothesis'] or '(nothing)'}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def demo(folder: str | Path) -> str:
    """Return what the demo prints at its end: the table, the transcripts, and where the plots are.

    Parameters
    ----------
    folder : path
        The folder with the demo's runs; every `metrics.json` below it counts.

    Raises
    ------
    UserError
        If there are no runs below the folder.
    """
    runs = collect(folder)
    if not runs:
        raise UserError(f"no metrics.json below {folder}; run a recipe first, its results land there")
    plots = sorted(Path(folder).rglob("curves.png"))
    blocks = [demo_table(pool(runs)), transcripts(runs)]
    if plots:
        blocks.append("Plots: " + "\n       ".join(map(str, plots)))
    return "\n\n".join(filter(None, blocks))
