"""Which runs stand on each side of a comparison: settings of a method compete on dev, within a language."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from s3_speechbrain.report.claims.model import Comparison, Contender
from s3_speechbrain.report.clipping import USUAL, clipped_at, clipped_like, clipping_note
from s3_speechbrain.report.main_table import BACKBONE, CORPUS, MINUTES, UPDATES
from s3_speechbrain.report.runs import (
    Evidence,
    Run,
    Setting,
    best_on_dev,
    data_label,
    run_budget,
    updates_per_language,
)
from s3_speechbrain.report.schema import error_name, value_of

Wanted = Callable[[Run], object]
Candidates = Mapping[str, Sequence[Setting]]
TWICE = 2 * UPDATES  # as many updates as two stages take together


def built_in(run: Run) -> bool:
    """Tell whether a run is of speech, on the built-in backbone, scored by characters."""
    return run["backbone"] == BACKBONE and error_name(run) == "CER"


def place_name(run: Run) -> str:
    """Return the language; with corpus and amount of data where they are not those of the main table."""
    corpus, language = run["data"]["name"], run["language"]
    if (corpus, run_budget(run)) == (CORPUS, MINUTES):
        return language
    return f"{language} ({corpus}, {data_label(run)})"


def removed(run: Run) -> float:
    """Return the sparsity as tables show it: 0.4998 is a point of the column 0.5."""
    return round(run["sparsity"]["masked"], 2)


def trained_for(run: Run) -> float | None:
    """Return the updates of a run's last training, for each of its languages."""
    return updates_per_language(run)


def option(run: Run, name: str, default: object = None) -> object:
    """Return a recorded setting."""
    return value_of(run, f"config.{name}", default)


def candidates(evidence: Evidence, wanted: Wanted) -> Candidates:
    """Collect by language the settings of the built-in backbone that are wanted."""
    return gathered(evidence, lambda run: built_in(run) and wanted(run))


def gathered(evidence: Evidence, wanted: Wanted) -> Candidates:
    """Collect by language the settings that are wanted, of any backbone."""
    found: dict[str, list[Setting]] = {}
    for setting in evidence.settings:
        if wanted(setting.first):
            found.setdefault(place_name(setting.first), []).append(setting)
    return found


def best(title: str, rivals: Candidates) -> Contender:
    """Let dev choose one setting in each language."""
    return Contender(title, {place: best_on_dev(each) for place, each in rivals.items()})


def pooled(title: str, rivals: Candidates, by: Callable[[Run], object]) -> Contender:
    """Let dev choose a setting in each group of a language; take their runs together, as if they were seeds of one."""
    merged = {}
    for place, each in rivals.items():
        groups: dict[object, list[Setting]] = {}
        for setting in each:
            groups.setdefault(by(setting.first), []).append(setting)
        runs = [run for group in groups.values() for run in best_on_dev(group).runs]
        merged[place] = Setting(tuple(sorted(runs, key=lambda run: run["seed"])))
    return Contender(title, merged)


def versus(
    ours: tuple[str, Candidates],
    theirs: tuple[str, Candidates],
    margin: float = 0.0,
    main: bool = True,
    same_length: bool = True,
) -> Comparison:
    """Compare what dev chooses of two methods, clipped alike and trained equally long where both were.

    Parameters
    ----------
    ours, theirs : (str, mapping)
        Title and candidates.
    margin, main
        As of `Comparison`.
    same_length : bool
        Restrict both sides, in each language, to a number of updates that both have: that of the main table if it
        is among them, else the smallest. Where none is shared nothing is left out; tables tell the updates.
    """
    sides = recorded_alike(ours[1], theirs[1])
    for place in set(sides[0]) & set(sides[1]) if same_length else ():
        both = set.intersection(*({trained_for(s.first) for s in side[place]} for side in sides)) - {None}
        if both:
            length = UPDATES if UPDATES in both else min(both)
            for side in sides:
                side[place] = [s for s in side[place] if trained_for(s.first) == length]
    for place in set(sides[0]) & set(sides[1]):
        ours_here, theirs_here = (side[place] for side in sides)
        sides[0][place] = clipped_like(ours_here, theirs_here)
        sides[1][place] = clipped_like(theirs_here, ours_here)
    chosen = [best(title, side) for (title, _), side in zip((ours, theirs), sides, strict=True)]
    return Comparison(*chosen, margin, main)


def recorded_alike(ours: Candidates, theirs: Candidates) -> list[dict[str, Sequence[Setting]]]:
    """Leave out settings that did not record their utterances in each language where both sides have some that did.

    Older runs did not; they may also differ in what was recorded of their settings, so that both would compete.
    """
    sides = [dict(ours), dict(theirs)]
    for place in set(ours) & set(theirs):
        left = [[s for s in side[place] if all("utterances" in run for run in s.runs)] for side in sides]
        if all(left):
            for side, settings in zip(sides, left, strict=True):
                side[place] = settings
    return sides


def against_all(
    ours: tuple[str, Candidates],
    rivals: Iterable[tuple[str, Candidates]],
    margin: float = 0.0,
    main: bool = True,
) -> list[Comparison]:
    """Compare one method with several."""
    return [versus(ours, each, margin, main) for each in rivals]


def clipped_otherwise(evidence: Evidence, title: str, wanted: Wanted) -> list[Comparison]:
    """Compare a method with itself at every limit of the gradient's norm that was tried beside the usual one."""
    found = candidates(evidence, wanted)
    limits = {clipped_at(setting.first) for each in found.values() for setting in each} - {USUAL}
    usual = candidates(evidence, lambda run: wanted(run) and clipped_at(run) == USUAL)
    return [
        versus(
            (
                title + clipping_note(limit),
                candidates(evidence, lambda run, n=limit: wanted(run) and clipped_at(run) == n),
            ),
            (f"{title}, at the usual limit", usual),
            main=False,
        )
        for limit in sorted(limits)
    ]


def variants(
    evidence: Evidence,
    wanted: Wanted,
    name: str,
    usual: object,
    fixed: Sequence[str],
    margin: float = 0.0,
    main: bool = True,
) -> list[Comparison]:
    """Compare the usual value of a setting with each other value that was run.

    Parameters
    ----------
    evidence, wanted
        The runs among which.
    name : str
        The recorded setting.
    usual : object
        Its value on our side.
    fixed : sequence of str
        Recorded settings that have to be equal on both sides; what is not named competes on dev.
    margin, main
        As of `Comparison`.
    """
    found = candidates(evidence, wanted)
    values = {_text(option(s.first, name)): option(s.first, name) for each in found.values() for s in each}
    others = [value for _, value in sorted(values.items()) if value not in (usual, None)]
    return [
        versus((_text(usual), ours), (_text(other), theirs), margin, main)
        for other in others
        for ours, theirs in [_alike(found, name, (usual, other), fixed)]
    ]


def _alike(
    found: Candidates, name: str, values: tuple[object, object], fixed: Sequence[str]
) -> tuple[Candidates, Candidates]:
    """Split candidates by two values of a setting; of what is fixed, keep one choice that both sides have.

    Where they have several, it is the one tried with the most seeds, then the one that is best on dev for both.
    """
    sides: tuple[dict[str, list[Setting]], dict[str, list[Setting]]] = ({}, {})
    for place, each in found.items():
        split = [[s for s in each if option(s.first, name) == value] for value in values]
        keys = [{_fixed(s.first, fixed) for s in part} for part in split]
        rivals = [
            [[s for s in part if _fixed(s.first, fixed) == key] for part in split]
            for key in sorted(keys[0] & keys[1])
        ]
        for side, left in zip(sides, min(rivals, key=_rank) if rivals else ((), ()), strict=True):
            side.update({place: left} if left else {})
    return sides


def _rank(sides: Sequence[Sequence[Setting]]) -> tuple[bool, int, float]:
    chosen = [best_on_dev(side[""]) for side in recorded_alike({"": sides[0]}, {"": sides[1]})]
    told = all("utterances" in run for setting in chosen for run in setting.runs)
    return not told, -min(len(s.runs) for s in chosen), sum(s.error("dev").mean for s in chosen)


def _fixed(run: Run, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(option(run, name)) for name in names)


def _text(value: object) -> str:
    words = " + ".join(map(str, value)) if isinstance(value, list) else str(value)
    return words.replace("_", " ")
