"""Tiny corpora of audible sentences, in the layouts of Common Voice and LibriSpeech, for tests of recipes."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from cv_corpus import line, write_table

RATE = 16000
WORDS = ("ba", "be", "bi", "bo", "da", "de", "di", "do")
SPLITS = {"train": 12, "dev": 4, "test": 4}


def write_corpus(root: Path, locale: str = "en", words: Sequence[str] = WORDS) -> Path:
    """Write clips of about a second: each letter a tone of its own, each sentence unique."""
    clips = root / locale / "clips"
    clips.mkdir(parents=True)
    sentences = (" ".join(chosen) for chosen in itertools.permutations(words, 3))
    durations = []
    for split, count in SPLITS.items():
        rows = []
        for number, sentence in enumerate(itertools.islice(sentences, count)):
            name = f"{split}_{number}.wav"
            wave = speak(sentence)
            soundfile.write(clips / name, wave, RATE)
            durations.append(f"{name}\t{round(1000 * len(wave) / RATE)}")
            rows.append(line(name, sentence, locale))
        write_table(root / locale / f"{split}.tsv", rows)
    write_table(root / locale / "clip_durations.tsv", durations, ("clip", "duration[ms]"))
    return root


def settings_of(corpus: Path, folder: Path) -> dict:
    """Return what ``load_corpus`` needs of a run's settings, as ctc.yaml names them."""
    return {
        "corpus": "common_voice",
        "corpus_name": "tones",
        "data_folder": corpus,
        "manifest_folder": str(folder / "run" / "manifests"),
        "unpack_folder": str(folder / "unpacked"),
        "output_folder": str(folder / "run"),
        "language": "en",
        "train_minutes": None,
        "subset_seed": 1,
        "limit": None,
        "prepare": {},
        "extra_tests": [],
        "tokenizer": "characters",
        "pieces": 12,
        "searcher": None,
    }


def speak(sentence: str) -> np.ndarray:
    """Return 0.12 s of tone per letter."""
    times = np.arange(int(0.12 * RATE)) / RATE
    return np.concatenate(
        [0.3 * np.sin(2 * np.pi * (200 + 25 * (ord(letter) - 31)) * times) for letter in sentence]
    )


def write_librispeech(root: Path) -> Path:
    """Write Libri-light's first ten-minute set and three test sets with a handful of utterances each."""
    sentences = (" ".join(words) for words in itertools.permutations(WORDS, 3))
    parts = {"librispeech_finetuning/1h/0/clean": 6, "LibriSpeech/dev-clean": 3}
    parts |= {"LibriSpeech/test-clean": 2, "LibriSpeech/test-other": 2}
    for speaker, (part, count) in enumerate(parts.items()):
        chapter = root / part / str(speaker) / "2"
        chapter.mkdir(parents=True)
        lines = []
        for number, sentence in enumerate(itertools.islice(sentences, count)):
            name = f"{speaker}-2-{number:04d}"
            soundfile.write(chapter / f"{name}.flac", speak(sentence), RATE)
            lines.append(f"{name} {sentence.upper()}\n")
        (chapter / f"{speaker}-2.trans.txt").write_text("".join(lines))
    return root
