"""What is to be published: a model folder or a mask bank, and the run that it comes from."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank, read_header
from s3_speechbrain.modelfolder import is_model
from s3_speechbrain.modelfolder.files import METRICS
from s3_speechbrain.modelfolder.metrics import by_language, read_metrics

MODEL, BANK = "model", "bank"


@dataclass(frozen=True)
class Source:
    """A model folder or mask bank.

    Attributes
    ----------
    kind : str
        ``"model"`` or ``"bank"``.
    folder : Path
        The model folder, or the bank.
    run : Path or None
        The run that left it, where its folder is still around it.
    metrics : dict of str to dict
        What is recorded, by language.
    """

    kind: str
    folder: Path
    run: Path | None
    metrics: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Clip:
    """A test clip: its audio, what was said, and what the run recognised (greedy or with its beam search)."""

    name: str
    audio: Path
    reference: str
    hypothesis: str


def find_source(folder: str | Path) -> Source:
    """Find the model or the bank in a run's folder, or take the folder as one of them.

    Raises
    ------
    UserError
        If the folder holds neither.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}: give the folder of a finished run, a model or a mask bank"
        )
    for place in (folder, folder / MODEL):
        if is_model(place):
            return Source(MODEL, place, _run_around(place), by_language(place, read_metrics(place)))
    for place in (folder, folder / BANK):
        if (place / "bank.json").is_file():
            return Source(BANK, place, _run_around(place), _bank_metrics(place))
    if any(folder.glob("*metrics.json")) or any(folder.glob("*/metrics.json")):
        raise UserError(
            f"{folder} holds results but no model: run it again with --save_model True in a new folder, or give one "
            "of its languages"
        )
    raise UserError(f"{folder} holds no model and no mask bank: give the folder of a finished run")


def _bank_metrics(folder: Path) -> dict[str, dict[str, Any]]:
    bank = MaskBank(folder)
    found = {}
    for language in bank.languages:
        header = read_header(bank.existing(language))
        about = {"language": language, "backbone": header.backbone.source, "sparsity": header.sparsity}
        found[language] = {**about, **header.metrics}
    return found


def _run_around(folder: Path) -> Path | None:
    """Return the folder of the run that a model or bank lies in, if there is one."""
    run = folder.resolve().parent
    known = (run / METRICS).is_file() or any(run.glob(f"*/{METRICS}"))
    return (
        run if known and (run / "hyperparams.yaml").is_file() | any(run.glob("*/hyperparams.yaml")) else None
    )


def folder_of_tests(run: Path, language: str) -> Path | None:
    """Return the folder with a language's test transcripts; None if it was trained elsewhere and added later."""
    folders = (run / language, run)
    return next((folder for folder in folders if (folder / "test_transcripts.tsv").is_file()), None)


def test_clips(run: Path, language: str, count: int) -> list[Clip]:
    """Return test clips of a run, spread over its test set.

    Parameters
    ----------
    run : Path
        Of one language, or of several with a folder for each.
    language : str
        Which.
    count : int
        How many at most.

    Raises
    ------
    UserError
        If the run's transcripts, its manifests or the audio are no longer there.
    """
    folder = folder_of_tests(run, language)
    if folder is None:
        raise UserError(
            f"{run} has no test_transcripts.tsv for {language!r}: give --clips 0 to test without them"
        )
    with (folder / "test_transcripts.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    audio = _audio(folder, language, {row["id"] for row in rows})
    rows = [row for row in rows if row["id"] in audio]
    if not rows:
        raise UserError(
            f"the test clips of {folder} are no longer where they were: put the data back, or give --clips 0"
        )
    chosen = rows[:: max(1, len(rows) // max(1, count))][:count]
    return [Clip(row["id"], audio[row["id"]], row["reference"], row["hypothesis"]) for row in chosen]


def _audio(run: Path, language: str, wanted: set[str]) -> dict[str, Path]:
    """Return the audio files, that are there, of clips by name."""
    found: dict[str, Path] = {}
    for manifest in _manifests(run, language):
        meta = manifest.with_name("meta.json")
        if not meta.is_file() or wanted <= found.keys():
            continue
        root = json.loads(meta.read_text(encoding="utf-8")).get("made_from", {}).get("data_root")
        for row in read_manifest(manifest) if root else []:
            path = Path(row.wav.replace("$data_root", root, 1))
            if row.id in wanted and path.is_file():
                found[row.id] = path
    return found


def _manifests(run: Path, language: str) -> Iterator[Path]:
    for around in (run, run.parent):
        for folder in (around / "manifests" / language, around / "manifests"):
            yield from sorted(folder.glob("test*.csv"))
        yield from sorted((around / "manifests").glob("*/test*.csv"))


def first_of(metrics: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the record of the first language."""
    return next(iter(metrics.values()), {})
