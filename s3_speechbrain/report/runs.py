"""Runs that differ only in the seed form one setting; dev chooses among settings."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.report.metrics import read_json, read_metrics
from s3_speechbrain.report.provenance import command_today
from s3_speechbrain.report.schema import error_name, value_of

Run = Mapping[str, Any]
# folders of the evidence that hold something else than runs
NO_RUNS = BENCHMARKS, EXPORTS, ANALYSES = "benchmarks", "export", "analysis"

# amounts of training data that count as equal, in minutes: a subset drawn by seed misses its target a little
BUDGETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3000, 6000, 12000, 30000, 60000)


@dataclass(frozen=True)
class Stat:
    """Mean of some seeds, their sample standard deviation (None for one seed), and how many there were."""

    mean: float
    spread: float | None
    count: int


def stat(values: Iterable[float]) -> Stat | None:
    """Pool values over seeds; None where there are none."""
    values = list(values)
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Stat(statistics.fmean(values), spread, len(values))


def train_budget(minutes: float) -> int:
    """Return the customary amount of training data, in minutes, that is nearest in ratio; 0 for none."""
    if minutes <= 0:
        return 0
    return min(BUDGETS, key=lambda budget: max(budget / minutes, minutes / budget))


def budget_label(minutes: int) -> str:
    """Write an amount of training data as people say it: ``10 min``, ``1 h``."""
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"


def run_budget(run: Run) -> int:
    """Return the customary amount of training data of a run, in minutes; 0 for a run on text."""
    return train_budget(value_of(run, "data.train_minutes", 0))


def updates_per_language(run: Run) -> float | None:
    """Return how long a run's last training is, for each of its languages; None where it is not recorded."""
    updates = value_of(run, "config.updates")
    return None if updates is None else updates / len(value_of(run, "config.languages", [run["language"]]))


def data_label(run: Run) -> str:
    """Write how much a run trained on: ``10 min``, ``8056 texts``."""
    examples = value_of(run, "data.train_examples")
    return budget_label(run_budget(run)) if examples is None else f"{examples} texts"


def config_key(run: Run, without: str | None = None) -> str:
    """Return the tuned hyper-parameters as one text, without the seed and names that contain `without`."""
    config = run.get("config") or {}
    kept = {
        name: value
        for name, value in config.items()
        if name != "seed" and not (without is not None and without in name)
    }
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def setting_key(run: Run) -> tuple:
    """Return what two runs must share to be repetitions of one another, that is, everything but the seed."""
    return (
        run["backbone"],
        run["data"]["name"],
        value_of(run, "data.train_examples", run_budget(run)),
        run["language"],
        run["method"],
        round(run["sparsity"]["masked"], 3),
        run["recipe"],
        config_key(run),
    )


@dataclass(frozen=True)
class Setting:
    """The runs of one setting, in the order of their seeds."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run with the smallest seed, for the fields that all of them share."""
        return self.runs[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(run["seed"] for run in self.runs)

    @property
    def budget(self) -> int:
        """Training data in minutes, rounded to a customary amount."""
        return run_budget(self.first)

    def by_seed(self, dotted: str) -> dict[int, float]:
        """Return a field of every run that has it, by seed."""
        found = {run["seed"]: value_of(run, dotted) for run in self.runs}
        return {seed: value for seed, value in found.items() if value is not None}

    def stat(self, dotted: str) -> Stat | None:
        """Pool a field such as ``"test.CER"`` over the runs."""
        found = (value_of(run, dotted) for run in self.runs)
        return stat(value for value in found if value is not None)

    def error(self, split: str) -> Stat | None:
        """Pool the error rate that ranks runs: CER, or PER for phone targets."""
        return self.stat(f"{split}.{error_name(self.first)}")


def pool(runs: Iterable[Run]) -> list[Setting]:
    """Group runs that differ only in the seed, sorted by setting."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        groups.setdefault(setting_key(run), []).append(run)
    return [Setting(tuple(sorted(group, key=lambda run: run["seed"]))) for _, group in sorted(groups.items())]


def best_on_dev(settings: Sequence[Setting]) -> Setting | None:
    """Choose the setting with the lowest mean dev error among those with the most seeds.

    Settings tried with fewer seeds were trials: one lucky seed must not win over a mean of several. Error rates of
    phones are no rivals of those of characters, and give way to them. Test errors play no part. On a tie the
    first in order wins, so that the order of files never matters.
    """
    if not settings:
        return None
    name = min(error_name(setting.first) for setting in settings)  # CER before PER
    settings = [setting for setting in settings if error_name(setting.first) == name]
    most = max(len(setting.runs) for setting in settings)
    candidates = [setting for setting in settings if len(setting.runs) == most]
    return min(candidates, key=lambda setting: (setting.error("dev").mean, setting_key(setting.first)))


def mean_over(settings: Sequence[Setting | None], dotted: str) -> Stat | None:
    """Average a field over languages; None if a language has no run, since a mean of fewer would mislead.

    Where all languages have the same seeds the spread is that of the per-seed means; otherwise there is none.
    """
    if not settings or any(setting is None or not setting.by_seed(dotted) for setting in settings):
        return None
    columns = [setting.by_seed(dotted) for setting in settings if setting is not None]
    stats = [setting.stat(dotted) for setting in settings if setting is not None]
    seeds = sorted(columns[0])
    once = all(len(column) == each.count for column, each in zip(columns, stats, strict=True))
    if once and all(sorted(column) == seeds for column in columns):
        return stat(statistics.fmean(column[seed] for column in columns) for seed in seeds)
    return Stat(statistics.fmean(each.mean for each in stats), None, min(each.count for each in stats))


def mixed_manifests(settings: Iterable[Setting]) -> list[str]:
    """Return the languages whose runs with one seed, on one amount of a corpus, had different manifests."""
    seen: dict[tuple, set[str]] = {}
    for setting in settings:
        for run in setting.runs:
            place = (run["language"], run["seed"], run["data"]["name"], data_label(run))
            seen.setdefault(place, set()).add(run["data"]["manifest_sha256"])
    return sorted({place[0] for place, hashes in seen.items() if len(hashes) > 1})


@dataclass(frozen=True)
class Evidence:
    """The committed runs, benchmark results, records of exports (by the run that they come from), analyses."""

    runs: tuple[Run, ...]
    benchmarks: Mapping[str, Mapping[str, Any]]
    exports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    analyses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> list[Setting]:
        """All runs, pooled over seeds."""
        return pool(self.runs)


def load_evidence(folder: str | Path) -> Evidence:
    """Read `evidence/`: every JSON file is a run, but for `benchmarks/`, `analysis/` and the exports in `export/`.

    Raises
    ------
    UserError
        If a file is wrong, or two files hold the same setting, language and seed. A folder that does not
        exist is no error: nothing has been measured yet.
    """
    folder = Path(folder)
    runs: list[Run] = []
    others: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in NO_RUNS}
    seen: dict[tuple, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        place = path.relative_to(folder)
        if place.parts[0] in others:
            name = place.relative_to(place.parts[0]).with_suffix("").as_posix()
            others[place.parts[0]][name] = read_json(path)
            continue
        run = read_metrics(path)
        key = (*setting_key(run), run["seed"])
        if key in seen:
            raise UserError(
                f"{path} repeats the setting and seed of {seen[key]}; delete one, or record in their "
                "config field what differs"
            )
        seen[key] = path
        runs.append({**run, "command": command_today(run)})
    return Evidence(tuple(runs), others[BENCHMARKS], others[EXPORTS], others[ANALYSES])
