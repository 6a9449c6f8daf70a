"""Which language is trained when: shares by temperature, turns spread evenly, one language per update."""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from s3_speechbrain.brains.batches import Clips, SpeechBatch
from s3_speechbrain.brains.sampling import BatchStream, Stream, by_duration
from s3_speechbrain.errors import UserError


def temperature_shares(minutes: Sequence[float], temperature: float | None) -> list[float]:
    """Give each language its share of the training, ``p ~ minutes^(1 / temperature)``.

    Parameters
    ----------
    minutes : sequence of float
        Training data of each language, above 0.
    temperature : float or None
        1 follows the amounts of data, larger values favour languages with little of it, None treats all alike.

    Returns
    -------
    list of float
        They sum to 1.

    Raises
    ------
    UserError
        If the temperature is not above 0.

    Examples
    --------
    >>> [round(share, 3) for share in temperature_shares([90, 10], 2)]
    [0.75, 0.25]
    """
    if temperature is not None and not temperature > 0:
        raise UserError(
            f"temperature is {temperature}: give a number above 0, or null to treat languages alike"
        )
    # Scaled by the largest first: a power of large minutes at a temperature near 0 would overflow.
    largest = max(minutes)
    weights = [1.0 if temperature is None else (amount / largest) ** (1 / temperature) for amount in minutes]
    return [weight / sum(weights) for weight in weights]


def take_turns(shares: Sequence[float], count: int, seed: int) -> list[int]:
    """Draw the order in which languages are trained: random, yet at every point close to their shares.

    Turn number k of a language with share p comes at a random time within ``[k / p, (k + 1) / p)``, and all turns
    are sorted by time. After any n turns a language has had ``p n`` of them to within ``1 + p L`` for L languages;
    drawing each turn independently would leave errors that grow with the square root of n. The turns of a
    smaller count are the beginning of those of a larger one.

    Parameters
    ----------
    shares : sequence of float
        Of each language, above 0, summing to 1.
    count : int
        How many turns.
    seed : int
        The same seed gives the same order.

    Returns
    -------
    list of int
        Indices into `shares`.
    """
    times, languages = [], []
    for index, share in enumerate(shares):
        turns = math.ceil(share * (count + len(shares))) + 1  # more than can come among the first `count`
        generator = np.random.default_rng(zlib.crc32(f"{seed}/{index}".encode()))
        times.append((np.arange(turns) + generator.random(turns)) / share)
        languages.append(np.full(turns, index))
    order = np.argsort(np.concatenate(times), kind="stable")
    return np.concatenate(languages)[order][:count].tolist()


class LanguageClips(Dataset):
    """Clips of several languages as one set.

    Parameters
    ----------
    clips : mapping of str to Clips
        By language, with whatever is to be cached in place.
    """

    def __init__(self, clips: Mapping[str, Clips]) -> None:
        self.clips = dict(clips)
        self.places = [(language, index) for language, one in clips.items() for index in range(len(one))]
        self.durations = [self.clips[language].durations[index] for language, index in self.places]
        self.cache = any(one.cache for one in clips.values())
        sizes = [len(one) for one in clips.values()]
        self.offsets = dict(zip(clips, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict:
        language, place = self.places[index]
        return {**self.clips[language][place], "language": language}

    def collate(self, items: Sequence[dict]) -> SpeechBatch:
        """Pad items to a batch, which carries its language where all clips are of one."""
        languages = {item["language"] for item in items}
        batch = self.clips[items[0]["language"]].collate(items)
        batch.language = languages.pop() if len(languages) == 1 else None
        return batch

    def by_duration(self, seconds: float) -> list[list[int]]:
        """Cut all clips into batches of one language each, for evaluation."""
        return [
            [self.offsets[language] + index for index in batch]
            for language, clips in self.clips.items()
            for batch in by_duration(clips.durations, seconds)
        ]


class LanguageStream(Stream):
    """Batches of one language each, for training; every update is of one language, on all processes.

    A language's batches, in their order, are those of `BatchStream` for this language alone.

    Parameters
    ----------
    streams : mapping of str to BatchStream
        By language; each knows its process.
    offsets : mapping of str to int
        Number, in the common set, of each language's first clip.
    turns : sequence of str
        The language of each update.
    factor : int
        Batches that this process accumulates for an update.
    """

    def __init__(
        self,
        streams: Mapping[str, BatchStream],
        offsets: Mapping[str, int],
        turns: Sequence[str],
        factor: int = 1,
    ) -> None:
        self.streams, self.offsets, self.turns, self.factor = streams, offsets, turns, factor
        seen = dict.fromkeys(streams, 0)
        self._numbers = []  # how many updates of its language came before each update
        for language in turns:
            self._numbers.append(seen[language])
            seen[language] += 1
        super().__init__()

    def batch(self, step: int) -> list[int]:
        """Give the clips, by number in the common set, of this process's batch number `step`."""
        update, part = divmod(step, self.factor)
        language = self.turns[update]
        batch = self.streams[language].batch(self._numbers[update] * self.factor + part)
        return [self.offsets[language] + index for index in batch]
