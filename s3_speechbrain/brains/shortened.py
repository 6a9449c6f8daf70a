"""The Brain of recognisers with a token selector: CTC training on fewer frames, and a count of them."""

from dataclasses import dataclass
from typing import Any

import speechbrain as sb
from torch import Tensor, nn

from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.state import JsonState
from s3_speechbrain.macs import count_macs
from s3_speechbrain.tokens import Shortened


@dataclass
class TokenCount(JsonState):
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
    inherited : list of Tensor
        Weights that a teacher has finetuned and this training leaves alone; they are the language's own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.facts: dict[str, Any] = {}
        self.inherited: list[Tensor] = []
        self.trained_on, self.seen = TokenCount(), TokenCount()
        self.tested: list[float | None] = []
        self.checkpointer.add_recoverable("trained_on", self.trained_on, optional_load=True)
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

    def language_tensors(self) -> list[Tensor]:
        """Return what a language stores, what it has from its teacher included."""
        return [*super().language_tensors(), *self.inherited]

    def undiminished(self) -> Recogniser:
        """Return the recogniser without its selector, to time it beside."""
        return super().undiminished() or Recogniser(self.recogniser.encoder, self.recogniser.head)

    def details(self) -> dict[str, Any]:
        """Return the token keep ratio on the first test set, what is known about the selector, and MACs."""
        ratio = self.tested[0]
        counted = {"keep_ratio": ratio, "reinserted_share": self.trained_on.reinserted_share}
        tokens = {**self.facts, **counted, "cut": self.recogniser.selector.cut}
        return {**super().details(), "tokens": tokens, "macs": token_macs(self.recogniser, ratio)}


def token_macs(model: Recogniser, keep_ratio: float, seconds: float = 10.0) -> dict[str, float]:
    """Count the MACs of encoder and selector for a clip of which a share of the frames is left.

    Parameters
    ----------
    model : Recogniser
        With a selector.
    keep_ratio : float
        Share of the frames left.
    seconds : float
        Length of the clip.

    Returns
    -------
    dict
        ``seconds``; ``transformer`` and ``total`` with the selector's own in both; ``dense_transformer`` and
        ``dense_total`` without a selector.
    """
    encoder, selector = model.encoder, model.selector
    frames = int(encoder.frame_count(round(seconds * encoder.sampling_rate)))
    dense = count_macs(encoder, seconds)
    short = count_macs(encoder, seconds, max(1, round(keep_ratio * frames)))
    chosen = selector.macs(frames)
    total = short.total + chosen
    if selector.cut == "after_positions":  # projection and positions are computed for every frame
        total += dense.projection + dense.positional - short.projection - short.positional
    return {
        "seconds": seconds,
        "transformer": short.transformer + chosen,
        "total": total,
        "dense_transformer": dense.transformer,
        "dense_total": dense.total,
    }
