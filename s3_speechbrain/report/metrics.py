"""Writing and reading `metrics.json`, checked both ways."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.atomic import write_atomic
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.schema import validate


def _plain(value: Any) -> Any:
    """Turn numpy and torch scalars and paths into what JSON knows."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise UserError(
        f"metrics: a value of type {type(value).__name__} cannot be stored; give a number or a text"
    )


def write_text_atomic(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old or the new content and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode())


def dump(metrics: Mapping[str, Any]) -> str:
    """Return the one textual form of metrics: sorted keys, two-space indent, a final newline."""
    return json.dumps(metrics, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_metrics(folder: str | Path, metrics: Mapping[str, Any]) -> Path:
    """Check metrics and write them as `metrics.json`, atomically.

    Parameters
    ----------
    folder : path
        The run's folder; made if needed.
    metrics : mapping
        The fields of docs/reporting.md; numpy and torch scalars are welcome. A loss of the history that is
        not finite (a run that diverged) is stored as null.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If a required field is missing or any field is wrong.
    """
    path = Path(folder) / "metrics.json"
    plain = json.loads(json.dumps(metrics, default=_plain))
    for row in plain.get("history") or []:
        for key, cell in row.items():
            if isinstance(cell, float) and not math.isfinite(cell):
                row[key] = None
    validate(plain, str(path))
    write_text_atomic(path, dump(plain))
    return path


def read_json(path: str | Path) -> dict[str, Any]:
    """Read one JSON object from a file, or say in one line why that failed."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; run the recipe first or give the folder that holds it"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); copy it again, or run again what made it"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object; copy it again, or run again what made it")
    return content


def read_metrics(path: str | Path) -> dict[str, Any]:
    """Read and check one `metrics.json` (the file, or the folder that holds it).

    Raises
    ------
    UserError
        If there is no such file, or it is not JSON, or a field is missing or wrong.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "metrics.json"
    metrics = read_json(path)
    validate(metrics, str(path))
    return metrics


def collect(folder: str | Path) -> list[dict[str, Any]]:
    """Read every `metrics.json` below a folder, in the order of their paths.

    Raises
    ------
    UserError
        If the folder does not exist or one of the files is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder that your runs were written to")
    return [read_metrics(path) for path in metric_files(folder)]


def metric_files(folder: str | Path) -> list[Path]:
    """Return every run's `metrics.json` below a folder, sorted; the copies in model folders are left out."""
    found = sorted(Path(folder).rglob("metrics.json"))
    return [path for path in found if not (path.parent / "config.json").is_file()]
