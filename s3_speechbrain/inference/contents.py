"""What is in a folder or file, as plain data; no weights are loaded and nothing is run."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.audio import audio_blocks, sound_header
from s3_speechbrain.inference.sources import BANK, MODEL, Source, find_source
from s3_speechbrain.maskbank import MaskBank, read_header
from s3_speechbrain.maskbank.header import Header
from s3_speechbrain.modelfolder import read_config
from s3_speechbrain.modelfolder.files import WEIGHTS, inside, read_table, refusing
from s3_speechbrain.modelfolder.metrics import read_metrics

MOST_CARD_BYTES = 1 << 20
_LICENCE = re.compile(r"^license:\s*[\"']?([\w .+-]{1,60})", re.MULTILINE)


def describe(name: str | Path, revision: str | None = None) -> dict[str, Any]:
    """Tell what is in a model folder, mask bank, file of a language, finished run or sound file.

    Parameters
    ----------
    name : str or Path
        As for `find_source`; or a sound file, or the folder of a run that kept no model.
    revision : str, optional
        On the hub.

    Returns
    -------
    dict
        Plain data; ``kind`` tells what it is.

    Raises
    ------
    UserError
        If it is none of these, it or the model that a run kept is damaged, or a folder is asked for a revision.
    """
    path = Path(name)
    if path.is_file() and path.suffix != ".safetensors":
        return _sound(path)
    run = read_metrics(path) if path.is_dir() else None
    try:
        source = find_source(name, revision)
    except UserError:
        if run is None or revision is not None:
            raise
        _refuse_half_a_model(path)
        return {"kind": "run", **_of_run(run), "bytes": _bytes(path)}
    found = {"model": _model, "bank": _bank, "language": _language}[source.kind](source)
    if source.path != path and run is not None:
        return {"kind": "run", **_of_run(run), "keeps": found}
    return found


def _refuse_half_a_model(run: Path) -> None:
    """Refuse a run whose model is damaged beyond being found: it is no run that kept none."""
    for part in (run / MODEL, run / BANK):
        if part.exists() or part.is_symlink():
            raise UserError(
                f"{part} is damaged (files are missing): copy the run again, or remove {part.name}/"
            )


def _sound(path: Path) -> dict[str, Any]:
    samples = sum(len(block) for block in audio_blocks(path))
    found: dict[str, Any] = {"kind": "sound", "seconds": samples / 16000, "bytes": path.stat().st_size}
    info = sound_header(path)
    if info is None:
        return found | {"format": path.suffix.lstrip(".")}
    return found | {
        "format": f"{info.format} {info.subtype}",
        "sampling_rate": info.samplerate,
        "channels": info.channels,
    }


def _model(source: Source) -> dict[str, Any]:
    config = read_config(source.path)
    facts, metrics = config.facts, read_metrics(source.path) or {}
    with refusing(source.path):
        table = read_table(inside(source.path, WEIGHTS), config.weights["bytes"])
    parameters = sum(math.prod(shape) for _, shape in table.values())
    return {
        "kind": "model",
        "languages": list(facts.languages),
        "method": facts.method,
        "backbone": facts.backbone,
        "encoder": config.encoder.model_type,
        "token_selector": None if config.selector is None else config.selector.selector,
        "labels": f"{len(config.tokenizer['labels'])} {config.tokenizer['kind']}",
        "parameters": parameters,
        "bytes": config.weights["bytes"],
        "dtype": config.weights["dtype"],
        **_measured(metrics),
        "licence": _licence(source.path),
        "fingerprint": config.weights["sha256"],
        "plain_transformers": config.obstacle or "yes",
    }


def _bank(source: Source) -> dict[str, Any]:
    bank = MaskBank(source.path)
    files = {language: bank.existing(language) for language in bank.languages}
    if bank.backbone is None:
        raise UserError(f"{source.path} is no mask bank: give a folder with a bank.json")
    return {
        "kind": "bank",
        "backbone": bank.backbone.source,
        "revision": bank.backbone.revision,
        "fingerprint": bank.backbone.fingerprint,
        "licence": _licence(source.path),
        "bytes": sum(file.stat().st_size for file in files.values()),
        "languages": {language: _header(read_header(file), file) for language, file in files.items()},
    }


def _language(source: Source) -> dict[str, Any]:
    header = read_header(source.path)
    return {
        "kind": "language",
        "language": header.language,
        "backbone": header.backbone.source,
        "revision": header.backbone.revision,
        "fingerprint": header.backbone.fingerprint,
        **_header(header, source.path),
    }


def _header(header: Header, file: Path) -> dict[str, Any]:
    return {
        "method": header.metrics.get("method"),
        "bytes": file.stat().st_size,
        "masks": len(header.layers),
        "labels": f"{len(header.labels)} {header.kind}",
        "sparsity": header.sparsity,
        "test": header.metrics.get("test"),
    }


def _of_run(metrics: Mapping[str, Any]) -> dict[str, Any]:
    names = ("recipe", "method", "language", "backbone", "seed", "data")
    found = {name: metrics.get(name) for name in names}
    return {**found, **_measured(metrics), "size": metrics.get("size"), "command": metrics.get("command")}


def _measured(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return sparsity and error rates, of each language where there are several."""
    if "test" in metrics:
        return {name: metrics[name] for name in ("sparsity", "test") if metrics.get(name)}
    parts = {name: _measured(part) for name, part in metrics.items() if isinstance(part, Mapping)}
    return {"measured": {name: part for name, part in parts.items() if part}}


def _licence(folder: Path) -> str | None:
    """Read the licence from the front matter of a model card."""
    card = folder / "README.md"
    if not card.is_file() or card.stat().st_size > MOST_CARD_BYTES:
        return None
    text = card.read_text(encoding="utf-8", errors="replace")
    front = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = _LICENCE.search(front)
    return found.group(1).strip() if found else None


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
