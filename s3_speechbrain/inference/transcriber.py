"""Speech files and waveforms to text, with any model of the project."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.brains.batches import RATE
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.tokens import Tokenizer
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.audio import audio_blocks, resample
from s3_speechbrain.inference.chunks import Chunking, Level, long_path
from s3_speechbrain.inference.paths import BestPath, best_paths, frame_step
from s3_speechbrain.inference.words import Transcript, transcript
from s3_speechbrain.waves import as_samples


class Models(Protocol):
    """What a `Transcriber` works with: the model of each language, lent to one thread at a time.

    Attributes
    ----------
    languages : list of str
        Those there are.
    """

    languages: list[str]

    def using(self, language: str) -> AbstractContextManager[tuple[Recogniser, Tokenizer]]:
        """Lend a language's model."""


class OneModel:
    """One network and one tokenizer for all its languages.

    Parameters
    ----------
    recogniser : Recogniser
        Frozen and put in evaluation mode here.
    tokenizer : Tokenizer
        For its labels.
    languages : sequence of str
        What it was trained on.
    """

    def __init__(self, recogniser: Recogniser, tokenizer: Tokenizer, languages: Sequence[str]) -> None:
        self.recogniser = recogniser.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.languages = list(languages)
        self._lock = threading.RLock()

    @contextmanager
    def using(self, language: str) -> Iterator[tuple[Recogniser, Tokenizer]]:
        """Lend the model; see `Models`."""
        del language
        with self._lock:
            yield self.recogniser, self.tokenizer


class Transcriber:
    """Turn speech into text; `s3_speechbrain.inference.load` makes one from a folder or a hub name.

    All methods may be called from several threads; one of them computes at a time.

    Parameters
    ----------
    models : Models
        A `SharedRecogniser` (mask bank) or `OneModel`.
    language : str, optional
        What is spoken; None takes the only language there is, or waits for `set_language`.
    chunking : Chunking
        How long audio is cut.

    Raises
    ------
    UserError
        If the language is not one of the model's.
    """

    def __init__(self, models: Models, language: str | None = None, chunking: Chunking | None = None) -> None:
        self.models = models
        self.chunking = chunking or Chunking()
        self._language = models.languages[0] if len(models.languages) == 1 else None
        if language is not None:
            self.set_language(language)

    @property
    def languages(self) -> list[str]:
        """The languages that can be chosen."""
        return list(self.models.languages)

    @property
    def language(self) -> str | None:
        """The language in use; None before one of several was chosen."""
        return self._language

    def set_language(self, language: str) -> None:
        """Choose what is spoken from now on.

        Raises
        ------
        UserError
            If the model has no such language.
        """
        self._language = self._known(language)

    def transcribe_file(
        self,
        path: str | Path,
        language: str | None = None,
        heard: Callable[[float], None] | None = None,
    ) -> Transcript:
        """Recognise a sound file of any length, with one chunk of it in memory at a time.

        The file is read twice: once for its length and level, once chunk by chunk.

        Parameters
        ----------
        path : str or Path
            Any format, sampling rate and number of channels that libsndfile or FFmpeg reads.
        language : str, optional
            For this file alone.
        heard : callable, optional
            Told the seconds of new audio after each chunk.

        Returns
        -------
        Transcript
            Text, words, times and confidence.

        Raises
        ------
        UserError
            If the file cannot be read or the language is unknown or not chosen.
        """
        language = self._wanted(language)
        level = Level.of(audio_blocks(path))
        with self.models.using(language) as (model, tokenizer):
            found = self._recording(model, lambda: audio_blocks(path), level, heard)
            return _read(found, model, tokenizer, language, level.samples)

    def transcribe_batch(
        self,
        waves: Sequence[Tensor | np.ndarray],
        languages: Sequence[str] | str | None = None,
        rate: int = RATE,
    ) -> list[Transcript]:
        """Recognise waveforms; each gives what it gives alone.

        Parameters
        ----------
        waves : sequence of Tensor or numpy.ndarray
            Floating-point samples of one channel, shape (N,) each.
        languages : sequence of str or str, optional
            The language of each, or one for all; default the one in use.
        rate : int
            Their sampling rate in Hz.

        Returns
        -------
        list of Transcript
            In the order of the waves.

        Raises
        ------
        UserError
            If a wave is not one channel of finite floating-point samples, the rate is not that of a recording, or
            a language is unknown or not chosen; nothing is computed then.
        """
        if isinstance(languages, str):
            self._known(languages)  # also where there are no waves
        given = [languages] * len(waves) if languages is None or isinstance(languages, str) else languages
        if len(given) != len(waves):
            raise UserError(f"{len(waves)} clips, {len(given)} languages: give one language for each clip")
        wanted = [self._wanted(language) for language in given]
        clips = [_clip(wave, index, rate) for index, wave in enumerate(waves)]
        found: dict[int, Transcript] = {}
        for language in sorted(set(wanted), key=lambda name: name != self._language):
            places = [index for index, name in enumerate(wanted) if name == language]
            made = self._clips(language, [clips[index] for index in places])
            found |= zip(places, made, strict=True)
        return [found[index] for index in range(len(clips))]

    def _clips(self, language: str, clips: Sequence[Tensor]) -> list[Transcript]:
        """Recognise clips of one language: the long ones chunk by chunk, the others in batches."""
        with self.models.using(language) as (model, tokenizer):
            short = [index for index, clip in enumerate(clips) if self._fits(model, len(clip))]
            paths = dict(zip(short, best_paths(model, [clips[index] for index in short]), strict=True))
            for index in set(range(len(clips))) - set(short):
                clip = clips[index]
                paths[index] = self._recording(model, lambda clip=clip: [clip], Level.of([clip]), None)
            return [
                _read(paths[index], model, tokenizer, language, len(clip)) for index, clip in enumerate(clips)
            ]

    def _recording(
        self,
        model: Recogniser,
        blocks: Callable[[], Iterable[Tensor]],
        level: Level,
        heard: Callable[[float], None] | None,
    ) -> BestPath:
        """Compute the path of one recording, uncut if it is not longer than a chunk."""
        if not self._fits(model, level.samples):
            return long_path(model, blocks(), level, self.chunking, heard)
        path = best_paths(model, [torch.cat(list(blocks()))])[0]
        if heard is not None:
            heard(level.samples / RATE)
        return path

    def _fits(self, model: Recogniser, samples: int) -> bool:
        size, _ = self.chunking.frames(model.encoder, frame_step(model))
        return samples <= size * model.encoder.frame_stride

    def _known(self, language: str) -> str:
        if language not in self.models.languages:
            known = ", ".join(self.models.languages)
            raise UserError(f"this model has no language {language!r}: choose one of {known}")
        return language

    def _wanted(self, language: str | None) -> str:
        if language is not None:
            return self._known(language)
        if self._language is None:
            known = ", ".join(self.models.languages)
            raise UserError(f"this model has several languages: choose one of {known} with set_language")
        return self._language


def _read(path: BestPath, model: Recogniser, tokenizer: Tokenizer, language: str, samples: int) -> Transcript:
    encoder = model.encoder
    frame = encoder.frame_stride / encoder.sampling_rate
    return transcript(path, tokenizer, language, samples / encoder.sampling_rate, frame)


def _clip(wave: Tensor | np.ndarray, index: int, rate: int) -> Tensor:
    """Check a waveform and bring it to 16 kHz."""
    samples = torch.from_numpy(as_samples(wave, f"clip {index}"))
    parts = list(resample([samples], rate, f"clip {index}"))
    return torch.cat(parts) if parts else torch.zeros(0)
