"""What is removed, how much of it, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.costs import BUDGETS
from s3_speechbrain.structured.importance import SCALES, SIDES
from s3_speechbrain.structured.masks import STARTS
from s3_speechbrain.structured.schedules import STRATEGIES, Plan
from s3_speechbrain.structured.units import KINDS

SCORES = ("magnitude", "contribution")
GROWTHS = ("gradient", "contribution", "random")


@dataclass(frozen=True)
class StructuredConfig:
    """Settings of structured pruning; the defaults are SAFARI as we read it.

    Parameters
    ----------
    strategy : str
        One of `STRATEGIES`; see `Plan`.
    keep : float
        Fraction of the budget that is kept, in (0, 1].
    budget : str
        What is counted; see `unit_cost`.
    seconds : float
        Length of the clip that MACs are counted for.
    kinds : sequence of str
        Which units may go; see `units`.
    floor : mapping of str to int
        By kind, how many units every layer keeps at least; none for a kind that is not named.
    score : {"magnitude", "contribution"}
        What decides which units are removed or dropped: the size of their weights, or how much the loss would
        change without them; see `UnitMask`.
    side : {"unit", "columns"}
        Which weights of a unit are ranked by magnitude.
    scale : {"none", "kind", "group", "rank"}
        What scores are divided by before all units are ranked together; see `comparable`.
    start, until : float
        Shares of the run: when units are removed, and until when they are adjusted.
    every : int
        Updates between two adjustments or re-prunes.
    drop : float
        Share of the active units that the first adjustment drops, measured in what they cost.
    window : int
        Updates whose gradients decide what goes (by contribution) and comes.
    grow : {"gradient", "contribution", "random"}
        How the units to grow are chosen; see `UnitMask`.
    grow_from : {"zero", "held", "pretrained"}
        Their weights; see `change_`.
    seed : int
        Of everything random.

    Raises
    ------
    UserError
        If a setting is not one of the above.
    """

    strategy: str = "safari"
    keep: float = 0.5
    budget: str = "units"
    seconds: float = 10.0
    kinds: Sequence[str] = ("heads", "neurons")
    floor: Mapping[str, int] = field(default_factory=lambda: {"heads": 1, "neurons": 16, "channels": 16})
    score: str = "magnitude"
    side: str = "unit"
    scale: str = "kind"
    start: float = 0.0
    until: float = 0.6
    every: int = 20
    drop: float = 0.1
    window: int = 8
    grow: str = "gradient"
    grow_from: str = "held"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("strategy", STRATEGIES),
            ("budget", BUDGETS),
            ("score", SCORES),
            ("side", SIDES),
            ("scale", SCALES),
            ("grow", GROWTHS),
            ("grow_from", STARTS),
        ):
            if getattr(self, name) not in choices:
                raise UserError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}.")
        if not 0 < self.keep <= 1:
            raise UserError(
                f"keep is {self.keep}: give the fraction of the budget that is kept, above 0, at most 1."
            )
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not self.kinds:
            raise UserError(f"kinds are {list(self.kinds)}: choose of {', '.join(KINDS)}.")
        if not 0 <= self.start <= self.until <= 1:
            raise UserError(
                f"start is {self.start} and until {self.until}: give shares of the run in this order."
            )
        self.plan(1000)  # refuses other numbers that are out of range, long before a run gets there
        unknown = sorted(set(self.floor) - set(KINDS))
        if unknown:
            raise UserError(f"floor names {unknown[0]!r}: its keys are kinds of units, {', '.join(KINDS)}.")
        early = self.start == 0 or self.strategy == "one_shot"
        if self.score == "contribution" and self.strategy != "random" and early:
            raise UserError(
                "score contribution needs gradients before units are removed: begin later, for example after a "
                "twentieth of the updates, with another strategy than one_shot."
            )
        if not self.seconds > 0:
            raise UserError(f"seconds is {self.seconds}: give the length of a clip above 0.")

    @property
    def used(self) -> dict[str, Any]:
        """The settings that matter for this strategy, for the record of a run."""
        ranked, adjusted = self.strategy != "random", self.strategy == "safari"
        collected = self.score == "contribution" or (adjusted and self.grow != "random")
        names = ["strategy", "keep", "budget", "kinds", "floor"]
        names += ["seconds"] * self.budget.endswith("macs")
        names += ["score", "scale"] * ranked
        names += ["side"] * (ranked and self.score == "magnitude")
        names += ["start"] * (self.strategy != "one_shot")
        names += ["every"] * (adjusted or self.strategy.startswith("parp"))
        names += ["until"] * (adjusted or self.strategy == "parp_final")
        names += ["drop", "grow", "grow_from"] * adjusted
        names += ["window"] * (ranked and collected)
        return {name: getattr(self, name) for name in names}

    def plan(self, updates: int) -> Plan:
        """Lay the shares out over a number of updates."""
        start, until = round(self.start * updates), round(self.until * updates)
        return Plan(self.strategy, updates, start, until, self.every, self.drop, min(self.window, self.every))
