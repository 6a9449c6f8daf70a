"""Claims as data, and the rules that turn comparisons into verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from s3_speechbrain.report.main_table import CORPUS
from s3_speechbrain.report.paired import Difference, compare, paired, sign_test
from s3_speechbrain.report.runs import Evidence, Setting
from s3_speechbrain.report.scatter import Scatters

HOLDS, FAILS, UNDECIDED, MISSING = "holds", "does not hold", "undecided", "not measured"
NOISE = 3.0  # percent: what "as good as" allows
LEVEL = 0.05


@dataclass(frozen=True)
class Contender:
    """One side of a comparison: its name in tables, and its runs in each language."""

    title: str
    settings: Mapping[str, Setting]

    def only(self, places: Sequence[str]) -> "Contender":
        """Return it in some of its languages."""
        return replace(self, settings={place: self.settings[place] for place in places})


@dataclass(frozen=True)
class Comparison:
    """Two contenders with the rule that judges them.

    Attributes
    ----------
    ours, theirs : Contender
        Compared in the languages that both have.
    margin : float
        0 asks whether ours is better; M asks whether it is no worse than by M percent of the other's error.
    main : bool
        Whether the claim's verdict depends on it.
    scatters : Scatters, optional
        What seeds change, in the evidence that both come from.
    """

    ours: Contender
    theirs: Contender
    margin: float = 0.0
    main: bool = True
    scatters: Scatters | None = None

    @cached_property
    def difference(self) -> Difference | None:
        """What the comparison finds; None where no language has both."""
        shared = [place for place in self.ours.settings if place in self.theirs.settings]
        sides = self.ours.settings, self.theirs.settings
        return compare({place: paired(*(each[place] for each in sides), self.scatters) for place in shared})

    @property
    def verdict(self) -> str:
        """One of the four verdicts."""
        return MISSING if self.difference is None else verdict_of(self.difference, self.margin)

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.ours.title} against {self.theirs.title}"

    @property
    def rule(self) -> str:
        """What would make it hold."""
        return "better" if self.margin == 0 else f"no worse than by {self.margin:g} %"


@dataclass(frozen=True)
class Fact:
    """A part of a claim that is no comparison of error rates: what is meant, what was found, its verdict."""

    title: str
    found: str
    verdict: str
    main: bool = True
    rule: str = ""
    behind: str = ""


Part = Comparison | Fact

# what grids are given, where it is something else than the corpus of the main table
GIVEN = {
    "more_languages": "--data kerstin=PATH --data nemo=PATH --data bd-4sk-asr=PATH",
    "text": "--data movie=PATH",
    "whisper": f"--data {CORPUS}=PATH --data bd-4sk-asr=PATH --source whisper-base-encoder=PATH",
}


@dataclass(frozen=True)
class Claim:
    """What a paper claims.

    Attributes
    ----------
    name : str
        Of its block in pages.
    numeral : str
        Its number.
    paper : str
        Short name.
    sentence : str
        The claim.
    published : str
        Numbers that the paper reports, with their source.
    grids : tuple of str
        The experiments that make the evidence, the main ones first.
    parts : callable
        Evidence to comparisons and facts.
    explanation : str
        One sentence: what is compared, and how to read it.
    goal : str
        What this project aims at, where it is another number than the paper's.
    after : str
        A command to run after the grids, where one is needed.
    """

    name: str
    numeral: str
    paper: str
    sentence: str
    published: str
    grids: tuple[str, ...]
    parts: Callable[[Evidence], Sequence[Part]]
    explanation: str
    goal: str = ""
    after: str = ""

    @property
    def commands(self) -> list[str]:
        """The commands that make the evidence."""
        run = "python -m s3_speechbrain.experiments run"
        found = [
            f"{run} experiments/{grid}.yaml {GIVEN.get(grid, f'--data {CORPUS}=PATH')}" for grid in self.grids
        ]
        return [*found, *([self.after] if self.after else [])]


def verdict_of(difference: Difference, margin: float = 0.0) -> str:
    """Judge a difference: better than the other side (margin 0), or no worse than by a margin in percent.

    With an interval, the claim holds if all of it is below the margin and does not hold if all of it is above. Without
    one, all pairs of language and seed have to agree, and be so many that the exact two-sided sign test gives less
    than `LEVEL`, that is six or more.
    """
    if difference.interval is None:
        return _by_signs(difference.changes, margin)
    low, high = difference.interval
    return HOLDS if high < margin else FAILS if low > margin else UNDECIDED


def _by_signs(changes: Sequence[float], margin: float) -> str:
    below = [change < margin for change in changes]
    if sign_test(changes, margin) >= LEVEL:
        return UNDECIDED
    return HOLDS if all(below) else UNDECIDED if any(below) else FAILS


def combined(parts: Sequence[Part]) -> str:
    """Judge a claim by its main parts: all have to hold, and one that does not hold decides."""
    verdicts = [part.verdict for part in parts if part.main]
    if all(verdict == MISSING for verdict in verdicts):
        return MISSING
    if FAILS in verdicts:
        return FAILS
    return HOLDS if all(verdict == HOLDS for verdict in verdicts) else UNDECIDED


def share_of(parts: Sequence[Part]) -> str:
    """Count the verdicts of the main parts: ``3 hold, 1 undecided``."""
    verdicts = [part.verdict for part in parts if part.main]
    names = {HOLDS: "hold", FAILS: "do not hold", UNDECIDED: "undecided", MISSING: "not measured"}
    return ", ".join(f"{verdicts.count(name)} {word}" for name, word in names.items() if name in verdicts)
