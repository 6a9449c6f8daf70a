"""What mask finetuning is made of: the masked model, where its scores begin, a teacher beside it."""

from collections.abc import Mapping
from typing import Any

import torch
from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.banking import backbone_of
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.distilled import TaughtMaskBrain
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.methods import freeze_weights_, mask_options
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import read_entry
from s3_speechbrain.masking import MaskConfig, mask_, warm_start_


class MaskRun(StagedRun):
    """One run of mask finetuning; see `StagedRun` for the parameters.

    Further settings are ``mask``, a `MaskConfig`, ``mask_file`` (another language, whose mask scores begin with),
    ``teacher_run`` (a dense run to learn from) and ``distil`` (the teacher's weight).
    """

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        super().__init__(hparams, corpus, run_opts)
        if self.taught and not hparams["distil"] > 0:
            raise UserError(f"distil is {hparams['distil']}: give a weight above 0, or leave teacher_run out")

    @property
    def taught(self) -> bool:
        """Whether there is a teacher."""
        return self.hparams["teacher_run"] is not None

    @property
    def recorded_as(self) -> str:
        """What the method is called in ``metrics.json``; what the paper does not do has names of its own."""
        config: MaskConfig = self.hparams["mask"]
        words = {
            "mask": True,
            "allotted": isinstance(config.sparsity, Mapping) or config.layer_sparsity is not None,
            f"by_{config.scope}": config.scope != "matrix",
            "warm": self.hparams["mask_file"] is not None,
            "taught": self.taught,
        }
        return "_".join(word for word, said in words.items() if said)

    def wanted(self) -> dict[str, Any]:
        """Return what a teacher has to have in common with this run: how long its head learned alone is its affair."""
        return {name: value for name, value in super().wanted().items() if name != "config.head_only_updates"}

    def masked(self) -> MaskBrain:
        """Make the Brain that trains masks and head over frozen weights."""
        config: MaskConfig = self.hparams["mask"]
        encoder = self.hparams["encoder"]["build"](**mask_options(config.groups))
        freeze_weights_(encoder)
        mask_(encoder, config)
        if self.hparams["mask_file"] is not None:
            self._warm_start_(encoder)
        head = self.hparams["head"]["build"](encoder.width, len(self.corpus.tokenizer.labels))
        everything = Recogniser(encoder, head), self.corpus, self.hparams, self.run_opts
        if not self.taught:
            return MaskBrain(*everything)
        with torch.random.fork_rng():  # the student draws what it would draw without a teacher
            teacher = self.dense("teacher")
        self.option("distil")
        return TaughtMaskBrain(*everything, teacher)

    def _warm_start_(self, encoder: SpeechEncoder) -> None:
        path = self.hparams["mask_file"]
        entry = read_entry(path)
        ours, theirs = backbone_of(encoder), entry.backbone
        if ours.fingerprint != theirs.fingerprint:
            raise UserError(
                f"mask_file {path} is of the backbone {theirs.source} ({theirs.fingerprint[:12]}), this run of "
                f"{ours.source} ({ours.fingerprint[:12]}): masks do not carry over"
            )
        warm_start_(encoder, entry.masks)
        known = {name: entry.metrics[name] for name in ("method", "seed") if name in entry.metrics}
        self.options["mask_source"] = {"language": entry.language, **known}
