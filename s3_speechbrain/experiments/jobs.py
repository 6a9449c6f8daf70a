"""Jobs: the cells of grids with their settings and identity; which of them build on which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.experiments.grid import Cell, Grid, needed_cell
from s3_speechbrain.experiments.settings import ELSEWHERE, identity, resolve
from s3_speechbrain.report.provenance import RECORDED, portable_path


@dataclass(frozen=True)
class Link:
    """What a job is given of another one: ``--<option> <its folder>/<inside>``."""

    option: str
    job: str
    inside: str = ""


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes
    ----------
    id : str
        See `identity`.
    label : str
        What it is called; two grids may have other names for one job.
    recipe, program, file, corpus, source : str
        As in `Cell`.
    options : mapping
        What its command sets.
    settings : mapping
        All settings.
    links : tuple of Link
        What it builds on.
    """

    id: str
    label: str
    recipe: str
    file: str
    corpus: str
    source: str
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    links: tuple[Link, ...] = ()
    program: str = "train.py"

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the data; each has results of its own."""
        several = self.settings.get("languages")
        return tuple(map(str, several)) if several else (str(self.settings.get("language", "")),)

    @property
    def is_joint(self) -> bool:
        """Whether it is of a recipe for several languages, be it given one alone: each then has a folder."""
        return bool(self.settings.get("languages"))

    @property
    def language(self) -> str:
        """Of the data, or ``joint``."""
        return "joint" if self.is_joint else self.languages[0]

    @property
    def seed(self) -> int:
        """Of everything random."""
        return int(self.settings.get("seed", 1))

    @property
    def recorded_recipe(self) -> str:
        """What the recipe is called in ``metrics.json``."""
        return RECORDED.get((self.recipe, self.program), Path(self.recipe).name)

    @property
    def backbone(self) -> str:
        """What the backbone is called in the evidence."""
        random = "" if self.settings.get("pretrained", True) else "-random"
        return portable_path(self.source).removeprefix("PATH/") + random

    @property
    def updates(self) -> int:
        """How long its last training is; what stages before it take is learned from finished jobs."""
        whole = self.settings.get("total_updates")
        return int(whole or self.settings.get("updates", 1)) * (1 if whole else len(self.languages))

    @property
    def kind(self) -> str:
        """Jobs of one kind need about the same time per update."""
        told = [self.recipe, self.backbone]
        told += [
            str(self.settings[name]) for name in ("method", "selector", "strategy") if name in self.settings
        ]
        return " ".join(told)

    @property
    def title(self) -> str:
        """Its name in lists."""
        return f"{self.recorded_recipe}/{self.backbone}/{self.language}/{self.label}-seed-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All jobs of some grids by identity, and those of each entry (``GRID: ENTRY``)."""

    jobs: Mapping[str, Job]
    entries: Mapping[str, tuple[str, ...]]


def make_plan(grids: Sequence[Grid], root: Path) -> Plan:
    """Resolve the cells of grids to jobs; a job that stands in two grids is one job.

    Parameters
    ----------
    grids : sequence of Grid
        From `read_grid`.
    root : Path
        The project; recipes are below its ``recipes/``.

    Raises
    ------
    UserError
        If a recipe, file or option is unknown, or needs match nothing, too much, or each other in a circle.
    """
    jobs: dict[str, Job] = {}
    entries: dict[str, tuple[str, ...]] = {}
    for grid in grids:
        made: dict[int, Job] = {}
        for name, cells in grid.cells.items():
            mine = [_job(grid, cell, root, made, ()) for cell in cells]
            if f"{grid.name}: {name}" in entries:
                raise UserError(f"two grids are called {grid.name}; rename one of the files")
            entries[f"{grid.name}: {name}"] = tuple(dict.fromkeys(job.id for job in mine))
            for job in (*made.values(),):
                jobs.setdefault(job.id, job)
    return Plan(jobs, entries)


def _job(grid: Grid, cell: Cell, root: Path, made: dict[int, Job], above: tuple[str, ...]) -> Job:
    if id(cell) in made:
        return made[id(cell)]
    if cell.label in above:
        raise UserError(f"{grid.name}: needs lead in a circle: {' -> '.join([*above, cell.label])}")
    links = []
    for need in cell.needs:
        target = needed_cell(cell, need, grid.cells[need.entry])
        links.append(Link(need.option, _job(grid, target, root, made, (*above, cell.label)).id, need.inside))
    given = {**cell.options, **{need.option: ELSEWHERE for need in cell.needs}}
    if cell.source != "builtin":
        given["source"] = cell.source
    try:
        settings = resolve(root / "recipes" / cell.recipe, cell.file, given, cell.program)
    except UserError as error:
        raise UserError(f"{grid.name}: {cell.entry}: {error}") from None
    if not isinstance(settings.get("seed", 1), int):
        raise UserError(f"{grid.name}: {cell.entry}: seed is {settings['seed']!r}: give whole numbers")
    if settings.get("mode") == "independent":
        raise UserError(
            f"{grid.name}: {cell.entry}: mode independent is a run per language: vary language with another recipe"
        )
    built_on = {link.option: f"{link.job}/{link.inside}" for link in links}
    program = f"{cell.recipe}/{cell.program}".removesuffix("/train.py")
    key = identity(program, settings, cell.corpus, built_on)
    made[id(cell)] = Job(
        key,
        cell.label,
        cell.recipe,
        cell.file,
        cell.corpus,
        cell.source,
        cell.options,
        settings,
        tuple(links),
        cell.program,
    )
    return made[id(cell)]


def with_needed(plan: Plan, wanted: Iterable[str], finished: set[str], here: set[str]) -> list[str]:
    """Choose the jobs to run.

    Parameters
    ----------
    plan : Plan
        All jobs.
    wanted : iterable of str
        Identities of the jobs that are asked for.
    finished : set of str
        Those whose results are known; they are left out.
    here : set of str
        Those whose folder is complete on this machine. A job that builds on another one needs its folder: one that
        is only known from the evidence runs again.

    Returns
    -------
    list of str
        Those that are asked for and missing, and all that these build on; see `order`.
    """
    chosen: dict[str, None] = {}

    def take(key: str) -> None:
        if key in chosen:
            return
        chosen[key] = None
        for link in plan.jobs[key].links:
            if link.job not in here:
                take(link.job)

    for key in wanted:
        if key not in finished:
            take(key)
    return order(plan, chosen)


def order(plan: Plan, chosen: Iterable[str]) -> list[str]:
    """Sort jobs by what is still to do behind them, in updates: the longest chain begins first."""
    chosen = list(chosen)
    behind: dict[str, int] = {}

    def chain(key: str) -> int:
        if key not in behind:
            after = [other for other in chosen if any(link.job == key for link in plan.jobs[other].links)]
            behind[key] = plan.jobs[key].updates + max(map(chain, after), default=0)
        return behind[key]

    return sorted(chosen, key=lambda key: -chain(key))
