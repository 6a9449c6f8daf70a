"""A Brain that counts updates, and is exact about accumulation, clipping, resuming and bad losses."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import get_rank, if_main_process
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor, nn
from torch.utils.data import DataLoader

from s3_speechbrain.brains.batches import SILENCE, Clips, SpeechBatch
from s3_speechbrain.brains.checkpoints import AtomicCheckpointer
from s3_speechbrain.brains.model import Recogniser, cache_size_mb, fill_cache
from s3_speechbrain.brains.sampling import BatchStream, Stream
from s3_speechbrain.brains.state import History, RandomState, TrainedState
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

CACHE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class UpdateBrain(sb.Brain):
    """Train one model for a number of updates.

    A round of `valid_every` updates is what SpeechBrain's loop calls an epoch.

    Parameters
    ----------
    model : nn.Module
        What is to learn is marked by `requires_grad` and does not change after this.
    hparams : mapping
        ``updates``, ``valid_every``, ``training`` (``optimizer``, ``schedule``), ``seed``, ``batch_seconds``,
        ``head_only_updates``, ``output_folder``, ``num_workers``, ``cache``, ``cache_limit_mb``, ``cache_dtype``.
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    def __init__(self, model: nn.Module, hparams: Mapping, run_opts: RunOptions | None = None) -> None:
        for name in ("updates", "valid_every"):
            if hparams[name] < 1:
                raise UserError(f"{name} is {hparams[name]}: give 1 or more")
        self.history = History()
        checkpointer = AtomicCheckpointer(
            Path(hparams["output_folder"]) / "checkpoints",
            recoverables={"trained": TrainedState(model), "history": self.history, "random": RandomState()},
        )
        super().__init__(
            {"model": model}, hparams=dict(hparams), run_opts=run_opts, checkpointer=checkpointer
        )
        self.rounds = EpochCounter(-(-self.hparams.updates // self.hparams.valid_every))
        checkpointer.add_recoverable("rounds", self.rounds)
        if self.hparams.head_only_updates:  # the encoder then gets no gradient at first
            self.find_unused_parameters = True
        self.stream: Stream | None = None
        self._clock = time.perf_counter()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups, each with ``params`` and ``lr``."""
        raise NotImplementedError

    @property
    def batch_limit(self) -> float:
        """The most that a batch holds, padding included, in the unit of the lengths of its items: seconds."""
        return self.hparams.batch_seconds

    def make_stream(self, durations: list[float]) -> BatchStream:
        """Make this process's stream of training batches, whose windows the rounds choose."""
        world, rank = 1, 0
        if self.distributed_launch:
            world, rank = torch.distributed.get_world_size(), int(get_rank() or 0)
        self.stream = BatchStream(durations, self.batch_limit, self.hparams.seed, rank, world)
        return self.stream

    def loader(self, clips: Clips, batches: Stream | None = None) -> DataLoader:
        """Make a loader: of a stream in training, of all clips sorted by length otherwise."""
        if batches is None:
            batches = clips.by_duration(self.hparams.batch_seconds)
        return DataLoader(
            clips,
            batch_sampler=batches,
            collate_fn=clips.collate,
            num_workers=0 if clips.cache else self.hparams.num_workers,
            pin_memory=self.device_type == "cuda",
            generator=torch.Generator(),  # else a loader made on resuming draws from the generator of dropout
        )

    def keep_in_memory(self, clips: Clips, model: Recogniser, training: bool = False) -> None:
        """Compute once what the frozen part of a model gives for clips, if it may be kept and fits.

        Parameters
        ----------
        clips : Clips
            Their ``cache`` and ``stage`` are set; unreadable ones are taken out.
        model : Recogniser
            On this Brain's device.
        training : bool
            See `fill_cache`.

        Raises
        ------
        UserError
            If no clip can be read.
        """
        stage = model.frozen_stage
        if clips.stage == stage or not self.hparams.cache:
            return
        if stage == "wave" or clips.stage not in (
            "wave",
            "features",
        ):  # an earlier training kept what it froze
            clips.forget()
        if stage == "wave":
            return
        dtype = CACHE_DTYPES[self.hparams.cache_dtype]
        size = cache_size_mb(model, clips, dtype)
        if size > self.hparams.cache_limit_mb:
            logger.info("Not caching %s: %.0f MB are more than cache_limit_mb", stage, size)
            return
        skipped = fill_cache(
            model,
            clips,
            self.device,
            dtype=dtype,
            seconds=self.hparams.batch_seconds,
            progress=not self.noprogressbar and if_main_process(),
            training=training,
        )
        self.note_skipped(skipped)
        if not clips.ids:
            raise UserError(f"none of {len(skipped)} clips could be read; the first: {skipped[0][1]}")

    def init_optimizers(self) -> None:
        """Build the optimiser."""
        groups = [{**group, "base_lr": group["lr"]} for group in self.parameter_groups() if group["params"]]
        self.optimizer = self.hparams.training["optimizer"](groups)
        self.optimizers_dict = {"optimizer": self.optimizer}
        self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Choose the round's batches: from the update reached, which after a resume lies within the round."""
        if stage == sb.Stage.TRAIN:
            last = min(epoch * self.hparams.valid_every, self.hparams.updates)
            factor = self.grad_accumulation_factor
            self.stream.window(self.optimizer_step * factor, (last - self.optimizer_step) * factor)

    def evaluate_batch(self, batch: SpeechBatch, stage: sb.Stage) -> Tensor:
        """Score one batch of dev or test."""
        self.note_skipped(batch.skipped)
        return super().evaluate_batch(batch.to(self.device), stage)

    def fit_batch(self, batch: SpeechBatch) -> Tensor:
        """Do one batch; one whose loss is not finite is counted, located and left out."""
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
                if should_step and self.distributed_launch:
                    # Earlier batches of this update have left gradients that were never exchanged: with them every
                    # process would go a way of its own.
                    self.optimizer.zero_grad(set_to_none=True)
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        return loss.detach().cpu()

    def optimizers_step(self) -> None:
        """Do one update: schedule, one clipping norm over all groups, step.

        SpeechBrain clips the first parameter group alone; here the norm is that of all trained parameters.
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
                f"the loss was not finite in {self.nonfinite_count} batches since the last validation, last "
                f"with clips {where}; lower --lr, use --precision fp32, or look at these clips"
            )

    def note_skipped(self, skipped: list[tuple[str, str]]) -> None:
        """Count clips that are left out, and say once which they are and why."""
        for clip, reason in skipped:
            if clip != SILENCE and clip not in self.history.skipped:
                self.history.skipped[clip] = reason
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
