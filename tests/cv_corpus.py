"""Tiny corpora in the real shape, written with noise as sound."""

import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

COLUMNS = (
    "client_id",
    "path",
    "sentence_id",
    "sentence",
    "up_votes",
    "down_votes",
    "age",
    "gender",
    "accents",
    "locale",
)
RELEASE = "cv-corpus-25.0-2026-03-09"


def write_clip(path: Path, seconds: float = 2.0, rate: int = 16000) -> None:
    """Write noise in the format that the ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate)).astype("float32")
    if path.suffix == ".mp3":
        soundfile.write(path, noise, rate, format="MP3")
    elif path.suffix == ".ogg":
        soundfile.write(path, noise, rate, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, noise, rate)


def line(path: str, sentence: str, locale: str = "en") -> str:
    """One well-formed row."""
    values = {"client_id": "s1", "path": path, "sentence": sentence, "locale": locale, "up_votes": "2"}
    return "\t".join(values.get(name, "") for name in COLUMNS)


def write_table(path: Path, lines: list[str | bytes], columns: tuple[str, ...] = COLUMNS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["\t".join(columns), *lines]
    path.write_bytes(b"\n".join(row if isinstance(row, bytes) else row.encode() for row in rows) + b"\n")


def write_locale(
    folder: Path, rows: dict[str, list[tuple[str, str]]], locale: str = "en", seconds: float = 2.0
) -> Path:
    """Write tables and clips; every clip lasts the same time."""
    for split in ("train", "dev", "test"):
        write_table(folder / f"{split}.tsv", [line(clip, text, locale) for clip, text in rows[split]])
        for clip, _ in rows[split]:
            write_clip(folder / "clips" / clip, seconds)
    return folder


def small(locale: str = "en", ending: str = "wav", train: int = 3) -> dict[str, list[tuple[str, str]]]:
    """Rows of a corpus with one dev and one test clip and distinct sentences without digits."""
    words = (
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
    )
    names = iter(words)
    sizes = {"train": train, "dev": 1, "test": 1}
    return {
        split: [(f"cv_{locale}_{split}_{i}.{ending}", next(names)) for i in range(size)]
        for split, size in sizes.items()
    }


def pack(folder: Path, archive: Path, prefix: str = RELEASE, mode: str = "w:gz") -> Path:
    """Pack a locale's folder as a release does."""
    with tarfile.open(archive, mode) as tar:
        tar.add(folder, f"{prefix}/{folder.name}")
    return archive


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
