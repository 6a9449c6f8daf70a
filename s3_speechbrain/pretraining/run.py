"""The pretraining run: student and objective from settings, its Brain, its curve and what it leaves behind."""

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import speechbrain as sb
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from s3_speechbrain.brains.schedules import tri_stage
from s3_speechbrain.pretraining.corpus import BatchStream, Clips
from s3_speechbrain.report.provenance import portable_command, portable_path

matplotlib.use("Agg")
logger = logging.getLogger(__name__)


class PretrainingBrain(sb.Brain):
    """Trains ``modules.student`` and ``modules.objective`` together; the objective is the method.

    Reads from hparams: ``updates``, ``updates_per_epoch``, ``epoch_counter``, ``lr``, ``lr_stages``,
    ``output_folder``; for the loaders also ``batch_seconds`` and ``seed``.
    """

    def due(self) -> range:
        """Return the numbers of the updates up to the next validation; the last stretch may be shorter."""
        end = min(self.optimizer_step + int(self.hparams.updates_per_epoch), int(self.hparams.updates))
        return range(self.optimizer_step, end)

    def on_fit_start(self) -> None:
        """Resume where a checkpoint is, and set the limit of epochs to what is left of the updates."""
        super().on_fit_start()
        counter, left = self.hparams.epoch_counter, self.hparams.updates - self.optimizer_step
        # counted from here: a finished run that goes on with more updates may have a short epoch behind it
        counter.limit = counter.current + max(0, math.ceil(left / self.hparams.updates_per_epoch))

    def compute_forward(self, batch: tuple[Tensor, Tensor, list[str]], stage: sb.Stage) -> dict[str, Tensor]:
        """Return the objective's loss and its parts."""
        wavs, wav_lens, names = batch
        return self.modules.objective(
            self.modules.student, wavs.to(self.device), wav_lens.to(self.device), names
        )

    def compute_objectives(self, predictions: dict[str, Tensor], batch: object, stage: sb.Stage) -> Tensor:
        """Collect the parts for the log and return the loss."""
        for name, value in predictions.items():
            self.parts.setdefault(name, []).append(float(value.detach()))
        return predictions["loss"]

    def on_fit_batch_start(self, batch: tuple[Tensor, Tensor, list[str]], should_step: bool) -> None:
        """Set the learning rate of this update and count the audio heard."""
        wavs, wav_lens, _ = batch
        self.heard += float((wav_lens * wavs.shape[1]).sum()) / 16000
        for group in self.optimizer.param_groups:
            group["lr"] = self.hparams.lr * tri_stage(
                self.optimizer_step, self.hparams.updates, **self.hparams.lr_stages
            )

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Begin a new set of averages."""
        self.parts: dict[str, list[float]] = {}
        if stage == sb.Stage.TRAIN:
            self.heard, self.began = 0.0, time.monotonic()

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Write the epoch to ``curve.jsonl``, draw ``curve.png``, keep the newest checkpoint."""
        means = {name: round(sum(values) / len(values), 4) for name, values in self.parts.items() if values}
        if stage == sb.Stage.TRAIN:
            seconds = time.monotonic() - self.began
            self.row = {"epoch": epoch, "updates": self.optimizer_step, "seconds": round(seconds, 1)}
            self.row |= {"audio_s": round(self.heard, 1), "train": means}
            return
        append_curve(Path(self.hparams.output_folder), {**self.row, "valid": means})
        logger.info("%s", {**self.row, "valid": means})
        self.checkpointer.save_and_keep_only(meta={"loss": stage_loss}, num_to_keep=1)


def append_curve(folder: Path, row: Mapping) -> None:
    """Add an epoch to ``curve.jsonl`` (replacing it if a resumed run repeats it) and redraw ``curve.png``."""
    path = folder / "curve.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    rows = [old for old in rows if old["epoch"] < row["epoch"]] + [dict(row)]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    for part in ("train", "valid"):
        axis.plot([r["updates"] for r in rows], [r[part]["loss"] for r in rows], label=part)
    axis.set(xlabel="updates", ylabel="loss")
    axis.legend()
    figure.savefig(folder / "curve.png", dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def loaders(train: Clips, valid: Clips, brain: PretrainingBrain) -> tuple[DataLoader, DataLoader]:
    """Make the loaders of training, a stretch of which is what `brain` has due, and of validation."""
    seconds, seed = brain.hparams.batch_seconds, brain.hparams.seed
    streams = BatchStream(train, seconds, seed, brain.due), BatchStream(valid, seconds, seed)
    return tuple(DataLoader(stream, batch_size=None) for stream in streams)


def summary(hparams: Mapping, counts: Mapping, clips: Clips, student: torch.nn.Module) -> dict:
    """Collect what the model card and ``pretraining.json`` state about a finished run."""
    rows = [
        json.loads(line) for line in (Path(hparams["output_folder"]) / "curve.jsonl").read_text().splitlines()
    ]
    return {
        "parameters": sum(parameter.numel() for parameter in student.model.parameters()),
        "hours": round(clips.hours, 2),
        "folders": dict(counts),
        "updates": rows[-1]["updates"],
        "audio_heard_h": round(sum(row["audio_s"] for row in rows) / 3600, 2),
        "wall_s": round(sum(row["seconds"] for row in rows)),
        "target": hparams["target"],
        "teacher": portable_path(str(hparams["teacher"])) if hparams["teacher_encoder"] else None,
        "pairs": hparams["pairs"],
        "seed": hparams["seed"],
        "lr": hparams["lr"],
        "batch_seconds": hparams["batch_seconds"],
        "first_valid": rows[0]["valid"],
        "last_valid": rows[-1]["valid"],
        "command": portable_command(hparams["run"]["command"]),
    }
