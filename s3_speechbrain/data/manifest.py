"""Manifest files: the csv that SpeechBrain reads, written whole or not at all."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from s3_speechbrain.errors import UserError

COLUMNS = ("ID", "duration", "wav", "locale", "text")


class Utterance(NamedTuple):
    """One row of a manifest: `duration` in seconds, `wav` starting with "$data_root/", `text` normalised."""

    id: str
    duration: float
    wav: str
    locale: str
    text: str


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file under a temporary name, then rename it, so that no reader sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write a json file atomically, indented, with sorted keys."""
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> str:
    """Write a manifest and return the sha256 of its bytes.

    Parameters
    ----------
    path : pathlib.Path
        The csv file.
    utterances : iterable of Utterance
        The rows, with unique ids.

    Returns
    -------
    str
        Hexadecimal sha256.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in utterances:
        writer.writerow((row.id, f"{row.duration:.3f}", row.wav, row.locale, row.text))
    write_atomically(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue().encode()).hexdigest()


def read_manifest(path: str | Path) -> list[Utterance]:
    """Read a manifest back.

    Parameters
    ----------
    path : str or pathlib.Path
        A csv written by `write_manifest`.

    Returns
    -------
    list of Utterance
        Its rows in order.

    Raises
    ------
    UserError
        When the file is missing or has other columns.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no manifest {path}: run the preparation first")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UserError(
                f"{path} is not a manifest (columns {reader.fieldnames}): run the preparation again"
            )
        return [Utterance(r["ID"], float(r["duration"]), r["wav"], r["locale"], r["text"]) for r in reader]


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_hash(folder: str | Path) -> str:
    """Return one sha256 over all manifests (``*.csv``) of a folder, by name and content.

    It is the same wherever the audio lies, since manifests name it relative to "$data_root".

    Parameters
    ----------
    folder : str or pathlib.Path
        ``<save_folder>/<locale>``, or a folder above several of these.

    Returns
    -------
    str
        Hexadecimal sha256.

    Raises
    ------
    UserError
        When there is no manifest.
    """
    folder = Path(folder)
    files = sorted(folder.rglob("*.csv"), key=lambda path: path.relative_to(folder).as_posix())
    if not files:
        raise UserError(f"no manifests in {folder}: run the preparation first")
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    return total.hexdigest()
