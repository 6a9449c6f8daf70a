"""What the structured methods of a recipe are made of: the model to start from, the Brain that prunes it."""

import copy
from collections.abc import Mapping

from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.distilled import TaughtStructuredBrain
from s3_speechbrain.brains.methods import encoder_options
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.brains.structured import StructuredBrain
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.schema import BASELINE_PREFIX
from s3_speechbrain.structured import Rounds, StructuredConfig

STARTS = ("teacher", "pretrained", "scratch")


class StructuredRun(StagedRun):
    """One run that removes attention heads and neurons; see `StagedRun` for the parameters.

    Further settings are the keys of ``recipes/CommonVoice/s6_damon/hparams/safari.yaml``.
    """

    selects_tokens = False  # a teacher serves these in any case

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        super().__init__(hparams, corpus, run_opts)
        self.config: StructuredConfig = hparams["structured"]
        if hparams["start_from"] not in STARTS:
            raise UserError(f"start_from is {hparams['start_from']!r}: choose one of {', '.join(STARTS)}")
        self.options |= {"start_from": self.starts_from, "structured": self.config.used}
        if hparams["distil"] and (self.config.strategy != "safari" or not self.begins_with_teacher):
            raise UserError(
                "distil needs a dense teacher and is for SAFARI alone: use --start_from teacher --strategy safari"
            )
        if hparams["teacher_run"] and not (self.begins_with_teacher or self.selects_tokens):
            raise UserError(
                "teacher_run has no effect on a run that begins with other weights: leave it out, or use --start_from "
                "teacher and another strategy than one_shot"
            )
        self._check_budget()

    def _check_budget(self) -> None:
        """Refuse a budget that cannot be met before anything is trained; sizes alone decide."""
        scratch = self.hparams["start_from"] == "scratch"
        encoder = self.hparams["encoder"]["build"](**(encoder_options("scratch") if scratch else {}))
        rounds = Rounds(encoder, self.config, self.hparams["updates"])
        rounds.check_gradients(self.hparams["head_only_updates"])

    @property
    def starts_from(self) -> str:
        """Which of `STARTS` is pruned; ``one_shot`` ranks pretrained weights where others begin with finetuned ones."""
        start = self.hparams["start_from"]
        return "pretrained" if start == "teacher" and self.config.strategy == "one_shot" else start

    @property
    def begins_with_teacher(self) -> bool:
        """Whether finetuned weights are pruned."""
        return self.starts_from == "teacher"

    @property
    def recorded_as(self) -> str:
        """What the method is called in ``metrics.json``; an ablation of SAFARI is a baseline with its own name."""
        config = self.config
        if self.hparams["start_from"] == "scratch":
            return f"{BASELINE_PREFIX}small_scratch"
        by = "" if config.score == "magnitude" else f"_by_{config.score}"
        if config.strategy != "safari":
            return f"{BASELINE_PREFIX}structured_{config.strategy}{by}"
        if self.hparams["distil"]:
            return f"{BASELINE_PREFIX}safari_distilled"
        if by:
            return f"{BASELINE_PREFIX}safari{by}"
        return "safari" if config.grow == "gradient" else f"{BASELINE_PREFIX}safari_{config.grow}_growth"

    def first_model(self) -> Recogniser:
        """Return the weights to remove units from: finetuned, pretrained, or random ones."""
        if self.begins_with_teacher:
            return self.dense("teacher", **self.hparams["teacher"])
        model = self.pretrained()
        if self.hparams["start_from"] == "scratch":
            model.encoder = self.hparams["encoder"]["build"](**encoder_options("scratch"))
        return model

    def pruned(self, model: Recogniser) -> StructuredBrain:
        """Make the Brain that removes units of a model and trains what is left."""
        if self.hparams["distil"]:
            self.option("distil")
            brain = self.last(TaughtStructuredBrain, model, copy.deepcopy(model))
        else:
            brain = self.last(StructuredBrain, model)
        return self.growing(brain)

    def growing(self, brain: StructuredBrain) -> StructuredBrain:
        """Let units that come begin with pretrained weights, if they are to and the model is finetuned."""
        if self.config.grow_from == "pretrained" and self.begins_with_teacher:
            brain.pruning.grow_from_(self.pretrained().encoder)
            return self._ready(brain)
        return brain
