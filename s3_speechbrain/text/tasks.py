"""Labelled data sets: folders of tables, or GLUE from the hub."""

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError

Row = tuple[str, str | None, int]  # text, second text of a pair, label
SPLITS = ("train", "dev", "test")

# GLUE's sentence columns. Its test labels are secret: dev is tested on, a tenth of train chooses (see load_glue).
GLUE = {
    "cola": ("sentence", None),
    "sst2": ("sentence", None),
    "mrpc": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
DEV_SHARE = 10  # one in so many training rows


@dataclass(frozen=True)
class Task:
    """A labelled data set.

    Attributes
    ----------
    name : str
        For the record.
    rows : dict of str to list
        By split: (text, second text or None, label).
    labels : int
        How many classes.
    sha256 : str
        Of all rows.
    """

    name: str
    rows: dict[str, list[Row]]
    labels: int
    sha256: str


def load_task(source: str, name: str, train_rows: int | None = None, seed: int = 1) -> Task:
    """Open a data set.

    Parameters
    ----------
    source : str
        A folder with ``train.tsv``, ``dev.tsv`` and ``test.tsv`` (columns ``label``, ``text`` and, for pairs,
        ``text2`` in every row), or ``glue``.
    name : str
        For a folder what the record calls it; the task for GLUE.
    train_rows : int, optional
        Train on so many rows, drawn by `seed`.
    seed : int
        Of that draw.

    Returns
    -------
    Task
        The rows of all splits.

    Raises
    ------
    UserError
        If there is no such data, a row is wrong, or GLUE cannot be had.
    """
    rows = load_glue(name) if source == "glue" else read_folder(Path(source).expanduser())
    labels = 1 + max(label for split in rows.values() for *_, label in split)
    if train_rows is not None:
        rows["train"] = sorted(rows["train"], key=lambda row: _draw(seed, row))[:train_rows]
    digest = hashlib.sha256(repr([rows[split] for split in SPLITS]).encode()).hexdigest()
    return Task(name, rows, labels, digest)


def _draw(seed: int, row: Row) -> bytes:
    return hashlib.sha256(f"{seed}/{row}".encode()).digest()


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Read ``train.tsv``, ``dev.tsv`` and ``test.tsv``; labels are whole numbers from 0, all rows pairs or none."""
    rows: dict[str, list[Row]] = {}
    for split in SPLITS:
        path = folder / f"{split}.tsv"
        if not path.is_file():
            raise UserError(f"no table {path}: run prepare_reviews.py, or give a folder with such tables")
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not {"label", "text"} <= set(reader.fieldnames or ()):
                raise UserError(f"{path} lacks the columns label and text: name them in its first line")
            rows[split] = [_row(path, number, row) for number, row in enumerate(reader, start=2)]
        if not rows[split]:
            raise UserError(f"{path} holds no rows: give every split at least one")
        _check_pairs(path, rows[split], paired=rows[SPLITS[0]][0][1] is not None)
    return rows


def _check_pairs(path: Path, rows: list[Row], paired: bool) -> None:
    for line, (_, second, _) in enumerate(rows, start=2):
        if (second is not None) != paired:
            has = "no text2, unlike" if paired else "a text2, unlike"
            raise UserError(
                f"{path}:{line} has {has} the first row of {SPLITS[0]}.tsv: give one in every row of all splits, "
                "or in none"
            )


def _row(path: Path, line: int, row: Mapping[str, str | None]) -> Row:
    label, text = row["label"] or "", row["text"] or ""
    if not label.isdigit() or not text.strip():
        raise UserError(
            f"{path}:{line} has label {label!r} and text {text!r}: give a number from 0 and a text"
        )
    second = row.get("text2") or ""
    return text, second if second.strip() else None, int(label)


def load_glue(task: str, load: Callable[..., Any] | None = None) -> dict[str, list[Row]]:
    """Load a GLUE task from the hub.

    The test labels of GLUE are secret. Here ``test`` is the published validation split (matched, for MNLI), and
    ``dev``, which chooses the checkpoint, is one in ten training rows, drawn by a hash of their text.

    Parameters
    ----------
    task : str
        One of `GLUE`.
    load : callable, optional
        ``load(path, name)`` -> splits; ``datasets.load_dataset`` by default.

    Returns
    -------
    dict of str to list
        By split.

    Raises
    ------
    UserError
        If the task is unknown, the package datasets is missing or the hub cannot be reached.
    """
    if task not in GLUE:
        raise UserError(f"no GLUE task {task!r} here: choose one of {', '.join(GLUE)}")
    if load is None:
        try:
            from datasets import load_dataset as load
        except ImportError:
            raise UserError("GLUE needs the package datasets: pip install 's3-speechbrain[text]'") from None
    try:
        splits = load("nyu-mll/glue", task)
    except Exception as error:  # the hub's client raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"cannot load GLUE {task} from the hub ({reason}): check the network") from error
    first, second = GLUE[task]

    def rows(split: str) -> list[Row]:
        return [(row[first], row[second] if second else None, int(row["label"])) for row in splits[split]]

    found: dict[str, list[Row]] = {"train": [], "dev": []}
    for row in rows("train"):
        chosen = hashlib.sha256(repr(row[:2]).encode()).digest()[0] * DEV_SHARE < 256
        found["dev" if chosen else "train"].append(row)
    return {**found, "test": rows("validation_matched" if task == "mnli" else "validation")}
