"""The cross-lingual matrix: error on a target language under the mask of a source language."""

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3_speechbrain.report.clipping import clipped_at, clipping_note, clipping_slug
from s3_speechbrain.report.heatmaps import HeatmapFigure
from s3_speechbrain.report.runs import Evidence, Run, Stat, budget_label, run_budget, stat
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.sweep import FIGURES, slug
from s3_speechbrain.report.tables import Table, markdown, number, plain, spread

# method of a run -> what happened to the mask of the source
KINDS = {"omp": "fixed", "baseline_foreign": "fixed", "baseline_parp_foreign": "adjusted"}
TITLES = {"fixed": "mask fixed", "adjusted": "mask adjusted by PARP"}
JOINT = "joint"
NOTHING = "No cross-lingual run yet."
# options of a run that its place in the matrix decides
OWN = ("language", "output_folder", "method", "mask_file", "manifest_folder", "dense_run", "unpack_folder")


@dataclass
class CrossLingual:
    """All cells of one backbone, corpus, amount of training data and sparsity.

    Attributes
    ----------
    place : tuple
        Backbone, corpus, minutes, sparsity, limit of the gradients' norm.
    cells : dict
        (kind, source, target) to the runs, one per seed.
    """

    place: tuple[str, str, int, float, float]
    cells: dict[tuple[str, str, str], list[Run]] = field(default_factory=dict)

    @property
    def targets(self) -> list[str]:
        """The languages that are finetuned on."""
        return sorted({target for *_, target in self.cells})

    @property
    def sources(self) -> list[str]:
        """The languages whose masks are taken, the joint mask last."""
        return sorted({source for _, source, _ in self.cells}, key=lambda name: (name == JOINT, name))

    @property
    def kinds(self) -> list[str]:
        """What was done with the masks."""
        return [kind for kind in TITLES if any(kind == one for one, *_ in self.cells)]

    @property
    def error(self) -> str:
        """The error rate that ranks."""
        return error_name(next(iter(self.cells.values()))[0])

    @property
    def title(self) -> str:
        """Backbone, data and sparsity."""
        backbone, corpus, minutes, sparsity, limit = self.place
        data = f"{budget_label(minutes)} of {corpus}"
        return f"{backbone}, {data}, sparsity {number(sparsity)}{clipping_note(limit)}"

    def cell(self, kind: str, source: str, target: str, split: str = "test") -> Stat | None:
        """Return the error of a cell, pooled over seeds."""
        return stat(run[split][self.error] for run in self.cells.get((kind, source, target), []))

    def change(self, kind: str, source: str, target: str) -> float | None:
        """Return how much higher a cell's test error is than with the target's own mask, in percent of it."""
        here, own = self.cell(kind, source, target), self.cell(kind, target, target)
        return None if here is None or own is None or own.mean == 0 else 100 * (here.mean / own.mean - 1)

    def mean_change(self, kind: str) -> float | None:
        """Return the mean of `change` over all cells with another language's mask."""
        changes = [
            self.change(kind, source, target)
            for source in self.sources
            for target in self.targets
            if source not in (target, JOINT)
        ]
        known = [change for change in changes if change is not None]
        return statistics.fmean(known) if known else None


def source_of(run: Run) -> str | None:
    """Return the language whose mask a run took; None for a run that is no cell of a matrix."""
    if run["method"] not in KINDS:
        return None
    return run["language"] if run["method"] == "omp" else value_of(run, "config.mask_source.language")


def matrices_of(runs: Sequence[Run]) -> list[CrossLingual]:
    """Collect the cells of all matrices; a place with nothing but a language's own masks is none."""
    found: dict[tuple, CrossLingual] = {}
    for run in runs:
        source = source_of(run)
        if source is not None:
            sparsity = round(run["sparsity"]["masked"], 2)
            place = (run["backbone"], run["data"]["name"], run_budget(run), sparsity, clipped_at(run))
            matrix = found.setdefault(place, CrossLingual(place))
            matrix.cells.setdefault((KINDS[run["method"]], source, run["language"]), []).append(run)
    return [
        matrix
        for _, matrix in sorted(found.items())
        if any(source != target for _, source, target in matrix.cells)
    ]


def _table(matrix: CrossLingual, kind: str, split: str = "test") -> Table:
    rows = [
        [source, *(spread(matrix.cell(kind, source, target, split)) for target in matrix.targets)]
        for source in matrix.sources
    ]
    return Table([f"mask from, {split} {matrix.error}", *matrix.targets], rows)


def text_of(matrix: CrossLingual) -> str:
    """Write a matrix for a terminal."""
    tables = [f"{TITLES[kind]}:\n{plain(_table(matrix, kind))}" for kind in matrix.kinds]
    return "\n\n".join([matrix.title, *tables])


def _summary(matrix: CrossLingual) -> str:
    parts = []
    for kind in matrix.kinds:
        change = matrix.mean_change(kind)
        if change is not None:
            parts.append(f"{TITLES[kind]} {'+' if change > 0 else ''}{number(change, 1)} %")
    return f"Another language's mask instead of one's own, mean relative change of the test error: {', '.join(parts)}."


def _shared_options(words: Sequence[str]) -> list[str]:
    """Leave out the options that the place in the matrix decides, with their values, behind ``=`` or a blank."""
    kept: list[str] = []
    ours = True
    for word in words:
        if word.startswith("--"):
            ours = word.removeprefix("--").partition("=")[0] not in OWN
        if ours:
            kept.append(word)
    return kept


def command_of(matrix: CrossLingual) -> str:
    """Return the command that fills the matrix, put together from that of one of its runs."""
    words = shlex.split(next(iter(matrix.cells.values()))[0]["command"])
    kept = _shared_options(words[2:])
    languages = sorted(set(matrix.targets))
    command = ["python", "cross_lingual.py", *kept, f'--languages="[{", ".join(languages)}]"']
    return " ".join([*command, *(["--joint hparams/joint.yaml"] if JOINT in matrix.sources else [])])


def _figure_path(matrix: CrossLingual, kind: str) -> str:
    backbone, corpus, minutes, sparsity, limit = matrix.place
    parts = (backbone, corpus, f"{minutes}min", f"s{number(sparsity)}", kind, *clipping_slug(limit))
    return f"{FIGURES}/cross_lingual_{'_'.join(map(slug, parts))}.png"


def _figure(matrix: CrossLingual, kind: str) -> HeatmapFigure:
    return HeatmapFigure(
        rows=matrix.sources,
        columns=matrix.targets,
        values=[
            [matrix.change(kind, source, target) for target in matrix.targets] for source in matrix.sources
        ],
        title=f"{matrix.error} against one's own mask (%): {TITLES[kind]}",
        digits=1,
    )


def cross_lingual_figures(evidence: Evidence) -> dict[str, HeatmapFigure]:
    """Return the heat maps of all matrices by path from the project's root."""
    return {
        _figure_path(matrix, kind): _figure(matrix, kind)
        for matrix in matrices_of(evidence.runs)
        for kind in matrix.kinds
    }


def _one(matrix: CrossLingual) -> str:
    blocks = [f"**{matrix.title}.** {_summary(matrix)}"]
    for kind in matrix.kinds:
        picture = f"![{_figure(matrix, kind).title}]({_figure_path(matrix, kind)})"
        blocks += [f"{TITLES[kind].capitalize()}:", markdown(_table(matrix, kind)), picture]
    blocks += ["Dev:", *(markdown(_table(matrix, kind, "dev")) for kind in matrix.kinds)]
    return "\n\n".join([*blocks, f"```bash\n{command_of(matrix)}\n```"])


def cross_lingual(evidence: Evidence) -> str:
    """Make the section on masks of other languages."""
    found = [_one(matrix) for matrix in matrices_of(evidence.runs)]
    note = "Rows are the languages that masks come from, columns those that are finetuned on and tested."
    return "\n\n".join([note, *found]) if found else NOTHING
