"""What the page is made from: metrics, masks and a few test clips of each run."""

import base64
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
import torch
from ruamel.yaml import YAML, YAMLError

from s3_speechbrain.analysis.overlap import PackedMask
from s3_speechbrain.analysis.sources import read_masks
from s3_speechbrain.brains.batches import RATE
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.data.preparation import reopen
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.audio import audio_blocks
from s3_speechbrain.maskbank import read_entry
from s3_speechbrain.report.metrics import metric_files, read_json
from s3_speechbrain.report.runs import NO_RUNS
from s3_speechbrain.report.schema import validate

METRICS = "metrics.json"
MAY_LACK = ("cost", "size", "speed", "versions", "command")  # of a model that was made from a mask bank
CLIPS = 3  # with sound, of each run
MOST_SECONDS = 20.0


@dataclass(frozen=True)
class Example:
    """A test clip with what was said and heard; `audio` is a data URI, or None where the clip is not here."""

    reference: str
    hypothesis: str
    audio: str | None = None


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes
    ----------
    name : str
        Short and unique on the page.
    folder : Path or None
        Where it is; None for a metrics file alone.
    metrics : dict
        Its ``metrics.json``, checked.
    examples : list of Example
        Some test clips.
    masks : dict of str to PackedMask
        By layer; empty for a method without masks.
    """

    name: str
    folder: Path | None
    metrics: dict[str, Any]
    examples: list[Example] = field(default_factory=list)
    masks: dict[str, PackedMask] = field(default_factory=dict)


def gather(places: Sequence[str | Path], clips: int = CLIPS) -> list[Run]:
    """Read runs.

    Parameters
    ----------
    places : sequence of path
        Run folders, folders with runs anywhere below them, model folders, evidence, or single metrics files.
    clips : int
        Test clips with sound for each run, where its audio is still on this machine.

    Returns
    -------
    list of Run
        In the order of the places; a run found twice is taken once.

    Raises
    ------
    UserError
        If a place holds no run, or a metrics file is damaged.
    """
    files = list(dict.fromkeys(file.resolve() for place in places for file in _files(Path(place))))
    names = _short_names([file.parent if file.name == METRICS else file.with_suffix("") for file in files])
    runs = []
    for name, file in zip(names, files, strict=True):
        folder = file.parent if file.name == METRICS else None
        records = _records(file)
        for metrics in records:
            own = name if len(records) == 1 else f"{name}/{metrics['language']}"
            runs.append(Run(own, folder, metrics, _examples(metrics, folder, clips), _masks(folder, metrics)))
    return runs


def _files(place: Path) -> list[Path]:
    if place.is_file():
        if place.suffix != ".json":
            raise UserError(f"{place} is no run: give its output folder, or its {METRICS}")
        return [place]
    if not place.is_dir():
        raise UserError(f"no folder {place}: give finished runs, or folders that hold some")
    if (place / METRICS).is_file():
        return [place / METRICS]
    found = metric_files(place)
    if not found:  # the evidence folder, or a part of it
        files = sorted(place.rglob("*.json"))
        files = [file for file in files if file.relative_to(place).parts[0] not in NO_RUNS]
        found = [file for file in files if _may_be_of_a_run(file)]
    if not found:
        raise UserError(f"{place} holds no finished run (no metrics.json in it or below it): train one first")
    return found


def _may_be_of_a_run(file: Path) -> bool:
    """Tell records of runs from settings of models and other JSON; a damaged file counts, and is refused later."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    parts = [found, *found.values()] if isinstance(found, dict) else []
    return any(isinstance(part, dict) and {"test", "sparsity"} & part.keys() for part in parts)


def _records(file: Path) -> list[dict[str, Any]]:
    """Read a metrics file; that of a model in several languages holds a record for each."""
    found = read_json(file)
    several = found and all(isinstance(part, dict) and "method" in part for part in found.values())
    records = list(found.values()) if several else [found]
    for record in records:
        validate(record, str(file), MAY_LACK)
    return records


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Drop what all paths have in common at their beginning; of a single one keep the last two parts."""
    if len(paths) == 1:
        return ["/".join(paths[0].parts[-2:])]
    common = 0
    while len({path.parts[: common + 1] for path in paths}) == 1:
        common += 1
    return ["/".join(path.parts[common:]) or path.name for path in paths]


def _masks(folder: Path | None, metrics: dict[str, Any]) -> dict[str, PackedMask]:
    """Read a run's masks; none for other methods and damaged files: the page is about more than masks."""
    if folder is None or not metrics["sparsity"]["masked"]:
        return {}
    entry = folder / f"{metrics['language']}.safetensors"
    try:
        if entry.is_file():
            return {name: PackedMask.of(mask) for name, mask in read_entry(entry).masks.items()}
        sets = read_masks(folder)
    except UserError:
        return {}
    own = [one for one in sets if one.facts.get("language") == metrics["language"]]
    return dict((own or sets)[0].masks)


def _examples(metrics: dict[str, Any], folder: Path | None, clips: int) -> list[Example]:
    rows = [row for row in metrics.get("examples") or [] if {"id", "reference", "hypothesis"} <= row.keys()]
    paths = _clip_paths(folder, metrics["language"]) if folder is not None and clips and rows else {}
    found, sounding = [], 0
    for row in rows:
        audio = None
        if sounding < clips and row["id"] in paths:
            audio = audio_uri(paths[row["id"]])
            sounding += audio is not None
        found.append(Example(str(row["reference"]), str(row["hypothesis"]), audio))
    return found


def _clip_paths(folder: Path, language: str) -> dict[str, Path]:
    """Find the test clips of a run through its manifests, if they are still there."""
    for place in _manifests(folder):
        prepared = reopen(place / language)
        if prepared is not None and "test" in prepared.csvs:
            rows = read_manifest(prepared.csvs["test"])
            root = str(prepared.data_root)
            return {row.id: Path(row.wav.replace("$data_root", root, 1)) for row in rows}
    return {}


def _manifests(folder: Path) -> Iterable[Path]:
    """Yield the folders in which a run's manifests may be: its own, that of its parent, the one it was told."""
    yield folder / "manifests"
    yield folder.parent / "manifests"
    settings = folder / "hyperparams.yaml"
    if settings.is_file():
        try:
            # the round-trip loader makes no objects of tags
            told = YAML(typ="rt").load(settings.read_text(encoding="utf-8")).get("manifest_folder")
        except (YAMLError, OSError, AttributeError, UnicodeDecodeError):
            return
        if told:
            yield Path(str(told))


def audio_uri(path: Path) -> str | None:
    """Return a clip as an mp3 data URI of at most `MOST_SECONDS`; None if it cannot be read."""
    try:
        wave = torch.cat(list(audio_blocks(path)))[: round(MOST_SECONDS * RATE)]
    except UserError:
        return None
    made = io.BytesIO()
    soundfile.write(made, wave.numpy(), RATE, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(made.getvalue()).decode()
