"""Pruning while adapting: error against sparsity for every method, in a table and a figure, and what each costs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3_speechbrain.report.clipping import USUAL, clipped_at, clipping_note, clipping_slug
from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, commands, manifests_note
from s3_speechbrain.report.runs import Evidence, Run, Setting, best_on_dev, data_label
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.sweep import FIGURES, slug
from s3_speechbrain.report.tables import Table, markdown, number, size, spread

DENSE = {"dense": "dense finetuning", "dense_freeze": "dense finetuning"}
TITLES = {
    "baseline_rp_uniform": "RP, uniform",
    "rp": "RP, random network",
    "mpi": "MPI",
    "omp": "OMP",
    "imp": "IMP",
    "baseline_parp_mask": "PARP's mask, fixed",
    "parp": "PARP",
    "parp_p": "PARP-P",
    "s3_prune": "S3-Router's pruning",
}
NOTHING = "No pruning run yet."
# backbone, corpus, minutes of training data, language, kind of error, limit of the gradients' norm
Place = tuple[str, str, int, str, str, float]


@dataclass(frozen=True)
class Curve:
    """One method with one length of training, frozen at first or not: what dev chooses at each sparsity."""

    title: str
    points: dict[float, Setting]


@dataclass(frozen=True)
class Grid:
    """All methods on one backbone, corpus, amount of training data, language and kind of error, clipped alike."""

    place: Place
    references: list[Curve]
    curves: list[Curve]

    @property
    def settings(self) -> list[Setting]:
        """Every setting that is shown."""
        return [each for curve in [*self.references, *self.curves] for each in curve.points.values()]

    @property
    def sparsities(self) -> list[float]:
        """The columns."""
        return sorted({sparsity for curve in self.curves for sparsity in curve.points})

    @property
    def error(self) -> str:
        """The error rate that ranks."""
        return error_name(self.settings[0].first)

    @property
    def title(self) -> str:
        """Language, backbone and data."""
        backbone, corpus, _, language, error, limit = self.place
        rest = (", phones" if error == "PER" else "") + clipping_note(limit)
        return f"{language}, {backbone}, {data_label(self.settings[0].first)} of {corpus}{rest}"

    @property
    def figure(self) -> str:
        """Path of the figure from the project's root."""
        backbone, corpus, budget, language, error, limit = self.place
        parts = [backbone, corpus, f"{budget}min" if budget else "texts", language]
        parts += ["phones"] * (error == "PER") + clipping_slug(limit)
        return f"{FIGURES}/pruning_{'_'.join(map(slug, parts))}.png"


def _sparsity(run: Run) -> float:
    # rankings per matrix round each matrix: 0.4998 is a point of the column 0.5
    return round(run["sparsity"]["masked"], 2)


def _training(run: Run) -> tuple[bool, int]:
    """Return what else makes a curve: whether the head learned alone at first, and how long the last training is."""
    return bool(value_of(run, "config.head_only_updates", 0)), value_of(run, "config.updates", 0)


def _curves(settings: Sequence[Setting], titles: dict[str, str]) -> list[Curve]:
    usual = Counter(_training(setting.first)[1] for setting in settings).most_common(1)[0][0]
    found = []
    for method, title in titles.items():
        mine: dict[tuple[bool, int], list[Setting]] = {}
        for setting in settings:
            if setting.first["method"] == method:
                mine.setdefault(_training(setting.first), []).append(setting)
        for (frozen, updates), each in sorted(mine.items()):
            points = {
                sparsity: best_on_dev([one for one in each if _sparsity(one.first) == sparsity])
                for sparsity in sorted({_sparsity(one.first) for one in each})
            }
            length = "" if updates == usual else f", {updates} updates"
            found.append(Curve(f"{title}{', frozen at first' if frozen else ''}{length}", points))
    return found


def pruning_grids(evidence: Evidence) -> list[Grid]:
    """Collect the pruning runs by place, with the dense runs of the same place beside them."""
    places: dict[Place, list[Setting]] = {}
    for setting in evidence.settings:
        run = setting.first
        data = (run["data"]["name"], setting.budget, run["language"])
        place = (run["backbone"], *data, error_name(run), clipped_at(run))
        places.setdefault(place, []).append(setting)
    grids = [
        Grid(place, _curves(each, DENSE), _curves(each, TITLES)) for place, each in sorted(places.items())
    ]
    return [grid for grid in grids if grid.curves]


def _table(grid: Grid, cell: Callable[[Setting], str]) -> str:
    rows = [[curve.title, cell(curve.points[0.0]), *[""] * len(grid.sparsities)] for curve in grid.references]
    for curve in grid.curves:
        cells = [cell(curve.points[s]) if s in curve.points else "" for s in grid.sparsities]
        rows.append([curve.title, "", *cells])
    return markdown(Table(["method", "dense", *(number(s) for s in grid.sparsities)], rows))


def _cost(setting: Setting) -> str:
    return f"{number(setting.stat('cost.updates').mean, 0)} / {number(setting.stat('cost.wall_s').mean, 0)}"


def _one_place(grid: Grid) -> str:
    name = grid.error
    return "\n\n".join(
        [
            f"**{grid.title}.** Test {name} by sparsity, the fraction removed of the pruned set."
            f"{manifests_note(grid.settings)}",
            _table(grid, lambda setting: spread(setting.error("test"))),
            f"![{name} against sparsity, all pruning methods: {grid.title}]({grid.figure})",
            f"Dev {name}:",
            _table(grid, lambda setting: spread(setting.error("dev"))),
            "Updates / seconds of all stages together; a dense finetuning that several methods share counts in "
            "each:",
            _table(grid, _cost),
            "Bytes per language: the values that survive, one bit for each weight of the pruned set, the other "
            "weights, the head:",
            _table(grid, lambda setting: size(setting.stat("size.bytes_per_language").mean)),
            commands(grid.settings),
        ]
    )


def pruning(evidence: Evidence) -> str:
    """Make the section on pruning."""
    blocks = [_one_place(grid) for grid in pruning_grids(evidence)]
    note = f"Gradients are clipped at {USUAL:g} where no other limit is told."
    return "\n\n".join([f"{SEEDS_NOTE} {DEV_SELECTS} {note}", *(blocks or [NOTHING])])


def pruning_figures(evidence: Evidence) -> dict[str, tuple[dict, dict, str, str]]:
    """Return the figures of the section: test error against sparsity, every method, dense as lines.

    Parameters
    ----------
    evidence : Evidence
        The committed runs.

    Returns
    -------
    dict
        By path from the project's root: curves, levels, title and error name for `plot_sparsity_curve`.
    """
    return {
        grid.figure: (
            {c.title: [(s, each.error("test")) for s, each in c.points.items()] for c in grid.curves},
            {c.title: c.points[0.0].error("test").mean for c in grid.references},
            grid.title,
            f"test {grid.error}",
        )
        for grid in pruning_grids(evidence)
    }
