"""What is removed, how much of it, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.costs import BUDGETS
from s3_speechbrain.structured.importance import SIDES
from s3_speechbrain.structured.masks import STARTS
from s3_speechbrain.structured.schedules import STRATEGIES, Plan
from s3_speechbrain.structured.units import KINDS

GROWTHS = ("gradient", "random")


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
    side : {"unit", "columns"}
        Which weights of a unit are ranked, and for PARP also set to zero.
    start, until : float
        Shares of the run: when units are removed, and until when they are adjusted.
    every : int
        Updates between two adjustments or re-prunes.
    drop : float
        Share of the active units that the first adjustment drops, measured in what they cost.
    window : int
        Updates before an adjustment whose gradients decide what grows.
    grow : {"gradient", "random"}
        How the units to grow are chosen.
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
    side: str = "unit"
    start: float = 0.0
    until: float = 0.6
    every: int = 20
    drop: float = 0.3
    window: int = 8
    grow: str = "gradient"
    grow_from: str = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("strategy", STRATEGIES),
            ("budget", BUDGETS),
            ("side", SIDES),
            ("grow", GROWTHS),
            ("grow_from", STARTS),
        ):
            if getattr(self, name) not in choices:
                raise UserError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}.")
        unknown = sorted(set(self.floor) - set(KINDS))
        if unknown:
            raise UserError(f"floor names {unknown[0]!r}: its keys are kinds of units, {', '.join(KINDS)}.")
        if not self.seconds > 0:
            raise UserError(f"seconds is {self.seconds}: give the length of a clip above 0.")

    def plan(self, updates: int) -> Plan:
        """Lay the shares out over a number of updates."""
        start, until = round(self.start * updates), round(self.until * updates)
        return Plan(self.strategy, updates, start, until, self.every, self.drop, min(self.window, self.every))
