"""Compressed networks by place (backbone, data, language, clipping), the dense one beside them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from s3_speechbrain.report.clipping import clipped_at, clipping_note, clipping_slug
from s3_speechbrain.report.main_table import DEV_SELECTS, SEEDS_NOTE, commands, manifests_note
from s3_speechbrain.report.runs import Evidence, Run, Setting, Stat, best_on_dev, budget_label
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.sweep import FIGURES, slug
from s3_speechbrain.report.tables import Table, markdown

RECIPE = "s6_damon"
DENSE = "dense finetuning"
Place = tuple[str, str, int, str, float]
Curves = dict[str, list[tuple[float, Stat]]]
Figure = tuple[Curves, dict[str, float], str, str]


def place_of(setting: Setting) -> Place:
    """Return backbone, corpus, minutes of training data, language and limit of the gradients' norm of a setting."""
    run = setting.first
    return (run["backbone"], run["data"]["name"], setting.budget, run["language"], clipped_at(run))


def places(evidence: Evidence, wanted: Callable[[Run], bool]) -> dict[Place, list[Setting]]:
    """Collect the settings of the recipe that are wanted, by place."""
    found: dict[Place, list[Setting]] = {}
    for setting in evidence.settings:
        if setting.first["recipe"] == RECIPE and wanted(setting.first):
            found.setdefault(place_of(setting), []).append(setting)
    return dict(sorted(found.items()))


def network_updates(run: Run) -> int:
    """Count the updates of the stages that train the network itself: no detector, no teacher that it leaves aside."""
    stages = [stage for stage in value_of(run, "cost.stages", []) if "detector" not in stage["name"]]
    if value_of(run, "config.start_from") in ("pretrained", "scratch"):
        stages = stages[-1:]
    return sum(stage["updates"] for stage in stages) or run["cost"]["updates"]


def dense_at(evidence: Evidence, place: Place, settings: Sequence[Setting]) -> Setting | None:
    """Choose on dev the dense finetuning of a place; of those that train as long as most settings, if any do."""
    methods = ("dense", "dense_freeze")
    found = [s for s in evidence.settings if place_of(s) == place and s.first["method"] in methods]
    usual = Counter(network_updates(setting.first) for setting in settings).most_common(1)
    as_long = [s for s in found if usual and network_updates(s.first) == usual[0][0]]
    return best_on_dev(as_long or found)


def dense_title(setting: Setting) -> str:
    """Name a dense finetuning with its length."""
    return f"{DENSE}, {setting.first['cost']['updates']} updates"


def place_title(place: Place) -> str:
    """Name a place in titles."""
    backbone, corpus, budget, language, limit = place
    return f"{language}, {backbone}, {budget_label(budget)} of {corpus}{clipping_note(limit)}"


def figure_path(place: Place, name: str) -> str:
    """Return the path of a place's figure from the project's root."""
    backbone, corpus, budget, language, limit = place
    parts = [backbone, corpus, f"{budget}min", language, *clipping_slug(limit)]
    return f"{FIGURES}/{name}_{'_'.join(map(slug, parts))}.png"


def macs_share(setting: Setting) -> float | None:
    """Return the MACs as a share of the dense encoder's, the mean of the seeds; 1 for a dense run."""
    left, dense = setting.stat("macs.total"), setting.stat("macs.dense_total")
    if left and dense:
        return left.mean / dense.mean
    return 1.0 if setting.first["recipe"] != RECIPE else None


def time_share(setting: Setting) -> float | None:
    """Return the real-time factor as a share of the dense network's, timed in turns; 1 for a dense run."""
    left, dense = setting.stat("speed.rtf"), setting.stat("speed.dense_rtf")
    if left and dense:
        return left.mean / dense.mean
    return 1.0 if setting.first["recipe"] != RECIPE else None


def best_curves(
    settings: Iterable[Setting],
    title: Callable[[Setting], str],
    goal: Callable[[Run], object],
    where: Callable[[Setting], float | None],
) -> Curves:
    """Draw each method as a curve: for every goal that was set, the setting that dev chooses.

    Parameters
    ----------
    settings : iterable of Setting
        Of one place.
    title : callable
        Name of a setting's curve.
    goal : callable
        What a run was asked for; settings of one curve with the same goal compete.
    where : callable
        Place of a setting along the axis; None leaves it out.

    Returns
    -------
    dict
        Title to points (place, pooled test error), from the left to the right.
    """
    rivals: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        rivals.setdefault((title(setting), str(goal(setting.first))), []).append(setting)
    curves: Curves = {}
    for (name, _), candidates in rivals.items():
        best = best_on_dev(candidates)
        along = where(best)
        if along is not None:
            curves.setdefault(name, []).append((round(along, 4), best.error("test")))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in curves.items()}


def figure(evidence: Evidence, place: Place, settings: list[Setting], curves: Curves) -> Figure:
    """Put curves, the level of dense finetuning, title and error name together for `plot_sparsity_curve`."""
    dense = dense_at(evidence, place, settings)
    levels = {dense_title(dense): dense.error("test").mean} if dense else {}
    return curves, levels, place_title(place), f"test {error_name(settings[0].first)}"


def comparison(
    evidence: Evidence,
    place: Place,
    settings: Sequence[Setting],
    row: Callable[[Setting], list[str]],
    header: Sequence[str],
    *,
    intro: str,
    name: str,
    against: str,
) -> str:
    """Write the settings of a place below the dense finetuning: what is shown, a table, a figure, the commands.

    Parameters
    ----------
    evidence, place, settings
        As from `places`.
    row : callable
        Cells of a setting, of the dense one too.
    header : sequence of str
        Titles of the cells, with ``{error}`` for the name of the error rate; the first two are texts.
    intro : str
        What the columns mean.
    name, against : str
        Of the figure: its file, and what is on its horizontal axis.

    Returns
    -------
    str
        Markdown.
    """
    dense, error = dense_at(evidence, place, settings), error_name(settings[0].first)
    shown = [*([dense] if dense else []), *settings]
    titles = [title.format(error=error) for title in header]
    return "\n\n".join(
        [
            f"**{place_title(place)}.** {intro}{manifests_note(shown)}",
            markdown(Table(titles, [row(setting) for setting in shown], 2)),
            f"![{error} against {against}: {place_title(place)}]({figure_path(place, name)})",
            commands(shown),
        ]
    )


@dataclass(frozen=True)
class Part:
    """A section that compares methods by place: what its table, its figure and its introduction show.

    Attributes
    ----------
    name, against, intro, nothing : str
        Of the figures' files; what is on their horizontal axis; what the columns mean; the text without any run.
    header : sequence of str
        As for `comparison`.
    found : callable
        Evidence to the settings of each place.
    row : callable
        Setting to cells.
    ablation : callable
        Says what makes a run an ablation, which figures leave out; an empty text for none.
    title, goal, where : callable
        As for `best_curves`.
    """

    name: str
    against: str
    intro: str
    nothing: str
    header: Sequence[str]
    found: Callable[[Evidence], Mapping[Place, list[Setting]]]
    row: Callable[[Setting], list[str]]
    ablation: Callable[[Run], str]
    title: Callable[[Setting], str]
    goal: Callable[[Run], object]
    where: Callable[[Setting], float | None]

    def section(self, evidence: Evidence) -> str:
        """Make the section: a comparison for each place."""
        shown = {"intro": self.intro, "name": self.name, "against": self.against}
        blocks = [
            comparison(evidence, place, settings, self.row, self.header, **shown)
            for place, settings in self.found(evidence).items()
        ]
        return "\n\n".join([f"{SEEDS_NOTE} {DEV_SELECTS}", *(blocks or [self.nothing])])

    def figures(self, evidence: Evidence) -> dict[str, Figure]:
        """Return a figure for each place, by path, of the settings that are no ablation."""
        found = {}
        for place, settings in self.found(evidence).items():
            usual = [setting for setting in settings if not self.ablation(setting.first)]
            drawn = best_curves(usual, title=self.title, goal=self.goal, where=self.where)
            if drawn:
                found[figure_path(place, self.name)] = figure(evidence, place, usual, drawn)
        return found


def differences(run: Run, usual: Mapping[str, object]) -> str:
    """Say in which recorded settings a run differs from the usual ones; an empty text for none."""
    parts = []
    for name, value in usual.items():
        found = value_of(run, f"config.{name}", value)
        if found != value:
            parts.append(f"{name.split('.')[-1]} {found}")
    return ", ".join(parts)
