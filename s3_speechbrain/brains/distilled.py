"""Brains that also learn from what a dense network says (logit distillation)."""

from collections.abc import Mapping

import speechbrain as sb
import torch
import torch.nn.functional as F
from speechbrain.utils.run_opts import RunOptions
from torch import Tensor

from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.corpus import Corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.masked import MaskBrain
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.structured import StructuredBrain


def frame_divergence(logits: Tensor, taught: Tensor, frames: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of a student's labels from a teacher's, the mean over valid frames.

    Parameters
    ----------
    logits, taught : Tensor
        Of student and teacher, (B, T, V).
    frames : Tensor
        Valid frames, (B,).

    Returns
    -------
    Tensor
        ``mean_t sum_v q_v (log q_v - log p_v)``, q the teacher's and p the student's probabilities; a float32
        scalar, 0 where both agree.
    """
    p, q = (values.float().log_softmax(-1) for values in (logits, taught))
    each = F.kl_div(p, q, reduction="none", log_target=True).sum(-1)
    valid = torch.arange(each.shape[1], device=each.device) < frames[:, None]
    return each[valid].mean()


class TaughtBrain(CTCBrain):
    """Train on CTC and, with the weight ``distil``, on the divergence from a dense network's output.

    Parameters
    ----------
    model, corpus, hparams, run_opts
        As for the Brain that it stands before in a class's bases, and ``distil``.
    teacher : Recogniser
        The dense network. It shares the frozen extractor, so that it hears what is kept in memory.
    """

    def __init__(
        self,
        model: Recogniser,
        corpus: Corpus,
        hparams: Mapping,
        run_opts: RunOptions | None,
        teacher: Recogniser,
    ) -> None:
        super().__init__(model, corpus, hparams, run_opts)
        self.teacher = teacher.to(self.device).eval()

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: SpeechBatch, stage: sb.Stage
    ) -> Tensor:
        """Return the CTC loss, in training with the weighted divergence added."""
        loss = super().compute_objectives(predictions, batch, stage)
        if stage != sb.Stage.TRAIN:
            return loss
        with torch.no_grad():
            taught, _ = self.teacher(batch.inputs.float(), batch.lengths, batch.stage)
        logits, frames = predictions
        return loss + self.hparams.distil * frame_divergence(logits, taught, frames)


class TaughtStructuredBrain(TaughtBrain, StructuredBrain):
    """Remove units of a network that learns from what it was before."""


class TaughtMaskBrain(TaughtBrain, MaskBrain):
    """Learn masks over frozen weights from a finetuned network."""
