"""Error against sparsity: which runs make up a sweep, its table, its place among the figures."""

import re
from collections.abc import Sequence

from s3_speechbrain.report.clipping import clipped_like
from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, TITLES, commands, manifests_note
from s3_speechbrain.report.runs import (
    Evidence,
    Setting,
    best_on_dev,
    budget_label,
    config_key,
    updates_per_language,
)
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.tables import Table, markdown, number, spread

FIGURES = "docs/figures"


def sweeps(evidence: Evidence) -> list[list[Setting]]:
    """Find the sparsity sweeps: settings equal but for sparsity, at three values or more.

    Where a backbone, corpus and language have several, runs that recorded their utterances go before older ones, and
    among equals the one with the most values counts.
    """
    groups: dict[tuple, dict[str, list[Setting]]] = {}
    for setting in evidence.settings:
        run = setting.first
        if run["method"] == "mask":
            place = (run["backbone"], run["data"]["name"], setting.budget, run["language"])
            rest = f"{run['recipe']} {config_key(run, without='sparsity')}"
            groups.setdefault(place, {}).setdefault(rest, []).append(setting)
    found = []
    for _, candidates in sorted(groups.items()):
        enough = [group for _, group in sorted(candidates.items()) if _values(group) >= 3]
        if enough:
            best = max(enough, key=lambda group: (_recorded(group), _values(group)))
            found.append(sorted(best, key=masked_share))
    return found


def _recorded(settings: Sequence[Setting]) -> bool:
    return all("utterances" in run for setting in settings for run in setting.runs)


def _values(settings: Sequence[Setting]) -> int:
    return len({masked_share(setting) for setting in settings})


def masked_share(setting: Setting) -> float:
    """Return the fraction removed of the masked weights, rounded as it is shown."""
    return round(setting.first["sparsity"]["masked"], 3)


def lowest_on_dev(points: Sequence[Setting]) -> Setting | None:
    """Choose the point of a sweep with the lowest mean dev error, however many seeds each has; None of none.

    Points are no rivals of which some were tried more thoroughly, as in `best_on_dev`: each stands for its sparsity.
    """
    return min(points, key=lambda setting: (setting.error("dev").mean, masked_share(setting)), default=None)


def dense_beside(evidence: Evidence, sweep: Sequence[Setting]) -> Setting | None:
    """Choose on dev the dense finetuning of the same backbone, data and language."""
    run, budget = sweep[0].first, sweep[0].budget
    found = [
        other
        for other in evidence.settings
        if other.first["method"] == "dense"
        and (other.first["backbone"], other.first["language"]) == (run["backbone"], run["language"])
        and (other.first["data"]["name"], other.budget) == (run["data"]["name"], budget)
        and updates_per_language(other.first) == updates_per_language(run)
    ]
    return best_on_dev(clipped_like(found, sweep))


def slug(text: str) -> str:
    """Turn a name into a piece of a file name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-") or "unnamed"


def sweep_name(sweep: Sequence[Setting]) -> str:
    """Return the file name of a sweep's figure."""
    run = sweep[0].first
    parts = (run["backbone"], run["data"]["name"], f"{sweep[0].budget}min", run["language"])
    return f"sparsity_{'_'.join(map(slug, parts))}.png"


def sweep_title(sweep: Sequence[Setting]) -> str:
    """Name a sweep by its language, backbone and data."""
    run = sweep[0].first
    return f"{run['language']}, {run['backbone']}, {budget_label(sweep[0].budget)} of {run['data']['name']}"


def _one_sweep(evidence: Evidence, sweep: Sequence[Setting]) -> str:
    name = error_name(sweep[0].first)
    dense = dense_beside(evidence, sweep)
    rows = []
    for setting in [*sweep, *([dense] if dense else [])]:
        run = setting.first
        shares = [number(run["sparsity"][key], 3) for key in ("masked", "linears", "model")]
        label = TITLES["mask"] if run["method"] == "mask" else TITLES["dense"]
        words = spread(setting.stat("test.WER"))
        rows.append([label, *shares, spread(setting.error("dev")), spread(setting.error("test")), words])
    header = ["method", "masked", "linears", "model", f"dev {name}", f"test {name}", "test WER"]
    low = lowest_on_dev(sweep)
    edges = ", ".join(
        f"{number(s.error('dev').mean)} at {number(masked_share(s))}" for s in (sweep[0], low, sweep[-1])
    )
    figure = f"![{name} against sparsity: {sweep_title(sweep)}]({FIGURES}/{sweep_name(sweep)})"
    return "\n\n".join(
        [
            f"**{sweep_title(sweep)}.** Sparsity is the fraction removed of the masked weights, of all "
            f"transformer linears, and of the whole encoder. Dev {name} at the lowest, the dev-best and the "
            f"highest sparsity: {edges}.{manifests_note([*sweep, *([dense] if dense else [])])}",
            markdown(Table(header, rows)),
            figure,
            commands([*sweep, *([dense] if dense else [])]),
        ]
    )


def sweep(evidence: Evidence) -> str:
    """Make the section on error against sparsity."""
    blocks = [_one_sweep(evidence, found) for found in sweeps(evidence)]
    return "\n\n".join([f"{SEEDS_NOTE} {DEV_SELECTS}", *(blocks or ["No sweep yet."])])
