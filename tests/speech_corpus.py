"""A tiny encoder and a tiny corpus in Common Voice layout, for tests of recipes."""

import csv
import itertools
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

RATE = 16000
WORDS = ("ba", "be", "bi", "bo", "da", "de", "di", "do")
SPLITS = {"train": 12, "dev": 4, "test": 4}


def write_encoder(folder: Path) -> Path:
    """Write a two-layer wav2vec2 of width 16 with random weights."""
    torch.manual_seed(7)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def write_corpus(root: Path, locale: str = "en") -> Path:
    """Write clips of about a second: each letter a tone of its own, each sentence unique."""
    clips = root / locale / "clips"
    clips.mkdir(parents=True)
    sentences = (" ".join(words) for words in itertools.permutations(WORDS, 3))
    durations = []
    for split, count in SPLITS.items():
        rows = []
        for number, sentence in enumerate(itertools.islice(sentences, count)):
            name = f"{split}_{number}.wav"
            wave = speak(sentence)
            soundfile.write(clips / name, wave, RATE)
            durations.append((name, round(1000 * len(wave) / RATE)))
            rows.append(("someone", name, sentence, 2, 0, "", "", "", locale))
        header = (
            "client_id",
            "path",
            "sentence",
            "up_votes",
            "down_votes",
            "age",
            "gender",
            "accents",
            "locale",
        )
        write_table(root / locale / f"{split}.tsv", header, rows)
    write_table(root / locale / "clip_durations.tsv", ("clip", "duration[ms]"), durations)
    return root


def speak(sentence: str) -> np.ndarray:
    """Return 0.12 s of tone per letter."""
    times = np.arange(int(0.12 * RATE)) / RATE
    return np.concatenate(
        [0.3 * np.sin(2 * np.pi * (200 + 25 * (ord(letter) - 31)) * times) for letter in sentence]
    )


def write_table(path: Path, header: tuple, rows: list[tuple]) -> None:
    """Write a tsv file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([header, *rows])


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
