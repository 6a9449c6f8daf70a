"""From manifests to padded batches: reading audio, leaving out what cannot be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from s3_speechbrain.brains.sampling import by_duration
from s3_speechbrain.brains.tokens import Tokenizer, frames_needed

RATE = 16000
SILENCE = "(silence)"  # id of the clip that stands in for a batch of unreadable ones


@dataclass
class SpeechBatch:
    """A padded batch.

    Attributes
    ----------
    ids, texts : list of str
        One per utterance.
    inputs : Tensor
        Waveforms (B, N), or cached activations (B, T, ...), see `stage`.
    lengths : Tensor
        Lengths relative to N for waveforms, valid frames (int64) for activations, shape (B,).
    targets : Tensor
        Label indices padded with 0, shape (B, S).
    target_lengths : Tensor
        Shape (B,).
    stage : str
        What `inputs` are: ``"wave"``, ``"features"``, ``"kept"`` or ``"hidden"``; see `Recogniser`.
    skipped : list of (str, str)
        Clips that could not be read: id and reason.
    language : str or None
        Of all its clips, where a model serves several languages.
    """

    ids: list[str]
    texts: list[str]
    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    stage: str
    skipped: list[tuple[str, str]]
    language: str | None = None

    def frames_needed(self) -> Tensor:
        """Count the frames that CTC needs for each target, int64, shape (B,)."""
        rows = zip(self.targets.tolist(), self.target_lengths, strict=True)
        return torch.tensor([frames_needed(row[:size]) for row, size in rows], device=self.lengths.device)

    def to(self, device: str | torch.device) -> "SpeechBatch":
        """Move the tensors."""
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    def pin_memory(self) -> "SpeechBatch":
        """Pin the tensors, for a loader with ``pin_memory``."""
        return replace(
            self,
            **{
                field.name: getattr(self, field.name).pin_memory()
                for field in fields(self)
                if isinstance(getattr(self, field.name), Tensor)
            },
        )


@lru_cache(maxsize=16)
def _resampler(source: int) -> torchaudio.transforms.Resample:
    return torchaudio.transforms.Resample(source, RATE)


def read_audio(path: str | Path) -> Tensor:
    """Read a clip as mono at 16 kHz.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile knows.

    Returns
    -------
    Tensor
        Shape (N,), float32.

    Raises
    ------
    ValueError
        If the file cannot be read, is empty or holds values that are not finite.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"unreadable: {error}") from error
    if not len(samples):
        raise ValueError("no samples")
    if not np.isfinite(samples).all():
        raise ValueError("samples that are not finite")
    wave = torch.from_numpy(samples.mean(axis=1))
    return wave if rate == RATE else _resampler(rate)(wave)


def make_dataset(rows: Mapping[str, Mapping], tokenizer: Tokenizer) -> "DynamicItemDataset":
    """Build a dataset whose items hold id, text, tokens and the waveform (or why it could not be read).

    Parameters
    ----------
    rows : mapping
        id -> ``duration`` (seconds), ``wav`` (path), ``text``.
    tokenizer : Tokenizer
        Makes targets from text.

    Returns
    -------
    DynamicItemDataset
        The lazily computed items.
    """

    def load(wav: str) -> Tensor | str:
        try:
            return read_audio(wav)
        except ValueError as error:
            return f"{wav}: {error}"

    dataset = DynamicItemDataset(dict(rows))
    dataset.add_dynamic_item(load, takes="wav", provides="signal")
    dataset.add_dynamic_item(tokenizer.encode, takes="text", provides="tokens")
    dataset.set_output_keys(["id", "text", "tokens", "signal"])
    return dataset


class Clips(torch.utils.data.Dataset):
    """A dataset that takes a clip's input from a cache where there is one, and reads audio otherwise.

    Parameters
    ----------
    dataset : DynamicItemDataset
        As made by `make_dataset`.
    """

    def __init__(self, dataset: DynamicItemDataset) -> None:
        self.dataset = dataset
        self.ids: list[str] = dataset.data_ids
        self.durations = [float(dataset.data[clip]["duration"]) for clip in self.ids]
        self.cache: Mapping[str, Tensor] = {}
        self.stage = "wave"

    def by_duration(self, seconds: float) -> list[list[int]]:
        """Cut all clips into batches of at most so much audio, for evaluation."""
        return by_duration(self.durations, seconds)

    def forget(self) -> None:
        """Empty the cache: clips are read from their files again."""
        self.cache, self.stage = {}, "wave"

    def drop(self, ids: Sequence[str]) -> None:
        """Take clips out of the set."""
        gone = set(ids)
        self.dataset = self.dataset.filtered_sorted(key_test={"id": lambda clip: clip not in gone})
        self.ids = self.dataset.data_ids
        self.durations = [float(self.dataset.data[clip]["duration"]) for clip in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict:
        cached = self.cache.get(self.ids[index])
        if cached is None:
            return self.dataset[index]
        with self.dataset.output_keys_as(["id", "text", "tokens"]):
            item = dict(self.dataset[index])
        item["signal"] = cached
        return item

    def collate(self, items: Sequence[dict]) -> SpeechBatch:
        """Pad items to a batch; clips that could not be read are left out and listed."""
        good = [item for item in items if isinstance(item["signal"], Tensor)]
        skipped = [(item["id"], item["signal"]) for item in items if not isinstance(item["signal"], Tensor)]
        if (
            not good
        ):  # one silent clip without a target, so that every process still runs forward and backward
            good = [{"id": SILENCE, "text": "", "tokens": [], "signal": torch.zeros(RATE)}]
        signals = [item["signal"] for item in good]
        sizes = torch.tensor([len(signal) for signal in signals])
        stage = self.stage if signals[0].dim() > 1 else "wave"
        return SpeechBatch(
            ids=[item["id"] for item in good],
            texts=[item["text"] for item in good],
            inputs=pad_sequence(signals, batch_first=True),
            lengths=sizes if stage != "wave" else sizes / sizes.max(),
            targets=pad_sequence(
                [torch.tensor(item["tokens"], dtype=torch.long) for item in good], batch_first=True
            ),
            target_lengths=torch.tensor([len(item["tokens"]) for item in good]),
            stage=stage,
            skipped=skipped,
        )
