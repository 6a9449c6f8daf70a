"""What the structured methods of a recipe are made of: the model to start from, the Brain that prunes it."""

from collections.abc import Mapping

from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.brains.structured import StructuredBrain
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.schema import BASELINE_PREFIX
from s3_speechbrain.structured import StructuredConfig

STARTS = ("teacher", "pretrained")


class StructuredRun(StagedRun):
    """One run that removes attention heads and neurons; see `StagedRun` for the parameters.

    Further settings are the keys of ``recipes/CommonVoice/s6_damon/hparams/safari.yaml``.
    """

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        super().__init__(hparams, corpus, run_opts)
        self.config: StructuredConfig = hparams["structured"]
        if self.option("start_from") not in STARTS:
            raise UserError(f"start_from is {hparams['start_from']!r}: choose one of {', '.join(STARTS)}")
        self.options["structured"] = self.config.used

    @property
    def recorded_as(self) -> str:
        """What the method is called in ``metrics.json``; an ablation of SAFARI is a baseline with its own name."""
        config = self.config
        if config.strategy != "safari":
            return f"{BASELINE_PREFIX}structured_{config.strategy}"
        if config.score != "magnitude":
            return f"{BASELINE_PREFIX}safari_by_{config.score}"
        return "safari" if config.grow == "gradient" else f"{BASELINE_PREFIX}safari_{config.grow}_growth"

    def first_model(self) -> Recogniser:
        """Return the weights to remove units from: finetuned ones, or the pretrained ones.

        ``one_shot`` ranks pretrained weights, whatever ``start_from`` says.
        """
        if self.hparams["start_from"] == "teacher" and self.config.strategy != "one_shot":
            return self.dense("teacher", **self.hparams["teacher"])
        return self.pretrained()

    def pruned(self, model: Recogniser) -> StructuredBrain:
        """Make the Brain that removes units of a model and trains what is left."""
        return self.last(StructuredBrain, model)
