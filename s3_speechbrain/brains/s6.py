"""Fewer tokens and fewer structures together (S6-DAMON): each class is made of its two halves."""

from collections.abc import Mapping
from typing import Any

from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.shortened import TokenBrain, token_macs
from s3_speechbrain.brains.structured import StructuredBrain
from s3_speechbrain.brains.structured_run import StructuredRun
from s3_speechbrain.brains.token_run import TokenRun
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.schema import BASELINE_PREFIX
from s3_speechbrain.tokens import TokenSelector

READS_FEATURES = ("conv", "merge")  # selectors between the extractor's channels and the masks over them


class S6Brain(TokenBrain, StructuredBrain):
    """Remove units of a recogniser whose selector shortens what they see; see the two for the parameters."""

    def details(self) -> dict[str, Any]:
        """Return what both say, with the MACs of the sliced encoder on the shortened sequence."""
        found = super().details()
        left = Recogniser(self.sliced(), self.recogniser.head, self.recogniser.selector)
        macs = token_macs(left, found["tokens"]["keep_ratio"], found["macs"]["seconds"])
        return {**found, "macs": {**found["macs"], **{name: macs[name] for name in ("transformer", "total")}}}


class S6Run(TokenRun, StructuredRun):
    """One run that shortens sequences and then prunes on them; see the two for the settings."""

    brain = S6Brain
    selects_tokens = True

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        selector = hparams["tokens"].selector
        if "channels" in hparams["structured"].kinds and selector in READS_FEATURES:
            raise UserError(
                f"{selector} reads the channels that kinds names to be removed: choose another selector, or leave "
                "channels out"
            )
        super().__init__(hparams, corpus, run_opts)
        if self.hparams["adapt"] != "dense":
            raise UserError(f"adapt is {hparams['adapt']!r}: pruned units have to train; use dense")
        if self.hparams["distil"]:
            raise UserError("distil compares frame by frame, but the teacher sees more frames; set it to 0")
        if self.config.strategy == "one_shot" and self.hparams["start_from"] == "teacher":
            raise UserError("one_shot prunes pretrained weights; add --start_from pretrained")

    def shortened(
        self, student: Recogniser, selector: TokenSelector, teacher: Recogniser | None
    ) -> StructuredBrain:
        """Make the Brain of both halves, as each half would."""
        return self.growing(super().shortened(student, selector, teacher))

    @property
    def recorded_as(self) -> str:
        """``s6``; with another selector or strategy a baseline that names both."""
        halves = (TokenRun.recorded_as.fget(self), StructuredRun.recorded_as.fget(self))
        if halves == ("salad", "safari"):
            return "s6"
        return BASELINE_PREFIX + "_".join(name.removeprefix(BASELINE_PREFIX) for name in halves)
