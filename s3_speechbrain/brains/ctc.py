"""The Brain of every CTC recipe: forward pass, loss, validation, choice of the best checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor

from s3_speechbrain import measure
from s3_speechbrain.brains.batches import SILENCE, Clips, SpeechBatch
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.errors import ErrorCounter, greedy_decode, in_words
from s3_speechbrain.brains.methods import merge_adapters_
from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.sampling import Stream
from s3_speechbrain.brains.tokens import BLANK
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import Backbone

logger = logging.getLogger(__name__)


class CTCBrain(UpdateBrain):
    """Train a recogniser with CTC, keep the checkpoint with the best dev CER (PER for phones).

    Parameters
    ----------
    model : Recogniser
        With what is to learn marked by `requires_grad`.
    corpus : Corpus
        The data.
    hparams : mapping
        Those of `UpdateBrain`, and ``lr``, ``head_lr``, ``searcher``.
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    def __init__(
        self, model: Recogniser, corpus: Corpus, hparams: Mapping, run_opts: RunOptions | None = None
    ) -> None:
        self.corpus = corpus
        self.recogniser = model
        self.searcher = None
        super().__init__(model, hparams, run_opts)
        held, updates = self.hparams.head_only_updates, self.hparams.updates
        encoder = model.encoder
        if held >= updates and any(
            p.requires_grad for p in encoder.parameters() if p is not encoder.mask_vector
        ):
            logger.warning(
                "The head learns alone for %d updates, and there are %d: the encoder learns nothing; lower "
                "--freeze_updates or give more --updates",
                held,
                updates,
            )

    # What a method may override -------------------------------------------------------------------------

    def sparsity(self) -> dict:
        """Return `sparsity_report`'s fields; zero for methods that remove nothing."""
        return {"masked": 0.0, "linears": 0.0, "model": 0.0, "per_layer": {}}

    def masks(self) -> dict[str, Tensor] | None:
        """Return the keep masks that a language stores, if the method has any."""
        return None

    def language_tensors(self) -> list[Tensor]:
        """Return the weights that a language stores: the head and the trained weights of the encoder."""
        encoder = self.recogniser.encoder
        trained = [p for p in encoder.parameters() if p.requires_grad and p is not encoder.mask_vector]
        return [*trained, *self.recogniser.head.parameters(), *self.selector_weights()]

    def selector_weights(self) -> list[Tensor]:
        """Return the weights of the token selector, if there is one."""
        selector = self.recogniser.selector
        return [] if selector is None else list(selector.parameters())

    @property
    def head(self) -> CTCHead:
        """The head that is trained and tested now."""
        return self.recogniser.head

    def backbone(self) -> Backbone | None:
        """Tell over which backbone the language can be kept in a mask bank; None if it cannot."""
        return None

    def stored(self) -> measure.LanguageBytes:
        """Count what has to be stored for the language."""
        return measure.language_bytes(self.masks(), self.language_tensors(), self.corpus.tokenizer.labels)

    def count_parameters(self) -> measure.ParameterCount:
        """Count the parameters of the network that runs, and those that train."""
        return measure.count_parameters(self.recogniser)

    def past_rounds(self) -> list[dict]:
        """Return one row per validation, as ``metrics.json`` keeps them."""
        return self.history.rounds

    def selectable(self, row: Mapping) -> bool:
        """Tell whether the checkpoint of a round, given as its row of the history, may be the one to test."""
        del row
        return True

    def details(self) -> dict[str, Any]:
        """Return the method's own fields of ``metrics.json``; asked for after the tests."""
        return {}

    def leave_behind(self, folder: Path) -> None:
        """Write what the method leaves in a run's folder beside the metrics; the best checkpoint is loaded."""

    def undiminished(self) -> Recogniser | None:
        """Return the network with all that the method removes, to time it beside; None if nothing is removed."""
        return None

    def deploy(self) -> None:
        """Bring the trained model into the form that it runs in later, before its speed is measured."""
        merge_adapters_(self.recogniser.encoder)

    # Training -------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Cache what is frozen, then train, going on from the latest checkpoint."""
        if self.test_only:
            return
        train, dev = self.clips("train"), self.clips("dev")
        self.fit(self.rounds, self.loader(train, self.training_batches(train)), self.loader(dev))

    def clips(self, split: str) -> Clips:
        """Return the clips of a split that training reads again and again, with what is frozen cached."""
        clips = self.corpus.clips[split]
        self.cache(clips, training=split == "train")
        return clips

    def training_batches(self, clips: Clips) -> Stream:
        """Make this process's stream of training batches."""
        return self.make_stream(clips.durations)

    def cache(self, clips: Clips, training: bool = False) -> None:
        """Compute once what the frozen part of the model gives for clips; see `keep_in_memory`."""
        self.keep_in_memory(clips, self.recogniser, training)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what trains of encoder (weights or scores) and selector, and of the head, each with its rate."""
        head_lr = self.hparams.lr if self.hparams.head_lr is None else self.hparams.head_lr
        parts = [
            ([*self.recogniser.encoder.parameters(), *self.selector_weights()], self.hparams.lr),
            (list(self.recogniser.head.parameters()), head_lr),
        ]
        return [
            {"params": [value for value in part if value.requires_grad], "lr": rate} for part, rate in parts
        ]

    def compute_forward(self, batch: SpeechBatch, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, V) and valid frames (B,)."""
        hold = stage == sb.Stage.TRAIN and self.optimizer_step < self.hparams.head_only_updates
        guard = stage == sb.Stage.TRAIN and self.recogniser.selector is not None
        needed = batch.frames_needed() if guard else None
        return self.modules.model(batch.inputs.float(), batch.lengths, batch.stage, hold, needed)

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: SpeechBatch, stage: sb.Stage
    ) -> Tensor:
        """Return the CTC loss per label, in float32; targets that do not fit their frames do not count."""
        logits, frames = predictions
        sizes, needed = batch.target_lengths, batch.frames_needed()
        usable = (needed <= frames) & (needed > 0)
        sizes = torch.where(usable, sizes, 0)
        with torch.autocast(logits.device.type, enabled=False):
            losses = F.ctc_loss(
                logits.float().log_softmax(-1).transpose(0, 1),
                batch.targets,
                frames,
                sizes,
                blank=BLANK,
                reduction="none",
                zero_infinity=True,
            )
        if stage == sb.Stage.TRAIN:
            reason = "its target is empty or needs more frames than it has; left out of the loss"
            ids = [clip for clip, good in zip(batch.ids, usable.tolist(), strict=True) if not good]
            self.note_skipped([(clip, reason) for clip in ids])
        else:
            self._collect(logits, frames, batch)
        return torch.where(usable, losses, 0.0).sum() / sizes.sum().clamp(min=1)

    # Validation and test --------------------------------------------------------------------------------

    def _collect(self, logits: Tensor, frames: Tensor, batch: SpeechBatch) -> None:
        decoded = self.decode(logits, frames)
        for clip, reference, hypothesis in zip(batch.ids, batch.texts, decoded, strict=True):
            if clip != SILENCE:
                self.errors.add(reference, hypothesis)
                self.transcripts.append((clip, reference, hypothesis))

    def decode(self, logits: Tensor, frames: Tensor) -> list[str]:
        """Return the texts of logits (B, T, V): greedy, or with `searcher` where one is set."""
        if self.searcher is None:
            return [self.corpus.tokenizer.decode(row) for row in greedy_decode(logits, frames, BLANK)]
        found = self.searcher(logits.float().log_softmax(-1), frames / logits.shape[1])
        return [" ".join(best[0].text.split()) for best in found]

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Choose the round's batches, or start counting errors."""
        super().on_stage_start(stage, epoch)
        if stage != sb.Stage.TRAIN:
            self.errors, self.transcripts = ErrorCounter(error=self.corpus.tokenizer.error), []
            beam = stage == sb.Stage.TEST and self.hparams.searcher is not None
            self.searcher = self.hparams.searcher(BLANK, self.corpus.tokenizer.labels) if beam else None

    def rates(self) -> dict[str, float]:
        """Return the error rates (%) of the validation; the one named CER chooses the best checkpoint."""
        return self.errors.rates()

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the round's numbers, save a checkpoint, keep the latest and the best by dev CER or PER."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
        elif stage == sb.Stage.VALID:
            rates = self.rates()
            self.keep_time()
            row = {
                "epoch": epoch,
                "updates": self.optimizer_step,
                "lr": self.optimizer.param_groups[0]["lr"],
                "train_loss": self.train_loss,
                "valid_loss": float(stage_loss),
                **{f"valid_{name}": rate for name, rate in rates.items()},
                "seconds": round(self.history.seconds, 1),
            }
            self.history.rounds.append(row)
            logger.info(
                "update %d: train loss %.3f, dev loss %.3f, dev %s",
                *(row[key] for key in ("updates", "train_loss", "valid_loss")),
                in_words(rates),
            )
            meta = rates if self.selectable(row) else {}  # without an error rate it is never the best
            error = self.corpus.tokenizer.error
            self.checkpointer.save_and_keep_only(meta=meta, min_keys=[error], importance_keys=[])

    def on_evaluate_start(self, max_key: str | None = None, min_key: str | None = None) -> None:
        """Load the trained tensors of the best checkpoint; counters and history stay."""
        del max_key, min_key
        best = self.checkpointer.find_checkpoint(min_key=self.corpus.tokenizer.error)
        if best is None:
            raise UserError(f"{self.checkpointer.checkpoints_dir} holds no checkpoint to test; train first")
        names = (
            ["trained"] if self.history.rounds else ["trained", "history"]
        )  # --test_only has trained nothing
        self.checkpointer.load_only(best, names)
