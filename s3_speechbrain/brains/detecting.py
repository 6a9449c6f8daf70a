"""Training of the detector of salient frames on a teacher's labels, and scores of whole sets of clips."""

from collections.abc import Mapping
from typing import Any

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from s3_speechbrain.brains.batches import Clips, SpeechBatch
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.tokens import (
    ScoredSelector,
    TokenDetector,
    detector_loss,
    not_blank_logit,
    salient_frames,
)


@torch.no_grad()
def teacher_targets(
    teacher: Recogniser,
    loader: DataLoader,
    device: str,
    rule: Mapping[str, Any] | None,
    progress: bool = False,
) -> dict[str, Tensor]:
    """Label the frames of clips with a teacher's output; no transcript is needed.

    Parameters
    ----------
    teacher : Recogniser
        Finetuned, on `device`.
    loader : DataLoader
        Of `SpeechBatch`.
    device : str
        Where to compute.
    rule : mapping or None
        Arguments of `salient_frames`; None takes the probability of not being blank instead.
    progress : bool
        Show a bar.

    Returns
    -------
    dict of str to Tensor
        By clip, a row (T,) on the CPU: boolean, or probabilities.
    """
    teacher.eval()
    targets: dict[str, Tensor] = {}
    for batch in tqdm(loader, desc="teacher labels", disable=not progress, dynamic_ncols=True):
        batch = batch.to(device)
        logits, frames = teacher(batch.inputs.float(), batch.lengths, batch.stage)
        if rule is None:
            rows = not_blank_logit(logits.float()).sigmoid()
        else:
            rows = salient_frames(logits.argmax(-1), frames, **rule)
        targets |= _rows(batch, rows, frames)
    return targets


@torch.no_grad()
def score_clips(
    model: Recogniser, selector: ScoredSelector, loader: DataLoader, device: str
) -> dict[str, Tensor]:
    """Return the scores that a selector gives the frames of each clip: by clip, a row (T,) on the CPU."""
    selector.eval()
    scores: dict[str, Tensor] = {}
    for batch in loader:
        batch = batch.to(device)
        wavs = batch.inputs if batch.stage == "wave" else None
        features, frames = model.encode(batch.inputs.float(), batch.lengths, batch.stage, "features")
        scores |= _rows(batch, selector.scores(features, frames, wavs), frames)
    return scores


def _rows(batch: SpeechBatch, values: Tensor, frames: Tensor) -> dict[str, Tensor]:
    rows = zip(batch.ids, values.cpu(), frames.tolist(), strict=True)
    return {clip: row[:count] for clip, row, count in rows}


class DetectorBrain(UpdateBrain):
    """Train a detector on a teacher's labels.

    Parameters
    ----------
    detector : TokenDetector
        Trained as a whole.
    teacher : Recogniser
        Labels the clips; its extractor makes the features. Nothing of it trains.
    rule : mapping or None
        See `teacher_targets`.
    hparams : mapping
        Those of `UpdateBrain`, ``lr``, ``positive_weight`` and ``dropout`` (of the features in training).
    run_opts : RunOptions, optional
        SpeechBrain's run options.
    """

    def __init__(
        self,
        detector: TokenDetector,
        teacher: Recogniser,
        rule: Mapping[str, Any] | None,
        hparams: Mapping,
        run_opts: RunOptions | None = None,
    ) -> None:
        super().__init__(detector, hparams, run_opts)
        self.detector = detector  # in several processes the module that trains is a wrapper around it
        self.teacher, self.rule = teacher.to(self.device), rule
        self.targets: dict[str, Tensor] = {}

    def train(self, train: Clips, dev: Clips) -> TokenDetector:
        """Label clips, then train, going on from the latest checkpoint; return the detector with the best dev loss."""
        for clips in (train, dev):
            self.keep_in_memory(clips, self.teacher)
            show = not self.noprogressbar and if_main_process()
            self.targets |= teacher_targets(self.teacher, self.loader(clips), self.device, self.rule, show)
        self.fit(self.rounds, self.loader(train, self.make_stream(train.durations)), self.loader(dev))
        best = self.checkpointer.find_checkpoint(min_key="loss")
        self.checkpointer.load_only(best, ["trained"])
        return self.detector

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return all weights of the detector."""
        return [{"params": list(self.modules.model.parameters()), "lr": self.hparams.lr}]

    def compute_forward(self, batch: SpeechBatch, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """Return logits (B, T) and valid frames (B,)."""
        inputs = batch.inputs.float(), batch.lengths, batch.stage
        with torch.no_grad():
            features, frames = self.teacher.encode(*inputs, "features")
        # a detector that knows its training clips by heart would select otherwise in use than in the student's training
        features = F.dropout(features, self.hparams.dropout, training=stage == sb.Stage.TRAIN)
        return self.modules.model(features, frames), frames

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: SpeechBatch, stage: sb.Stage
    ) -> Tensor:
        """Return the weighted binary cross-entropy per frame."""
        del stage
        logits, frames = predictions
        targets = torch.zeros_like(logits)
        for row, clip in zip(targets, batch.ids, strict=True):
            if clip in self.targets:  # not so the silence that stands in for unreadable clips
                row[: len(self.targets[clip])] = self.targets[clip]
        return detector_loss(logits, targets, frames, self.hparams.positive_weight)

    def on_stage_end(self, stage: sb.Stage, stage_loss: float, epoch: int | None = None) -> None:
        """Keep the round's losses, save a checkpoint, keep the latest and the best by dev loss."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
            return
        self.keep_time()
        row = {"epoch": epoch, "updates": self.optimizer_step, "train_loss": self.train_loss}
        self.history.rounds.append({**row, "valid_loss": float(stage_loss)})
        self.checkpointer.save_and_keep_only(
            meta={"loss": float(stage_loss)}, min_keys=["loss"], importance_keys=[]
        )
