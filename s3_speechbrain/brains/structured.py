"""The Brain of structured pruning: CTC training while attention heads and neurons go and come (SAFARI)."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from s3_speechbrain import measure
from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.structured import (
    Rounds,
    StructuredConfig,
    counts_of,
    layer_table,
    release_,
    slice_,
    sums_of,
    surviving,
    unit_cost,
    unit_sparsity,
)

ENCODER = "encoder"  # folder of the sliced encoder in a run's folder


class StructuredBrain(CTCBrain):
    """Train what is left of an encoder, and choose what that is in rounds.

    Parameters
    ----------
    model, corpus, hparams, run_opts
        As for `CTCBrain`, and ``structured``, a `StructuredConfig`. Masks are put on the model's encoder.
    """

    def __init__(
        self, model: Recogniser, corpus: Corpus, hparams: Mapping, run_opts: RunOptions | None = None
    ) -> None:
        config: StructuredConfig = hparams["structured"]
        self.pruning = Rounds(model.encoder, config, hparams["updates"])
        self.pruning.check_gradients(hparams["head_only_updates"])
        # DDP would copy the main process's sums over the others' before every pass
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, sums_of(model))
        super().__init__(model, corpus, hparams, run_opts)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Remove units before the first update, if the strategy begins with that."""
        super().on_stage_start(stage, epoch)
        if stage == sb.Stage.TRAIN and self.optimizer_step == 0:
            self.pruning.after(0, self.optimizer)

    def on_fit_batch_start(self, batch: SpeechBatch, should_step: bool) -> None:
        """Set whether masks act and gradients are collected."""
        super().on_fit_batch_start(batch, should_step)
        self.pruning.before(self.optimizer_step, self.scaler.get_scale())

    def on_fit_batch_end(
        self, batch: SpeechBatch, outputs: tuple[Tensor, Tensor], loss: Tensor, should_step: bool
    ) -> None:
        """Drop and grow units when it is time."""
        super().on_fit_batch_end(batch, outputs, loss, should_step)
        if should_step:
            before = self.pruning.kept()
            if self.pruning.after(self.optimizer_step, self.optimizer) is not None:
                after = self.pruning.kept()
                self.history.count("units_grown", sum(int((after[n] & ~before[n]).sum()) for n in after))

    def selectable(self, row: Mapping) -> bool:
        """Choose among checkpoints within the budget."""
        return super().selectable(row) and self.pruning.plan.at_budget(row["updates"])

    def sparsity(self) -> dict:
        """Return what fraction of which weights is removed."""
        return unit_sparsity(self.recogniser.encoder, self.pruning.units, self.pruning.kept())

    def masks(self) -> dict[str, Tensor]:
        """Return which units are kept, one bit per unit."""
        return self.pruning.kept()

    def language_tensors(self) -> list[Tensor]:
        """Return what a language stores: the trained weights of the units that are left, and the head."""
        encoder = self.recogniser.encoder
        mine = {id(parameter) for parameter in encoder.parameters()}
        left = surviving(encoder, self.pruning.units, self.pruning.kept())
        return [*left, *(value for value in super().language_tensors() if id(value) not in mine)]

    def count_parameters(self) -> measure.ParameterCount:
        """Count the parameters of the network without the removed units, and those that train."""
        dense = super().count_parameters()
        cost = unit_cost(self.recogniser.encoder, self.pruning.units, "units")
        gone = cost.total(cost.dense) - cost.total(counts_of(self.pruning.kept()))
        return measure.ParameterCount(dense.total - gone, dense.trainable)

    def details(self) -> dict[str, Any]:
        """Return MACs before and after, and how many units each layer has left."""
        encoder, units, kept = self.recogniser.encoder, self.pruning.units, self.pruning.kept()
        seconds = self.pruning.config.seconds
        macs: dict[str, Any] = {"seconds": seconds}
        for name in ("transformer", "total"):
            cost = unit_cost(encoder, units, f"{name}_macs", seconds)
            macs[name] = cost.total(counts_of(kept))
            macs[f"dense_{name}"] = cost.total(cost.dense)
        return {**super().details(), "macs": macs, "units": layer_table(units, kept)}

    def leave_behind(self, folder: Path) -> None:
        """Write the sliced encoder as a folder that `SpeechEncoder` accepts."""
        super().leave_behind(folder)
        self.sliced().save_pretrained(folder / ENCODER)

    def sliced(self) -> SpeechEncoder:
        """Return a copy of the encoder without the removed units."""
        encoder = copy.deepcopy(self.recogniser.encoder)
        slice_(encoder, release_(encoder, self.pruning.units))
        return encoder

    def undiminished(self) -> Recogniser:
        """Return a recogniser of the size before pruning, without masks and selector, to time it beside."""
        encoder = copy.deepcopy(self.recogniser.encoder)
        release_(encoder, self.pruning.units)
        return Recogniser(encoder, self.recogniser.head)

    def deploy(self) -> None:
        """Remove the units for good; the network then is an ordinary, smaller one."""
        super().deploy()
        slice_(self.recogniser.encoder, release_(self.recogniser.encoder, self.pruning.units))
