"""SAFARI's rounds and their baselines on one encoder: to be asked before and told after every update."""

from torch import Tensor, nn
from torch.optim import Optimizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.config import StructuredConfig
from s3_speechbrain.structured.costs import unit_cost
from s3_speechbrain.structured.importance import chance, comparable, magnitude
from s3_speechbrain.structured.masks import (
    change_,
    collected,
    forget_,
    hold_,
    kept_units,
    set_modes_,
    snapshot,
    zero_,
)
from s3_speechbrain.structured.selection import adjust, select
from s3_speechbrain.structured.units import find_units, parameter_at

SUMS = ("gradient", "contribution")  # scores that are collected in training


class Rounds:
    """Sparsify, finetune, adjust, on an encoder whose weights something else trains.

    All state lies in the encoder (`UnitMask`): a run that loads its `state_dict` and knows its update number
    goes on as if it had not stopped.

    Parameters
    ----------
    encoder : nn.Module
        As for `find_units`; gets masks, all units active.
    config : StructuredConfig
        What to do.
    updates : int
        Length of the run.

    Raises
    ------
    UserError
        If the budget cannot be met, or weights of the units do not learn.

    Examples
    --------
    >>> rounds = Rounds(encoder, StructuredConfig(keep=0.5), updates=400)  # doctest: +SKIP
    >>> rounds.after(0, optimizer)  # doctest: +SKIP
    >>> for update in range(400):  # doctest: +SKIP
    ...     rounds.before(update)
    ...     train_one_step()
    ...     rounds.after(update + 1, optimizer)
    """

    def __init__(self, encoder: nn.Module, config: StructuredConfig, updates: int) -> None:
        self.encoder, self.config = encoder, config
        self.plan = config.plan(updates)
        self.units = find_units(encoder, config.kinds)
        for group in self.units.values():
            if not all(parameter_at(encoder, part.parameter).requires_grad for part in group.parts):
                raise UserError(
                    f"The {group.kind} of {group.place} are frozen, and what is left must adapt: train these weights "
                    "(channels need freeze_extractor: False), or take them out of kinds."
                )
        self.cost = unit_cost(encoder, self.units, config.budget, config.seconds)
        self.budget = self.cost.budget(config.keep)
        select(
            chance(self.units, config.seed), self.cost, self.budget, config.floor
        )  # an impossible floor shows now
        self.pretrained = snapshot(encoder, self.units) if config.grow_from == "pretrained" else None
        self.check_gradients(0)
        hold_(encoder, self.units)

    def grow_from_(self, encoder: nn.Module) -> None:
        """Take the weights of units that come from another encoder of the same shape, with ``grow_from: pretrained``.

        Without it they are what this encoder had at first: finetuned ones where it had been finetuned.
        """
        self.pretrained = snapshot(encoder, self.units)

    @property
    def _informed(self) -> set[str]:
        """The events that gradients decide."""
        if self.config.score in SUMS and self.config.strategy != "random":
            return {"select", "adjust", "reprune"}
        return {"adjust"} if self.config.grow in SUMS else set()

    def check_gradients(self, held: int) -> None:
        """Refuse a plan in which gradients decide something before there are any.

        Parameters
        ----------
        held : int
            For so many updates the head learns alone, and the units get no gradient.

        Raises
        ------
        UserError
            If so; scores would all be equal, and units would be chosen by their place.
        """
        first = self.plan.first_of(self._informed)
        if first is not None and first <= held:
            raise UserError(
                f"Units are chosen by gradients after {first} updates, and get none in the first {held}: begin or "
                "adjust later, or let the head learn alone for a shorter time."
            )

    def before(self, update: int, loss_scale: float = 1.0) -> None:
        """Prepare the masks for the training step that follows so many updates; its loss may be scaled (fp16)."""
        collecting = self.plan.collecting(update, self._informed)
        set_modes_(self.encoder, self.units, self.plan.enforced(update), collecting, loss_scale)

    def after(self, update: int, optimizer: Optimizer | None = None) -> str | None:
        """Do what is due after so many updates; returns its name, as `Plan.event`."""
        event = self.plan.event(update)
        if event is None:
            return None
        if event == "adjust":
            self._change(self._adjusted(update), optimizer)
        elif self.plan.parp:
            # PARP keeps the optimiser's state, so that what is zeroed moves on at once.
            change_(self.encoder, self.units, self._selected(), start="held")
            zero_(self.encoder, self.units)
            if self.plan.enforced(update):
                gone = {name: ~keep for name, keep in self.kept().items()}
                forget_(self.encoder, self.units, gone, optimizer)
        else:
            self._change(self._selected(), optimizer)
        return event

    def kept(self) -> dict[str, Tensor]:
        """Return the active units, as `kept_units`."""
        return kept_units(self.encoder, self.units)

    def _change(self, keep: dict[str, Tensor], optimizer: Optimizer | None) -> None:
        change_(self.encoder, self.units, keep, optimizer, self.config.grow_from, self.pretrained)

    def _selected(self) -> dict[str, Tensor]:
        if self.config.strategy == "random":
            scores = chance(self.units, self.config.seed)
        else:
            scores = self._scores(self.config.score)
        return select(scores, self.cost, self.budget, self.config.floor)

    def _adjusted(self, update: int) -> dict[str, Tensor]:
        if self.config.grow == "random":
            wanted = chance(self.units, self.config.seed + update)
        else:
            wanted = self._scores(self.config.grow)
        drop = self.plan.drop_at(update)
        present = self._scores(self.config.score)
        return adjust(self.kept(), present, wanted, drop, self.cost, self.budget, self.config.floor)

    def _scores(self, what: str) -> dict[str, Tensor]:
        if what == "magnitude":
            scores = magnitude(self.encoder, self.units, self.config.side)
        else:
            scores = collected(self.encoder, self.units, what)
        return comparable(scores, self.config.scale)
