"""The Brains of pruned encoders: a fixed mask held over the weights, PARP, scores on finetuned weights."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.run_opts import RunOptions
from torch import Tensor

from s3_speechbrain import layers
from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import plain_name
from s3_speechbrain.masking import sparsity_report
from s3_speechbrain.pruning import (
    ParpSchedule,
    bake_,
    enforced_masks,
    magnitude_masks,
    prunable,
    reprune_,
    save_masks,
)

MASK_FILE = "mask.safetensors"


def surviving(parameters: Iterable[tuple[str, Tensor]], masks: Mapping[str, Tensor]) -> list[Tensor]:
    """Return what is left of parameters when the removed entries are not stored: values only, no places."""
    return [value[masks[name]] if name in masks else value for name, value in parameters]


class PrunedBrain(CTCBrain):
    """CTC training of the weights that masks leave; see `CTCBrain` for the parameters.

    The masks are held over the encoder (`s3_speechbrain.pruning.enforce_`) and do not change.
    """

    def masks(self) -> dict[str, Tensor]:
        """Return the masks by parameter name."""
        return enforced_masks(self.recogniser.encoder)

    def sparsity(self) -> dict:
        """Return what fraction of which weights is removed."""
        return sparsity_report(self.recogniser.encoder, self.masks())

    def language_tensors(self) -> list[Tensor]:
        """Return what a language stores beside its masks: the values that survive, other weights, the head."""
        encoder = self.recogniser.encoder
        trained = [
            (plain_name(name), parameter)
            for name, parameter in encoder.named_parameters()
            if parameter.requires_grad and parameter is not encoder.mask_vector
        ]
        return [*surviving(trained, self.masks()), *self.recogniser.head.parameters()]

    def leave_behind(self, folder: Path) -> None:
        """Write the masks as a file."""
        save_masks(folder / MASK_FILE, self.masks(), about(self))

    def deploy(self) -> None:
        """Multiply the masks into the weights."""
        bake_(self.recogniser.encoder)


class ParpBrain(PrunedBrain):
    """Train dense weights that are re-pruned every some updates (PARP); in dev and test they always are.

    Parameters
    ----------
    model, corpus, hparams, run_opts
        As for `CTCBrain`, and ``groups``, ``biases``, ``scope`` (see `prunable`, `magnitude_masks`) and
        ``reset_moments``: forget the optimiser's state of what is removed.
    schedule : ParpSchedule
        When, and to which sparsity.

    Raises
    ------
    UserError
        If a validation would fall between two re-prunes.
    """

    def __init__(
        self,
        model: Recogniser,
        corpus: Corpus,
        hparams: Mapping,
        run_opts: RunOptions | None,
        schedule: ParpSchedule,
    ) -> None:
        super().__init__(model, corpus, hparams, run_opts)
        self.schedule = schedule
        self.check_validations()

    def check_validations(self) -> None:
        """Refuse validations between two re-prunes."""
        self.schedule.check_validations(self.hparams.valid_every)

    @property
    def pruned(self) -> dict[str, Tensor]:
        """The parameters that compete."""
        return prunable(self.recogniser.encoder, self.hparams.groups, self.hparams.biases)

    def on_fit_batch_end(
        self, batch: SpeechBatch, outputs: tuple[Tensor, Tensor], loss: Tensor, should_step: bool
    ) -> None:
        """Re-prune when it is time; in between, zeros are ordinary weights."""
        if should_step and self.schedule.due(self.optimizer_step):
            sparsity = self.schedule.sparsity_after(self.optimizer_step)
            forget = self.optimizer if self.hparams.reset_moments else None
            reprune_(self.pruned, sparsity, self.hparams.scope, forget)
            self.history.count("reprunes")

    def selectable(self, row: Mapping) -> bool:
        """Choose among checkpoints of the target sparsity only: a growing one starts with easier ones."""
        return self.schedule.at_target(row["updates"])

    def masks(self) -> dict[str, Tensor]:
        """Rank the weights of a checkpoint, which are re-pruned: the masks that made their zeros."""
        return magnitude_masks(self.pruned, self.schedule.sparsity, self.hparams.scope)


class ScorePruneBrain(MaskBrain):
    """Learn which finetuned weights to keep (S3-Router's pruning); the weights are the language's own.

    Parameters
    ----------
    model, corpus, hparams, run_opts
        As for `CTCBrain`; the encoder's weights are frozen, with masks from `s3_speechbrain.masking.mask_`.
    finetuned : collection of str
        Names of the encoder's parameters that differ from the backbone's and so belong to the language.
    """

    def __init__(
        self,
        model: Recogniser,
        corpus: Corpus,
        hparams: Mapping,
        run_opts: RunOptions | None,
        finetuned: Collection[str],
    ) -> None:
        super().__init__(model, corpus, hparams, run_opts)
        self.finetuned = finetuned

    def _masks_by_parameter(self) -> dict[str, Tensor]:
        return {f"{name}.weight": keep for name, keep in self.masks().items()}

    def language_tensors(self) -> list[Tensor]:
        """Return what a language stores beside its masks: finetuned values that survive, and the head."""
        named = ((plain_name(name), value) for name, value in self.recogniser.encoder.named_parameters())
        stored = [(name, value) for name, value in named if name in self.finetuned]
        return [*surviving(stored, self._masks_by_parameter()), *self.recogniser.head.parameters()]

    def backbone(self) -> None:
        """Tell that a mask bank cannot keep the language: its masks lie over weights of its own."""

    def leave_behind(self, folder: Path) -> None:
        """Write the masks as a file."""
        save_masks(folder / MASK_FILE, self._masks_by_parameter(), about(self))


def about(brain: CTCBrain) -> dict[str, Any]:
    """Tell where a run's masks come from, for their file."""
    hparams = brain.hparams
    facts = {name: getattr(hparams, name) for name in ("method", "sparsity", "seed")}
    facts["backbone_sha256"] = backbone_sha256(vars(hparams))
    return {**facts, "backbone": backbone_name(vars(hparams)), "language": brain.corpus.language}


def check_groups(groups: Sequence[str]) -> None:
    """Refuse a pruned set that is none, or with the extractor, which is frozen.

    Raises
    ------
    UserError
        If a name is unknown, or that of the extractor.
    """
    layers.check_groups(groups)
    if "extractor" in groups:
        raise UserError(
            "groups name the extractor, which does not train here: PARP cannot adjust it; leave it out"
        )
