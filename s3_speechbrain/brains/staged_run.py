"""A run of several trainings: the same beginning for each, earlier ones in folders of their own."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.run_opts import RunOptions
from speechbrain.utils.seed import seed_everything

from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.results import finish
from s3_speechbrain.brains.stages import (
    VOCABULARIES,
    Stage,
    complete_stage,
    find_run,
    load_stage_,
    read_stage,
    same_vocabulary,
)
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

AnyBrain = TypeVar("AnyBrain", bound=CTCBrain)


class StagedRun:
    """Models and trainings of one run.

    Every training begins from the same seed: the same head, the same batches. A stage that is complete is taken
    from its folder, one that was cut short goes on.

    Parameters
    ----------
    hparams : mapping
        Those of `CTCBrain`, and ``encoder``, ``head``, ``freeze_updates`` (the head alone learns at first, in
        every stage that does not say otherwise) and ``dense_run``.
    corpus : Corpus
        The data.
    run_opts : RunOptions
        SpeechBrain's run options.

    Attributes
    ----------
    earlier : list of Stage
        What was trained before the last stage.
    options : dict
        Settings of the method that were used, for the record.
    """

    def __init__(self, hparams: Mapping, corpus: Corpus, run_opts: RunOptions) -> None:
        self.hparams = {**hparams, "head_only_updates": hparams["freeze_updates"]}
        self.corpus, self.run_opts = corpus, run_opts
        self.seed: int = hparams["seed"]
        self.folder = Path(hparams["output_folder"])
        self.earlier: list[Stage] = []
        self.options: dict[str, Any] = {}

    def pretrained(self) -> Recogniser:
        """Build the pretrained encoder with a new head, the same one each time."""
        seed_everything(self.seed, verbose=False)
        encoder = self.hparams["encoder"]["build"]()
        head = self.hparams["head"]["build"](encoder.width, len(self.corpus.tokenizer.labels))
        return Recogniser(encoder, head)

    def dense(self, name: str = "dense", **changes: Any) -> Recogniser:
        """Finetune all weights, or take the finetuning that ``<name>_run`` names; return the best on dev.

        Parameters
        ----------
        name : str
            Of the stage. A ``teacher`` is tested and timed as well, as what comes of it is compared with it.
        **changes : Any
            Settings that differ from the run's.

        Raises
        ------
        UserError
            If there is no such setting.
        """
        unknown = sorted(set(changes) - set(self.hparams))
        if unknown:
            raise UserError(f"{name}: there is no setting {unknown[0]!r}; those of the run may differ in it")
        if self.hparams[f"{name}_run"]:
            stage = self.shared(f"{name}_run", ["dense", "dense_freeze"])
        else:
            end = self._finish_dense if name == "teacher" else None
            stage = self.stage(
                name, self.pretrained, CTCBrain, "dense", self._keep_vocabulary, end=end, **changes
            )
        model = self.pretrained()
        load_stage_(model, stage, best=self.corpus.tokenizer.error)
        return model

    def option(self, name: str) -> Any:
        """Look up a setting of the method and note that it was used."""
        self.options[name] = self.hparams[name]
        return self.hparams[name]

    def last(self, kind: Callable[..., AnyBrain], model: Recogniser, *extra: Any, **changes: Any) -> AnyBrain:
        """Make the Brain of the last training, ready to train, from further arguments and changed settings."""
        return self._ready(kind(model, self.corpus, {**self.hparams, **changes}, self.run_opts, *extra))

    def stage(
        self,
        name: str,
        start: Callable[[], Recogniser],
        kind: Callable[..., CTCBrain],
        method: str,
        leave: Callable[[CTCBrain, Path], None] | None = None,
        end: Callable[[CTCBrain], Any] | None = None,
        **changes: Any,
    ) -> Stage:
        """Train an earlier stage in its folder, or take it from there.

        Parameters
        ----------
        name : str
            Of the stage and its folder.
        start : callable
            Builds the model; only called if there is something to train.
        kind : callable
            (model, corpus, hparams, run options) -> Brain.
        method : str
            For the record.
        leave : callable, optional
            (Brain, folder): writes what the stage leaves beside its checkpoints, in the main process.
        end : callable, optional
            (Brain): what else belongs to the stage, in every process.
        **changes : Any
            Settings that differ from the run's.

        Returns
        -------
        Stage
            Complete.
        """
        folder = self.folder / name
        stage = read_stage(folder)
        if stage is None:
            hparams = {**self.hparams, "output_folder": str(folder), **changes}
            brain = self._ready(kind(start(), self.corpus, hparams, self.run_opts))
            if brain.test_only:
                raise UserError(f"{folder} is not complete: run once without --test_only")
            logger.info("stage %s: %d updates", name, brain.hparams.updates)
            brain.train()
            if leave is not None:
                run_on_main(leave, args=[brain, folder])
            if end is not None:
                end(brain)
            stage = complete_stage(brain, method)
        if name not in [known.name for known in self.earlier]:
            self.earlier.append(stage)
        return stage

    def shared(self, option: str, methods: Sequence[str]) -> Stage:
        """Find the run of other folders that an option names, and check that it is about the same thing.

        Raises
        ------
        UserError
            If it is unfinished, of another method, backbone, language, vocabulary, or training data, or its head
            learned alone for another number of updates.
        """
        folder = Path(self.hparams[option])
        stage = find_run(folder, option, methods, self.wanted())
        if not same_vocabulary(folder, self.folder):
            raise UserError(f"{option} {folder} has another vocabulary than this run: give one that agrees")
        self.options[f"{option}_seed"] = stage.facts["seed"]
        self.earlier.append(stage)
        return stage

    def wanted(self) -> dict[str, Any]:
        """Return what a run of other folders has to have in common with this one."""
        return {
            "backbone": backbone_name(self.hparams),
            "backbone_sha256": backbone_sha256(self.hparams),
            "language": self.corpus.language,
            "data.manifest_sha256": self.corpus.sha256,
            "config.head_only_updates": self.hparams["head_only_updates"],
        }

    def _ready(self, brain: AnyBrain) -> AnyBrain:
        seed_everything(self.seed, verbose=False)  # whatever stages ran before or were found
        return brain

    def _finish_dense(self, brain: CTCBrain) -> None:
        brain.hparams.save_model = False  # the checkpoint is enough to go on from
        finish(brain, recipe="finetuning", method="dense")

    def _keep_vocabulary(self, brain: CTCBrain, folder: Path) -> None:
        for name in VOCABULARIES:
            if (self.folder / name).is_file():
                shutil.copy(self.folder / name, folder)
