"""The Brain of recognisers with a token selector: CTC training on fewer frames, and a count of them."""

from dataclasses import dataclass
from typing import Any

import speechbrain as sb
from torch import Tensor, nn

from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.tokens import Shortened


@dataclass
class TokenCount:
    """Frames that went into a selector, that came out, and that came out for CTC's sake alone."""

    frames: int = 0
    kept: int = 0
    reinserted: int = 0

    def add(self, frames: Tensor, short: Shortened) -> None:
        """Count one batch."""
        self.frames += int(frames.sum())
        self.kept += int(short.frames.sum())
        self.reinserted += int(short.reinserted.sum())

    @property
    def keep_ratio(self) -> float | None:
        """Share of the frames that are left; None before anything was counted."""
        return self.kept / self.frames if self.frames else None

    @property
    def reinserted_share(self) -> float | None:
        """Share of the frames left that the selector alone would have dropped."""
        return self.reinserted / self.kept if self.kept else None


class TokenBrain(CTCBrain):
    """CTC training of a `Recogniser` with a selector; see `CTCBrain` for the parameters.

    Attributes
    ----------
    facts : dict
        What is known about the selector before this training; goes into the field ``tokens`` of the metrics.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.facts: dict[str, Any] = {}
        self.trained_on, self.seen = TokenCount(), TokenCount()
        self.tested: list[float | None] = []
        self.recogniser.selector.register_forward_hook(self._count, with_kwargs=True)

    def _count(self, _selector: nn.Module, args: tuple, kwargs: dict, short: Shortened) -> None:
        # only training knows its targets, and so what CTC needs
        guarded = kwargs.get("needed", args[2] if len(args) > 2 else None) is not None
        (self.trained_on if guarded else self.seen).add(args[1], short)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Begin to count."""
        super().on_stage_start(stage, epoch)
        if stage != sb.Stage.TRAIN:
            self.seen = TokenCount()

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the keep ratio of each test set."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == sb.Stage.TEST:
            self.tested.append(self.seen.keep_ratio)

    def details(self) -> dict[str, Any]:
        """Return the token keep ratio on the first test set, and what is known about the selector."""
        counted = {"keep_ratio": self.tested[0], "reinserted_share": self.trained_on.reinserted_share}
        return {"tokens": {**self.facts, **counted, "cut": self.recogniser.selector.cut}}
