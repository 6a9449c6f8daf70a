"""The main table: five languages, ten minutes of prompts each, the built-in backbone."""

from collections.abc import Iterable, Sequence

from s3_speechbrain.report.provenance import recipe_folder
from s3_speechbrain.report.runs import (
    Evidence,
    Run,
    Setting,
    best_on_dev,
    mean_over,
    mixed_manifests,
    run_budget,
    updates_per_language,
)
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.tables import Table, amount, markdown, number, number_range, size, spread

LANGUAGES = ("en", "es", "fr", "it", "ru")
CORPUS, MINUTES, BACKBONE = "prompts", 10, "builtin"
UPDATES = 400  # of each language: longer trainings have rows of their own elsewhere
TITLES = {
    "frozen_random": "random network, frozen + head",
    "frozen": "frozen + head",
    "scratch": "from scratch",
    "dense": "dense finetuning",
    "dense_freeze": "dense, frozen at first",
    "lora": "LoRA",
    "bitfit": "BitFit",
    "mask": "masks",
    "mask_by_threshold": "masks, thresholds that train",
}
COTRAINED = "_cotrained"  # ends the row of masks whose weights trained along
SUMMARY_ROWS = ("frozen", "scratch", "dense", "lora", "mask")
DEV_SELECTS = "Settings and checkpoints are selected on dev; test is run once per run, at its end."
BYTES_COUNT = "Masks count as their file in a bank, or at one bit per weight where a run wrote none."
SEEDS_NOTE = "Cells are the mean ± sample standard deviation (number of seeds), or a single seed's value."


def row_of(run: Run) -> str:
    """Return the row of the main table: the method; random backbones and weights trained with masks stand apart."""
    if (run.get("config") or {}).get("train_weights"):
        return run["method"] + COTRAINED
    # training from scratch starts at random by definition
    random = run["backbone"].endswith("-random") and run["method"] != "scratch"
    return f"{run['method']}_random" if random else run["method"]


def in_main_place(run: Run) -> bool:
    """Tell whether a run is where those of the main table are: built-in backbone, ten minutes of prompts."""
    return (
        run["backbone"] in (BACKBONE, f"{BACKBONE}-random")
        and run["data"]["name"] == CORPUS
        and run_budget(run) == MINUTES
        and run["language"] in LANGUAGES
    )


def is_main(run: Run) -> bool:
    """Tell whether a run belongs to the main table, where all train for the same number of updates."""
    comparable = updates_per_language(run) in (None, UPDATES) and error_name(run) == "CER"
    return in_main_place(run) and row_of(run) in TITLES and comparable


Grid = dict[str, list[Setting | None]]


def main_grid(evidence: Evidence) -> Grid:
    """Choose on dev, for every row and language of the main table, the setting to show."""
    settings = [setting for setting in evidence.settings if is_main(setting.first)]
    return {
        row: [
            best_on_dev([s for s in settings if row_of(s.first) == row and s.first["language"] == language])
            for language in LANGUAGES
        ]
        for row in TITLES
    }


def _shown(grid: Grid) -> list[Setting]:
    return [setting for row in grid.values() for setting in row if setting is not None]


def mean_of(settings: Iterable[Setting | None], dotted: str) -> float | None:
    """Average a field over settings, each the mean of its seeds; None where nothing was run."""
    pooled = [setting.stat(dotted) for setting in settings if setting is not None]
    means = [value.mean for value in pooled if value is not None]
    return sum(means) / len(means) if means else None


def stored_bytes(settings: Iterable[Setting | None]) -> float | None:
    """Average what a language takes: as a file in a mask bank where runs wrote one, else as counted."""
    settings = list(settings)
    in_bank = mean_of(settings, "size.bytes_in_bank")
    return mean_of(settings, "size.bytes_per_language") if in_bank is None else in_bank


def error_table(grid: Grid, dotted: str, rows: Sequence[str], digits: int = 2) -> str:
    """Make the table of one error rate: methods as rows, languages as columns, mean, bytes, trainable."""
    cells = []
    for row in rows:
        settings = grid[row]
        by_language = [spread(setting.stat(dotted) if setting else None, digits) for setting in settings]
        cost = [
            size(stored_bytes(settings)),
            amount(mean_of(settings, "cost.trainable")),
        ]
        cells.append([TITLES[row], *by_language, spread(mean_over(settings, dotted), digits), *cost])
    return markdown(Table(["method", *LANGUAGES, "mean", "bytes per language", "trainable"], cells))


def effort_line(evidence: Evidence) -> str:
    """Say how many settings dev chose from, per language, for every row of the main table."""
    counts: dict[str, dict[str, int]] = {}
    for setting in evidence.settings:
        if is_main(setting.first):
            by_language = counts.setdefault(row_of(setting.first), {})
            by_language[setting.first["language"]] = by_language.get(setting.first["language"], 0) + 1
    parts = [
        f"{TITLES[row]}: {number_range(list(counts[row].values()), 0)}" for row in TITLES if row in counts
    ]
    return f"Settings compared on dev in each language: {'; '.join(parts) or 'none yet'}."


def cost_table(grid: Grid) -> str:
    """Make the table of what each method's shown runs cost, averaged over languages and seeds."""
    rows = []
    for row, settings in grid.items():
        runs = [run for setting in settings if setting is not None for run in setting.runs]
        present = [setting for setting in settings if setting is not None]
        rows.append(
            [
                TITLES[row],
                number_range([setting.first["sparsity"]["masked"] for setting in present], 3),
                number(mean_of(settings, "cost.updates"), 0),
                number(mean_of(settings, "cost.wall_s"), 0),
                number(mean_of(settings, "cost.peak_rss_mb"), 0),
                number(mean_of(settings, "speed.rtf"), 4),
                ", ".join(sorted({str(run["speed"]["threads"]) for run in runs})),
                ", ".join(sorted({run["speed"]["dtype"] for run in runs})),
            ]
        )
    header = ["method", "masked sparsity", "updates", "wall s", "peak RSS MB", "RTF", "threads", "dtype"]
    return markdown(Table(header, rows))


def commands(settings: Iterable[Setting]) -> str:
    """List the exact command of each setting's first seed, and all its seeds, by recipe, folded away."""
    lines: dict[str, set[str]] = {}
    for setting in settings:
        run, seeds = setting.first, ", ".join(map(str, setting.seeds))
        told = f"{run['command']}  # {run['language']} {row_of(run)}, seeds {seeds}"
        lines.setdefault(recipe_folder(run), set()).add(told)
    if not lines:
        return "No runs yet."
    body = "\n\n".join("\n".join([f"# in {place}", *sorted(each)]) for place, each in sorted(lines.items()))
    return f"<details><summary>Commands and seeds</summary>\n\n```bash\n{body}\n```\n\n</details>"


def manifests_note(settings: Iterable[Setting]) -> str:
    """Warn where runs shown side by side used different data; an empty text where all is well."""
    mixed = mixed_manifests(settings)
    return (
        f"\n\n**Not comparable:** runs with one seed used different manifests in {', '.join(mixed)}."
        * bool(mixed)
    )


def summary(evidence: Evidence) -> str:
    """Make the README's small table; a method that has not been run at all gets no row in it."""
    grid = main_grid(evidence)
    rows = []
    for row in filter(lambda row: any(grid[row]), SUMMARY_ROWS):
        errors = [spread(setting.stat("test.CER") if setting else None, 1) for setting in grid[row]]
        mean = spread(mean_over(grid[row], "test.CER"), 1)
        rows.append([TITLES[row], *errors, mean, size(stored_bytes(grid[row]))])
    table = markdown(Table(["test CER (%)", *LANGUAGES, "mean", "bytes per language"], rows))
    notes = f"{SEEDS_NOTE} {DEV_SELECTS} {effort_line(evidence)}"
    return f"{table}\n\n{notes} All rows with their commands: [RESULTS.md](RESULTS.md)."


def languages(evidence: Evidence) -> str:
    """Make the section on five languages with the built-in backbone."""
    grid = main_grid(evidence)
    return "\n\n".join(
        [
            f"{CORPUS} corpus, about {MINUTES} minutes of training speech per language, `{BACKBONE}` "
            f"backbone. {SEEDS_NOTE} {DEV_SELECTS} {effort_line(evidence)}{manifests_note(_shown(grid))}",
            "Test CER (%). Bytes per language are what one more language adds to a shared backbone, head "
            "included:",
            error_table(grid, "test.CER", tuple(TITLES)),
            "Test WER (%):",
            error_table(grid, "test.WER", tuple(TITLES)),
            "Cost, averaged over languages and seeds. A mask of single weights makes the network smaller "
            "to store and no faster to run:",
            cost_table(grid),
            commands(_shown(grid)),
        ]
    )
