"""The Brain of every CTC recipe: loss, optimiser, schedule, validation, checkpoints."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.utils.distributed import get_rank, if_main_process
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor
from torch.utils.data import DataLoader

from s3_speechbrain.brains.batches import BatchStream, Clips, SpeechBatch, by_duration
from s3_speechbrain.brains.checkpoints import AtomicCheckpointer, History, RandomState, TrainedState
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.errors import ErrorCounter, greedy_decode
from s3_speechbrain.brains.model import Recogniser, cache_size_mb, fill_cache
from s3_speechbrain.brains.tokens import BLANK, frames_needed
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

CACHE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class CTCBrain(sb.Brain):
    """Train a recogniser with CTC for a number of updates, keep the checkpoint with the best dev CER.

    One "epoch" of SpeechBrain's loop is one round of `valid_every` updates followed by validation.

    Parameters
    ----------
    model : Recogniser
        With what is to learn marked by `requires_grad`.
    corpus : Corpus
        The data.
    hparams : mapping
        ``updates``, ``valid_every``, ``lr``, ``head_lr``, ``training`` (``optimizer``, ``schedule``),
        ``head_only_updates``, ``batch_seconds``, ``cache``, ``cache_limit_mb``, ``cache_dtype``,
        ``num_workers``, ``searcher``, ``seed``, ``output_folder``.
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    def __init__(
        self, model: Recogniser, corpus: Corpus, hparams: Mapping, run_opts: RunOptions | None = None
    ) -> None:
        self.corpus = corpus
        self.history = History()
        checkpointer = AtomicCheckpointer(
            Path(hparams["output_folder"]) / "checkpoints",
            recoverables={"trained": TrainedState(model), "history": self.history, "random": RandomState()},
        )
        super().__init__(
            {"model": model}, hparams=dict(hparams), run_opts=run_opts, checkpointer=checkpointer
        )
        self.recogniser = model
        self.searcher = None
        self._clock = time.perf_counter()
        self.rounds = EpochCounter(-(-self.hparams.updates // self.hparams.valid_every))
        checkpointer.add_recoverable("rounds", self.rounds)
        if self.hparams.head_only_updates:  # the encoder then gets no gradient at first
            self.find_unused_parameters = True
        self.stream: BatchStream | None = None
        self._told: set[str] = set()

    # What a method may override
    # ---------------------------------------------------------------------------------

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
        return [*trained, *self.recogniser.head.parameters()]

    def deploy(self) -> None:
        """Bring the trained model into the form that it runs in later, before its speed is measured."""

    # Training
    # ---------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Cache what is frozen, then train, going on from the latest checkpoint."""
        if self.test_only:
            return
        train, dev = self.corpus.clips["train"], self.corpus.clips["dev"]
        for clips in (train, dev):
            self._cache(clips)
        world = torch.distributed.get_world_size() if self.distributed_launch else 1
        rank = int(get_rank() or 0) if self.distributed_launch else 0
        self.stream = BatchStream(train.durations, self.hparams.batch_seconds, self.hparams.seed, rank, world)
        loader = self.loader(train, self.stream)
        self.fit(self.rounds, loader, self.loader(dev))

    def loader(self, clips: Clips, batches: BatchStream | None = None) -> DataLoader:
        """Make a loader: of a stream in training, of all clips sorted by length otherwise."""
        batches = batches if batches is not None else by_duration(clips.durations, self.hparams.batch_seconds)
        return DataLoader(
            clips,
            batch_sampler=batches,
            collate_fn=clips.collate,
            num_workers=0 if clips.cache else self.hparams.num_workers,
            pin_memory=self.device_type == "cuda",
        )

    def _cache(self, clips: Clips) -> None:
        stage = self.recogniser.frozen_stage
        if clips.cache or not self.hparams.cache or stage == "wave":
            return
        dtype = CACHE_DTYPES[self.hparams.cache_dtype]
        size = cache_size_mb(self.recogniser, clips, dtype)
        if size > self.hparams.cache_limit_mb:
            logger.info("Not caching %s: %.0f MB are more than cache_limit_mb", stage, size)
            return
        skipped = fill_cache(
            self.recogniser,
            clips,
            self.device,
            dtype=dtype,
            seconds=self.hparams.batch_seconds,
            progress=not self.noprogressbar and if_main_process(),
        )
        self.note_skipped(skipped)
        if not clips.ids:
            raise UserError(f"none of {len(skipped)} clips could be read, the first because {skipped[0][1]}")

    def init_optimizers(self) -> None:
        """Build one optimiser with a group for the encoder's parameters and one for the head's."""
        head_lr = self.hparams.lr if self.hparams.head_lr is None else self.hparams.head_lr
        groups = []
        for module, rate in ((self.recogniser.encoder, self.hparams.lr), (self.recogniser.head, head_lr)):
            parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
            if parameters:
                groups.append({"params": parameters, "lr": rate, "base_lr": rate})
        self.optimizer = self.hparams.training["optimizer"](groups)
        self.optimizers_dict = {"optimizer": self.optimizer}
        self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def compute_forward(self, batch: SpeechBatch, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, V) and valid frames (B,)."""
        hold = stage == sb.Stage.TRAIN and self.optimizer_step < self.hparams.head_only_updates
        inputs = batch.inputs.float() if batch.inputs.is_floating_point() else batch.inputs
        return self.modules.model(inputs, batch.lengths, batch.stage, hold)

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: SpeechBatch, stage: sb.Stage
    ) -> Tensor:
        """Return the CTC loss per label, in float32; targets that need more frames than there are do not count."""
        logits, frames = predictions
        targets = [
            row[:size]
            for row, size in zip(batch.targets.tolist(), batch.target_lengths.tolist(), strict=True)
        ]
        needed = torch.tensor([frames_needed(target) for target in targets], device=frames.device)
        usable = (needed <= frames) & (needed > 0)
        with torch.autocast(logits.device.type, enabled=False):
            losses = F.ctc_loss(
                logits.float().log_softmax(-1).transpose(0, 1),
                batch.targets,
                frames,
                torch.where(usable, batch.target_lengths, 0),
                blank=BLANK,
                reduction="none",
                zero_infinity=True,
            )
        if stage == sb.Stage.TRAIN:
            self._count_unusable(batch, usable)
        else:
            self._collect(logits, frames, batch)
        labels = torch.where(usable, batch.target_lengths, 0).sum().clamp(min=1)
        return torch.where(usable, losses, 0.0).sum() / labels

    def fit_batch(self, batch: SpeechBatch) -> Tensor:
        """Do one batch; a loss that is not finite is counted and located, and its batch left out."""
        self.note_skipped(batch.skipped)
        batch = batch.to(self.device)
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            if self._finite_everywhere(loss):
                self.scaler.scale(loss / self.grad_accumulation_factor).backward()
            else:
                self._note_nonfinite(batch)
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss.detach().cpu()

    def optimizers_step(self) -> None:
        """Do one update: schedule, one clipping norm over all groups, step.

        SpeechBrain clips the first parameter group alone; here the norm is that of all trained parameters
        together.
        """
        factor = self.hparams.training["schedule"](self.optimizer_step, self.hparams.updates)
        parameters = []
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["base_lr"]
            parameters += [parameter for parameter in group["params"] if parameter.grad is not None]
        if parameters:
            self.scaler.unscale_(self.optimizer)
            limit = self.max_grad_norm if self.max_grad_norm > 0 else float("inf")
            norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
            # With fp16 the scaler meets such gradients now and then, and leaves the step out by itself.
            if self.scaler.is_enabled() or torch.isfinite(norm):
                self.scaler.step(self.optimizer)
            else:
                self.history.count("nonfinite_gradients")
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    def _finite_everywhere(self, loss: Tensor) -> bool:
        finite = torch.isfinite(loss.detach()).float()
        if self.distributed_launch:  # all processes must agree, or those in backward wait for ever
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
        return bool(finite)

    def _note_nonfinite(self, batch: SpeechBatch) -> None:
        self.nonfinite_count += 1
        self.history.count("nonfinite_batches")
        where = ", ".join(batch.ids[:4]) + (" ..." if len(batch.ids) > 4 else "")
        logger.warning("Loss not finite at update %d, batch left out (clips %s)", self.optimizer_step, where)
        if self.nonfinite_count > self.nonfinite_patience:
            raise UserError(
                f"the loss was not finite in {self.nonfinite_count} batches since the last validation, last with "
                f"clips {where}; lower --lr, or use --precision fp32, or look at these clips"
            )

    def _count_unusable(self, batch: SpeechBatch, usable: Tensor) -> None:
        for clip, good in zip(batch.ids, usable.tolist(), strict=True):
            if not good and clip != "(silence)":
                self._tell(clip, "its target is empty or needs more frames than it has; left out of the loss")

    def note_skipped(self, skipped: list[tuple[str, str]]) -> None:
        """Count clips that could not be read, and say once which they are."""
        for clip, reason in skipped:
            self._tell(clip, reason)

    def _tell(self, clip: str, reason: str) -> None:
        if clip not in self._told:
            self._told.add(clip)
            self.history.count("clips_skipped")
            logger.warning("Skipped clip %s: %s", clip, reason)

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time: float, steps_since_ckpt: int) -> bool:
        # Gradients accumulated so far are not in a checkpoint, so one is made only between updates.
        if self.step % self.grad_accumulation_factor:
            return False
        return super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)

    def _save_intra_epoch_ckpt(self) -> None:
        self.keep_time()
        super()._save_intra_epoch_ckpt()

    def keep_time(self) -> None:
        """Add the seconds since the last call to the history."""
        now = time.perf_counter()
        self.history.seconds += now - self._clock
        self._clock = now

    # Validation and test
    # ----------------------------------------------------------------------------------------

    def evaluate_batch(self, batch: SpeechBatch, stage: sb.Stage) -> Tensor:
        """Score one batch of dev or test."""
        self.note_skipped(batch.skipped)
        return super().evaluate_batch(batch.to(self.device), stage)

    def _collect(self, logits: Tensor, frames: Tensor, batch: SpeechBatch) -> None:
        decoded = self.decode(logits, frames)
        for clip, reference, hypothesis in zip(batch.ids, batch.texts, decoded, strict=True):
            if clip != "(silence)":
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
        if stage == sb.Stage.TRAIN:
            done = self.optimizer_step
            last = min(epoch * self.hparams.valid_every, self.hparams.updates)
            factor = self.grad_accumulation_factor
            self.stream.window(done * factor, (last - done) * factor)
            return
        self.errors, self.transcripts = ErrorCounter(), []
        beam = stage == sb.Stage.TEST and self.hparams.searcher is not None
        self.searcher = self.hparams.searcher(BLANK, self.corpus.tokenizer.labels) if beam else None

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the round's numbers, save a checkpoint, keep the latest and the best by dev CER."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
        elif stage == sb.Stage.VALID:
            rates = self.errors.rates()
            self.keep_time()
            row = {
                "epoch": epoch,
                "updates": self.optimizer_step,
                "lr": self.optimizer.param_groups[0]["lr"],
                "train_loss": self.train_loss,
                "valid_loss": float(stage_loss),
                "valid_CER": rates["CER"],
                "valid_WER": rates["WER"],
                "seconds": round(self.history.seconds, 1),
            }
            self.history.rounds.append(row)
            logger.info(
                "update %d: train loss %.3f, dev loss %.3f, dev CER %.2f %%, dev WER %.2f %%",
                *(row[key] for key in ("updates", "train_loss", "valid_loss", "valid_CER", "valid_WER")),
            )
            self.checkpointer.save_and_keep_only(meta=rates, min_keys=["CER"], importance_keys=[])

    def on_evaluate_start(self, max_key: str | None = None, min_key: str | None = None) -> None:
        """Load the trained tensors of the best checkpoint; counters and history stay."""
        del max_key, min_key
        best = self.checkpointer.find_checkpoint(min_key="CER")
        if best is None:
            raise UserError(f"{self.checkpointer.checkpoints_dir} holds no checkpoint to test; train first")
        self.checkpointer.load_only(best, ["trained"])
