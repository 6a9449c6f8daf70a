"""Long audio in overlapping chunks whose CTC paths are joined where both neighbours agree.

Every chunk begins at a whole number of frames, so that frame k of a chunk that begins at frame s is frame s + k of
the recording, with the same samples below it. Two neighbours share an overlap; the seam lies in its middle half,
so that no frame is used that has less than a quarter of the overlap as context on either side.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.tokens import BLANK
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.waveform import EPSILON
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.paths import BestPath, best_paths, frame_step, join

AGREEMENT = 5  # frames on each side of a seam on which neighbours should agree: 0.1 s


@dataclass(frozen=True)
class Chunking:
    """How long audio is cut.

    Parameters
    ----------
    seconds : float
        Length of a chunk. What is not longer is never cut.
    overlap : float
        Seconds that two neighbours share, at most half a chunk.
    """

    seconds: float = 20.0
    overlap: float = 4.0

    def __post_init__(self) -> None:
        if not (0.2 <= self.overlap <= self.seconds / 2 and math.isfinite(self.seconds)):
            raise UserError(
                f"chunks of {self.seconds:g} s with {self.overlap:g} s of overlap: give an overlap of at least "
                "0.2 s and at most half a chunk"
            )

    def frames(self, encoder: SpeechEncoder, step: int = 1) -> tuple[int, int]:
        """Return chunk and overlap in frames, multiples of `step`, within what the encoder can take."""
        per_second = encoder.sampling_rate / encoder.frame_stride
        size = round(self.seconds * per_second)
        if encoder.family == "whisper":  # its position table ends
            size = min(size, encoder.model.config.max_source_positions)
        size -= size % step
        overlap = -(-round(self.overlap * per_second) // step) * step
        return size, min(overlap, size // (2 * step) * step)


@dataclass(frozen=True)
class Level:
    """Number of samples, mean and variance of a whole recording."""

    samples: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @classmethod
    def of(cls, blocks: Iterable[Tensor]) -> "Level":
        """Measure a signal that comes in blocks."""
        samples, total, squares = 0, 0.0, 0.0
        for block in blocks:
            values = block.double()
            samples += len(values)
            total += float(values.sum())
            squares += float(values.square().sum())
        mean = total / max(samples, 1)
        return cls(samples, mean, max(0.0, squares / max(samples, 1) - mean**2))

    def normalise(self, wave: Tensor) -> Tensor:
        """Give a part of the recording the scale that the whole would have with zero mean and unit variance."""
        return (wave - self.mean) / (self.variance + EPSILON) ** 0.5


def samples_for(encoder: SpeechEncoder, frames: int) -> int:
    """Return the fewest samples that give so many frames."""
    low, high = 1, (frames + 10) * encoder.frame_stride
    while low < high:
        middle = (low + high) // 2
        if int(encoder.frame_count(middle)) >= frames:
            high = middle
        else:
            low = middle + 1
    return low


def cut(blocks: Iterable[Tensor], size: int, hop: int) -> Iterator[Tensor]:
    """Cut a signal that comes in blocks into chunks.

    Parameters
    ----------
    blocks : iterable of Tensor
        Samples, shape (N,) each.
    size, hop : int
        Samples of a chunk, and between the beginnings of two.

    Yields
    ------
    Tensor
        Chunks of `size` samples; the last one holds what is left, more than ``size - hop`` unless it is the only
        one.
    """
    held = torch.zeros(0)
    for block in blocks:
        held = torch.cat([held, block])
        while len(held) > size:
            yield held[:size]
            held = held[hop:]
    yield held


def long_path(
    model: Recogniser,
    blocks: Iterable[Tensor],
    level: Level,
    chunking: Chunking,
    heard: Callable[[float], None] | None = None,
) -> BestPath:
    """Compute the best path of a recording with one chunk of it in memory at a time.

    Parameters
    ----------
    model : Recogniser
        In evaluation mode, on the CPU.
    blocks : iterable of Tensor
        The recording at 16 kHz, in pieces of any size.
    level : Level
        Of the whole recording: what an encoder that normalises waveforms uses for every chunk, so that a silent
        chunk stays silent.
    chunking : Chunking
        How to cut.
    heard : callable, optional
        Told the seconds of new audio after each chunk.

    Returns
    -------
    BestPath
        Of all frames of the recording. Where a frame depends on no more than a quarter of the overlap on either
        side it is the path of the uncut recording.
    """
    encoder, step = model.encoder, frame_step(model)
    size, overlap = chunking.frames(encoder, step)
    hop = size - overlap
    parts: list[BestPath] = []
    with _normalised_before(encoder) as normalises:
        chunks = cut(blocks, samples_for(encoder, size), hop * encoder.frame_stride)
        for number, chunk in enumerate(chunks):
            start = number * hop
            wave = level.normalise(chunk) if normalises else chunk
            path = best_paths(model, [wave])[0].moved(start)
            if parts:
                place = seam(parts[-1], path, start + overlap // 4, start + overlap - overlap // 4, step)
                parts[-1], path = parts[-1].between(0, place), path.between(place)
            parts.append(path)
            if heard is not None:
                new = len(chunk) - (overlap * encoder.frame_stride if number else 0)
                heard(new / encoder.sampling_rate)
    return join(parts)


@contextmanager
def _normalised_before(encoder: SpeechEncoder) -> Iterator[bool]:
    """Take waveforms as they are while the block runs; yields whether the encoder normalises them otherwise."""
    before, encoder.normalises = encoder.normalises, False
    try:
        yield before
    finally:
        encoder.normalises = before


def seam(left: BestPath, right: BestPath, first: int, last: int, step: int = 1) -> int:
    """Choose the frame from which on the right one of two overlapping paths is used.

    The frame around which the two differ least; of equal ones a place where both see the blank; of those the one
    nearest to the middle.

    Parameters
    ----------
    left, right : BestPath
        With places in the recording.
    first, last : int
        Frames that may be the seam, both included.
    step : int
        The seam is a multiple of it.

    Returns
    -------
    int
        The seam.
    """
    begin, end = first - AGREEMENT, last + AGREEMENT
    one, other = _labels(left, begin, end), _labels(right, begin, end)
    spoken = (one != BLANK) | (other != BLANK)
    differing = np.concatenate([[0], np.cumsum(one != other)])
    places = np.arange(-(-first // step) * step, last + 1, step)
    at = places - begin
    around = differing[at + AGREEMENT] - differing[at - AGREEMENT]
    inside = spoken[at - 1] | spoken[np.minimum(at, len(spoken) - 1)]
    off_centre = np.abs(2 * places - first - last)
    return int(places[np.lexsort((off_centre, inside, around))[0]])


def _labels(path: BestPath, begin: int, end: int) -> np.ndarray:
    """Return the labels of frames `begin` to `end`; frames that a selector left out count as blanks."""
    part = path.between(begin, end)
    labels = np.full(end - begin, BLANK, np.int64)
    labels[part.places - begin] = part.labels
    return labels
