"""The best CTC path of clips: per frame the best label, how likely it is, and where in time the frame is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.sampling import by_duration
from s3_speechbrain.brains.tokens import BLANK
from s3_speechbrain.tokens import Shortened

BATCH_SECONDS = 30.0


@dataclass(frozen=True)
class BestPath:
    """The best label of each frame that went through the transformer.

    Attributes
    ----------
    places : numpy.ndarray
        Number of each frame among all frames of the clip (one per 20 ms), ascending, int64, shape (T,). A token
        selector leaves some out.
    labels : numpy.ndarray
        Index of the best label, the blank among them, int64, shape (T,).
    log_probs : numpy.ndarray
        Its log-posterior (natural logarithm of its softmax), float32, shape (T,).
    """

    places: np.ndarray
    labels: np.ndarray
    log_probs: np.ndarray

    def between(self, first: int, last: int | None = None) -> "BestPath":
        """Return the part with ``first <= places < last``."""
        start, end = np.searchsorted(self.places, (first, np.iinfo(np.int64).max if last is None else last))
        return BestPath(self.places[start:end], self.labels[start:end], self.log_probs[start:end])

    def runs(self) -> list[tuple[int, int]]:
        """Return first and last + 1 of each run of one label that is not the blank."""
        borders = np.flatnonzero(np.diff(self.labels)) + 1
        edges = [0, *borders.tolist(), len(self.labels)]
        pairs = itertools.pairwise(edges)
        return [(first, last) for first, last in pairs if first < last and self.labels[first] != BLANK]

    def collapsed(self) -> list[int]:
        """Return the labels with repeats merged and blanks dropped, as greedy decoding does."""
        return [int(self.labels[first]) for first, _ in self.runs()]

    def moved(self, frames: int) -> "BestPath":
        """Return the path with its places counted from a point that many frames earlier."""
        return BestPath(self.places + frames, self.labels, self.log_probs)


EMPTY = BestPath(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def join(parts: Sequence[BestPath]) -> BestPath:
    """Put paths behind one another."""
    if not parts:
        return EMPTY
    return BestPath(
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.log_probs for part in parts]),
    )


@torch.inference_mode()
def best_paths(model: Recogniser, waves: Sequence[Tensor]) -> list[BestPath]:
    """Compute the best path of each clip; clips of like length share a batch, which changes no result.

    Parameters
    ----------
    model : Recogniser
        In evaluation mode, on the CPU.
    waves : sequence of Tensor
        Samples at 16 kHz, shape (N,) each.

    Returns
    -------
    list of BestPath
        Empty ones for clips too short for one frame.
    """
    encoder = model.encoder
    found = [EMPTY] * len(waves)
    usable = [index for index, wave in enumerate(waves) if int(encoder.frame_count(wave.numel())) > 0]
    seconds = [waves[index].numel() / encoder.sampling_rate for index in usable]
    for batch in by_duration(seconds, BATCH_SECONDS):
        rows = [usable[place] for place in batch]
        lengths = torch.tensor([waves[row].numel() for row in rows])
        padded = torch.nn.utils.rnn.pad_sequence([waves[row].cpu().float() for row in rows], True)
        logits, frames, places = _located(model, padded, lengths.double() / padded.shape[1])
        best = logits.float().log_softmax(-1).max(-1)
        for row, place, label, log_prob, count in zip(
            rows, places, best.indices, best.values, frames.tolist(), strict=True
        ):
            found[row] = BestPath(*(values[:count].cpu().numpy() for values in (place, label, log_prob)))
    return found


def _located(model: Recogniser, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (B, T, V), valid frames (B,) and the places (B, T) of the frames in time."""
    seen: list[Shortened] = []
    if model.selector is None:
        logits, frames = model(waves, lengths)
    else:
        hook = model.selector.register_forward_hook(lambda _module, _args, short: seen.append(short))
        try:
            logits, frames = model(waves, lengths)
        finally:
            hook.remove()
    index = seen[0].index if seen else None
    if index is None:  # all frames, or every so many-th one after a convolution with a stride
        steps = torch.arange(logits.shape[1]) * frame_step(model)
        index = steps.expand(logits.shape[0], -1)
    return logits, frames, index


def frame_step(model: Recogniser) -> int:
    """Return how many frames become one in a selector that is a convolution with a stride; 1 otherwise."""
    return getattr(model.selector, "factor", 1)
