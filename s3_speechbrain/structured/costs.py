"""What units cost: parameters or MACs of an encoder as an exact function of how many units each layer keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from torch import nn

from s3_speechbrain.encoders.loading import bare_model
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import plain_name
from s3_speechbrain.macs import operations
from s3_speechbrain.structured.units import UnitGroup

BUDGETS = ("units", "parameters", "transformer_macs", "total_macs")
TRANSFORMER = ("attention", "scores", "ffn")


@dataclass(frozen=True)
class Term:
    """A share of the cost: `amount` for each way to choose one kept unit from each of some groups (0, 1 or 2)."""

    amount: int
    groups: tuple[str, ...] = ()


class Cost:
    """The cost of an encoder: a sum of terms, and quick answers about one unit more.

    Parameters
    ----------
    terms : sequence of Term
        What adds up.
    dense : mapping of str to int
        Number of units in each group when nothing is removed.
    """

    def __init__(self, terms: Sequence[Term], dense: Mapping[str, int]) -> None:
        self.terms = terms
        self.dense = dict(dense)
        self._alone = {name: sum(t.amount for t in terms if t.groups == (name,)) for name in dense}
        self._shared: dict[str, list[tuple[int, str]]] = {name: [] for name in dense}
        for term in terms:
            if len(term.groups) == 2:
                for own, other in (term.groups, term.groups[::-1]):
                    self._shared[own].append((term.amount, other))

    def total(self, counts: Mapping[str, int]) -> int:
        """Return the cost with so many units kept per group."""
        return sum(term.amount * prod(counts[name] for name in term.groups) for term in self.terms)

    def of_one(self, name: str, counts: Mapping[str, int]) -> int:
        """Return what one more unit of a group adds, or one less saves if `counts` is without it."""
        return self._alone[name] + sum(amount * counts[other] for amount, other in self._shared[name])

    @property
    def least(self) -> int:
        """The cost without any unit."""
        return self.total(dict.fromkeys(self.dense, 0))

    def budget(self, keep: float) -> int:
        """Return the largest whole cost that is at most a fraction of the dense one.

        Parameters
        ----------
        keep : float
            In (0, 1]; read as a decimal number, so that 0.1 is one tenth.

        Raises
        ------
        UserError
            If `keep` is not in (0, 1], or lower than what remains without any unit.
        """
        if not 0 < keep <= 1:
            raise UserError(
                f"keep is {keep}: give the fraction of the budget that is kept, above 0, at most 1."
            )
        dense = self.total(self.dense)
        allowed = int(Fraction(repr(float(keep))) * dense)
        if allowed < self.least:
            raise UserError(
                f"keep {keep} cannot be met: {self.least / dense:.3f} remains with all of these units removed; give "
                "more, name more kinds of units, or choose another budget."
            )
        return allowed


def unit_cost(encoder: nn.Module, units: Mapping[str, UnitGroup], budget: str, seconds: float = 10.0) -> Cost:
    """Work out the cost of an encoder's units.

    Parameters
    ----------
    encoder : nn.Module
        As for `find_units`.
    units : mapping of str to UnitGroup
        The units that may be removed, as from `find_units`.
    budget : str
        What is counted: ``units``, the parameters of the given units alone; ``parameters``, all of the encoder;
        ``transformer_macs``, those of attention, scores and FFN; ``total_macs``, also extractor, projection and
        positional convolution (see `s3_speechbrain.macs`).
    seconds : float
        Length of the clip that MACs are counted for; attention scores grow with its square.

    Returns
    -------
    Cost
        Exact, with one exception: the gates that the heads of a WavLM layer share (520 parameters in the base
        model) are counted although `slice_` removes them with the last head.

    Raises
    ------
    UserError
        If there is no such budget.
    """
    if budget not in BUDGETS:
        raise UserError(f"budget is {budget!r}: choose one of {', '.join(BUDGETS)}.")
    owners: dict[str, tuple[str, ...]] = {}
    for name, group in units.items():
        for part in group.parts:
            owners[part.parameter] = (*owners.get(part.parameter, ()), name)
    dense = {name: group.count for name, group in units.items()}
    if budget in ("units", "parameters"):
        amounts = [(value.numel(), owners.get(name, ())) for name, value in _parameters(encoder).items()]
        amounts = [(amount, groups) for amount, groups in amounts if groups or budget == "parameters"]
    else:
        heads = {group.place: (name,) for name, group in units.items() if group.kind == "heads"}
        amounts = [
            (
                op.macs,
                heads.get(op.layer, ()) if op.part == "scores" else owners.get(f"{op.layer}.weight", ()),
            )
            for op in operations(encoder, seconds)
            if budget == "total_macs" or op.part in TRANSFORMER
        ]
    return Cost([Term(amount // prod(dense[g] for g in groups), groups) for amount, groups in amounts], dense)


def _parameters(encoder: nn.Module) -> dict[str, nn.Parameter]:
    prefix, model = bare_model(encoder)
    return {prefix + plain_name(name): value for name, value in model.named_parameters()}
