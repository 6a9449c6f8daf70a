"""Which clips make a batch: dynamic sizes, and an endless reproducible stream for training."""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

POOL = 8  # batches that are sorted by length together


def by_duration(durations: Sequence[float], seconds: float) -> list[list[int]]:
    """Cut clips, longest first, into batches of at most `seconds`, padding included."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(durations)), key=lambda index: -durations[index]):
        if room == 0:
            batches.append([])
            room = max(1, int(seconds / max(durations[index], 1e-3)))
        batches[-1].append(index)
        room -= 1
    return batches


def shuffled_batches(durations: Sequence[float], seconds: float, seed: int) -> list[list[int]]:
    """Cut shuffled clips into batches of at most `seconds`, padding included.

    Clips are shuffled, cut into pools of about eight batches, and sorted by length within a pool only: little
    padding, full batches, and other neighbours in every pass. Buckets of fixed edges (SpeechBrain's
    `DynamicBatchSampler`) reserve room for the longest clip of a bucket and leave one unfilled batch in each,
    which with ten minutes of speech means batches a third full.

    Parameters
    ----------
    durations : sequence of float
        Seconds of each clip.
    seconds : float
        Most audio in a batch.
    seed : int
        The same seed gives the same batches.

    Returns
    -------
    list of list of int
        Indices of clips; each occurs once.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(durations))
    pools = np.cumsum(np.asarray(durations)[order]) // (POOL * seconds)
    batches = []
    for pool in np.unique(pools):
        clips = order[pools == pool]
        cut = by_duration([durations[clip] for clip in clips], seconds)
        batches += [clips[batch].tolist() for batch in cut]
    generator.shuffle(batches)
    return batches


class Stream(Sampler[list[int]]):
    """An endless sequence of batches, of which a window is read at a time.

    Subclasses tell in `batch` which clips make a batch.
    """

    def __init__(self) -> None:
        self.first, self.count = 0, 0

    def window(self, first: int, count: int) -> None:
        """Choose which of this process's batches the next iteration gives."""
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.first + self.count):
            yield self.batch(step)

    def batch(self, step: int) -> list[int]:
        """Give the clips of this process's batch number `step`."""
        raise NotImplementedError


class BatchStream(Stream):
    """An endless stream of shuffled dynamic batches, read in windows.

    Training is measured in updates, not in passes over the data: a window is the batches of some updates, it
    goes on where the last one stopped, and so no batch is lost where the number of batches of a pass is no
    multiple of the accumulation. Batch number n is a pure function of seed and n, which makes resuming exact.

    Parameters
    ----------
    durations : sequence of float
        Seconds of each clip.
    seconds : float
        Most audio in a batch, in seconds, with padding.
    seed : int
        Of the shuffling.
    rank, world : int
        Every process takes each `world`-th batch.
    """

    def __init__(
        self, durations: Sequence[float], seconds: float, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.durations, self.seconds, self.seed = durations, seconds, seed
        self.rank, self.world = rank, world
        super().__init__()
        self._passes = self._endless()
        self._seen: list[list[int]] = []
        self._position = 0  # number, in the stream, of the first batch of `_seen`

    def batch(self, step: int) -> list[int]:
        """Give the clips of this process's batch number `step`."""
        return self._batch(step * self.world + self.rank)

    def _endless(self) -> Iterator[list[list[int]]]:
        number = 0
        while True:
            yield shuffled_batches(self.durations, self.seconds, zlib.crc32(f"{self.seed}/{number}".encode()))
            number += 1

    def _batch(self, number: int) -> list[int]:
        if number < self._position:
            self._passes, self._seen, self._position = self._endless(), [], 0
        while number >= self._position + len(self._seen):
            self._position += len(self._seen)
            self._seen = next(self._passes)
        return self._seen[number - self._position]
