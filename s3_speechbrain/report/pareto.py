"""Smaller and faster networks together: error against measured time and against MACs, in a table and two figures."""

from collections.abc import Sequence
from pathlib import Path

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, commands, manifests_note
from s3_speechbrain.report.metrics import collect
from s3_speechbrain.report.places import (
    RECIPE,
    Figure,
    Place,
    best_curves,
    dense_at,
    dense_title,
    figure,
    figure_path,
    macs_share,
    place_title,
    places,
    time_share,
)
from s3_speechbrain.report.plots import plot_sparsity_curve
from s3_speechbrain.report.runs import Evidence, Run, Setting, best_on_dev
from s3_speechbrain.report.schema import BASELINE_PREFIX, error_name, value_of
from s3_speechbrain.report.structured import TITLES as STRUCTURED
from s3_speechbrain.report.structured import units_left
from s3_speechbrain.report.tables import Table, amount, markdown, number, plain, size, spread
from s3_speechbrain.report.tokens import TITLES as SELECTORS

TIME = "real-time factor, share of the dense network's timed in turns"
MACS = "MACs for 10 s of speech, share of the dense network's"
AXES = {"pareto_time": (TIME, time_share), "pareto_macs": (MACS, macs_share)}
BOTH = "both (S6-DAMON)"
NOTHING = "No run of a smaller or faster network yet."
FLOAT = 4  # bytes
ORACLES = ("oracle", "oracle_blank")  # run a second network


def title(run: Run) -> str:
    """Name a method: a selector, a strategy of structured pruning, or both."""
    selector = value_of(run, "tokens.selector")
    if run["method"] == "s6":
        return BOTH
    if selector and run.get("units"):
        strategy = run["method"].removeprefix(f"{BASELINE_PREFIX}{selector}_")
        known = STRUCTURED.get(strategy) or STRUCTURED.get(f"{BASELINE_PREFIX}{strategy}", strategy)
        return f"{SELECTORS[selector]} and {known}"
    return SELECTORS[selector] if selector else STRUCTURED.get(run["method"], run["method"])


def _wanted(run: Run) -> bool:
    return bool(run.get("macs")) and value_of(run, "tokens.selector") not in ORACLES


def goal(run: Run) -> tuple:
    """Return what a run was asked to keep: tokens and units, and of what the units are counted."""
    names = ("tokens.keep_ratio", "tokens.recall", "structured.keep", "structured.budget")
    return tuple(value_of(run, f"config.{name}") for name in names)


def pareto_places(evidence: Evidence) -> dict[Place, list[Setting]]:
    """Collect the compressed networks: of each method and goal the setting that dev chooses, the cheapest first."""
    found = {}
    for place, settings in places(evidence, _wanted).items():
        rivals: dict[tuple, list[Setting]] = {}
        for setting in settings:
            rivals.setdefault((title(setting.first), str(goal(setting.first))), []).append(setting)
        best = [best_on_dev(candidates) for candidates in rivals.values()]
        found[place] = sorted(best, key=lambda s: (macs_share(s), title(s.first)))
    return found


def _row(setting: Setting, name: str, dense: Setting | None) -> list[str]:
    ratio, pruned = setting.stat("tokens.keep_ratio"), value_of(setting.first, "units")
    error = setting.error("test")
    parameters = setting.stat("size.parameters").mean
    change = 100 * (error.mean / dense.error("test").mean - 1) if dense else None
    return [
        name,
        number(ratio.mean if ratio else 1.0, 3),
        number(units_left(setting) if pruned else 1.0, 3),
        number(macs_share(setting), 3),
        number(setting.stat("speed.rtf").mean, 4),
        number(time_share(setting), 3),
        amount(parameters),
        size(parameters * FLOAT),
        spread(setting.error("dev")),
        spread(error),
        number(change, 1),
    ]


def _table(settings: Sequence[Setting], dense: Setting | None) -> Table:
    name = error_name(settings[0].first)
    rows = [_row(setting, title(setting.first), dense) for setting in settings]
    rows += [_row(dense, dense_title(dense), dense)] if dense else []
    header = ["method", "tokens", "units", "MACs", "RTF", "time", "parameters", "fp32 bytes"]
    return Table([*header, f"dev {name}", f"test {name}", "change (%)"], rows)


def _one_place(evidence: Evidence, place: Place, settings: Sequence[Setting]) -> str:
    dense, name = dense_at(evidence, place, settings), error_name(settings[0].first)
    shown = [*settings, *([dense] if dense else [])]
    threads = ", ".join(sorted({str(run["speed"]["threads"]) for setting in shown for run in setting.runs}))
    figures = [
        f"![{name} against {along}: {place_title(place)}]({figure_path(place, kind)})"
        for kind, (along, _) in AXES.items()
    ]
    return "\n\n".join(
        [
            f"**{place_title(place)}.** Shares of tokens (on test), units and MACs that are left; `RTF` in float32 "
            f"with {threads} thread(s), sliced and shortened; `time` is its share of the dense network's, timed in "
            f"turns with it in one process, and unlike `RTF` is not disturbed by the load of different days; `change` "
            f"is the test {name} relative to dense finetuning.{manifests_note(shown)}",
            markdown(_table(settings, dense)),
            *figures,
            commands(shown),
        ]
    )


def pareto(evidence: Evidence) -> str:
    """Make the section on error against time."""
    blocks = [_one_place(evidence, place, found) for place, found in pareto_places(evidence).items()]
    return "\n\n".join([f"{SEEDS_NOTE} {DEV_SELECTS}", *(blocks or [NOTHING])])


def pareto_figures(evidence: Evidence) -> dict[str, tuple[Figure, str]]:
    """Return the figures of the section by path, each with the label of its horizontal axis."""
    found = {}
    for place, settings in pareto_places(evidence).items():
        for kind, (along, where) in AXES.items():
            curves = best_curves(settings, lambda s: title(s.first), goal, where)
            found[figure_path(place, kind)] = (figure(evidence, place, settings, curves), along)
    return found


def show_pareto(folders: Sequence[str | Path]) -> str:
    """Draw the figures of finished runs into the first of some folders; return their tables as text.

    Raises
    ------
    UserError
        If there is no run of a smaller or faster network below the folders.
    """
    evidence = Evidence(tuple(run for folder in folders for run in collect(folder)), {})
    found = pareto_places(evidence)
    if not found:
        raise UserError(f"no run of the recipe {RECIPE} below {', '.join(map(str, folders))}; run it first")
    tables = [
        f"{place_title(place)}\n{plain(_table(settings, dense_at(evidence, place, settings)))}"
        for place, settings in found.items()
    ]
    files = []
    for path, ((curves, levels, name, error), along) in pareto_figures(evidence).items():
        file = Path(folders[0]) / Path(path).name
        files.append(str(plot_sparsity_curve(file, curves, levels, title=name, error=error, along=along)))
    return "\n\n".join([*tables, "\n".join(files)])
