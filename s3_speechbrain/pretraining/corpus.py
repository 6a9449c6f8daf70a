"""Unlabelled audio for pretraining: decoded, without repetitions, in batches of similar length."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor
from torch.utils.data import IterableDataset
from tqdm import tqdm

from s3_speechbrain.data.audio_folders import find_audio
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

SAMPLING_RATE = 16000


@dataclass
class Clips:
    """Decoded clips: 16 kHz, 16 bit, one array each, in a fixed order."""

    names: list[str]
    arrays: list[np.ndarray]

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return sum(map(len, self.arrays)) / SAMPLING_RATE / 3600


@lru_cache(maxsize=16)
def _resampler(rate: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(rate, SAMPLING_RATE)


def decode(path: Path, min_seconds: float, max_seconds: float) -> np.ndarray | None:
    """Decode one clip to 16 kHz mono int16, cut to `max_seconds`; None if unreadable, silent or too short."""
    try:
        wav, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        logger.warning("skipped %s: %s", path, error)
        return None
    mono = torch.from_numpy(wav.mean(axis=1))
    if rate != SAMPLING_RATE and len(mono):
        mono = _resampler(rate)(mono)
    mono = mono[: int(max_seconds * SAMPLING_RATE)]
    if len(mono) < min_seconds * SAMPLING_RATE or not mono.abs().max() > 1e-4:
        return None
    return (mono.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()


def load_clips(
    folders: Sequence[str], min_seconds: float = 0.4, max_seconds: float = 15.0, threads: int = 2
) -> tuple[Clips, dict]:
    """Decode every clip of several folders into memory (115 MB an hour).

    Returns
    -------
    clips : Clips
        Sorted by path, without exact duplicates.
    counts : dict
        Per folder: files found, clips kept, hours.

    Raises
    ------
    UserError
        If a folder is missing or holds nothing that can be used.
    """
    clips, counts, seen = Clips([], []), {}, set()
    for folder in folders:
        paths = find_audio(folder)
        before = len(clips.arrays), clips.hours
        with ThreadPoolExecutor(threads) as pool:
            decoded = pool.map(lambda path: decode(path, min_seconds, max_seconds), paths)
            for path, array in tqdm(
                zip(paths, decoded, strict=True), total=len(paths), desc=Path(folder).name
            ):
                digest = None if array is None else hashlib.sha256(array.tobytes()).digest()
                if digest is None or digest in seen:
                    continue
                seen.add(digest)
                clips.names.append(str(path))
                clips.arrays.append(array)
        kept = len(clips.arrays) - before[0]
        if not kept:
            raise UserError(
                f"{folder}: none of {len(paths)} files could be used; see the log for the reasons"
            )
        counts[Path(folder).name] = {
            "found": len(paths),
            "kept": kept,
            "hours": round(clips.hours - before[1], 3),
        }
    return clips, counts


def draw_batches(clips: Clips, seconds: float, seed: int, number: int) -> list[list[int]]:
    """Group clips of similar length into batches, in an order drawn anew for each pass over the data.

    Parameters
    ----------
    clips : Clips
        Decoded audio.
    seconds : float
        Most seconds in a batch, padding included.
    seed, number : int
        The result depends on the seed and the number of the pass only.

    Returns
    -------
    list of list of int
        Indices into the clips; every clip once.
    """
    generator = np.random.default_rng([seed, number])
    lengths = np.array([len(array) for array in clips.arrays])
    # Sorting by a jittered length keeps batches tight without pairing the same clips in every pass.
    order = np.argsort(lengths * generator.uniform(0.9, 1.1, len(lengths)), kind="stable")
    batches: list[list[int]] = []
    batch: list[int] = []
    longest = 0
    for index in order.tolist():
        longest = max(longest, int(lengths[index]))
        if batch and longest * (len(batch) + 1) > seconds * SAMPLING_RATE:
            batches.append(batch)
            batch, longest = [], int(lengths[index])
        batch.append(index)
    batches.append(batch)
    generator.shuffle(batches)
    return batches


def collate(clips: Clips, indices: Sequence[int]) -> tuple[Tensor, Tensor, list[str]]:
    """Return padded waveforms (B, N) in [-1, 1], relative lengths (B,) and names."""
    wavs = [torch.from_numpy(clips.arrays[i]).float() / 32768 for i in indices]
    lengths = torch.tensor([len(wav) for wav in wavs])
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    return padded, lengths / lengths.max(), [clips.names[i] for i in indices]


class BatchStream(IterableDataset):
    """An endless stream of batches, served in stretches.

    Parameters
    ----------
    clips : Clips
        Decoded audio.
    seconds : float
        Most seconds in a batch.
    seed : int
        Draws the order.
    due : callable, optional
        Says, whenever a stretch begins, which numbers its batches have in the stream, so that a resumed run goes on
        where it stopped. Without it one pass is served and no more.
    """

    def __init__(
        self, clips: Clips, seconds: float, seed: int, due: Callable[[], range] | None = None
    ) -> None:
        super().__init__()
        self.clips, self.seconds, self.seed, self.due = clips, seconds, seed, due

    def _stretch(self) -> range:
        if self.due is not None:
            return self.due()
        return range(len(draw_batches(self.clips, self.seconds, self.seed, 0)))

    def __len__(self) -> int:
        return len(self._stretch())

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, list[str]]]:
        """Iterate over the batches of the stretch that is due."""
        stretch = self._stretch()  # asked once: what is due changes with every update
        place = number = 0
        while place < stretch.stop:
            for batch in draw_batches(self.clips, self.seconds, self.seed, number):
                if place in stretch:
                    yield collate(self.clips, batch)
                place += 1
            number += 1


def split_held_out(clips: Clips, share: float) -> tuple[Clips, Clips]:
    """Keep a fixed share of the clips (chosen by a hash of their audio) for the validation curve."""
    held = [int(hashlib.sha256(a.tobytes()).hexdigest()[:8], 16) / 2**32 < share for a in clips.arrays]
    parts = [[i for i, is_held in enumerate(held) if is_held is wanted] for wanted in (False, True)]
    train, valid = (Clips([clips.names[i] for i in part], [clips.arrays[i] for i in part]) for part in parts)
    if not train.arrays or not valid.arrays:
        raise UserError("too little audio to hold some out for validation; add folders or raise held_out")
    return train, valid
