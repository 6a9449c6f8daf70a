"""``metrics.json`` of a model folder or run that may come from anywhere: a table of limited size and depth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.maskbank.entry import is_language
from s3_speechbrain.maskbank.header import need, parse_json
from s3_speechbrain.modelfolder.config import depth_of
from s3_speechbrain.modelfolder.files import METRICS, read_text, refusing

MOST_METRICS_BYTES = 1 << 24
MOST_METRICS_DEPTH = 32


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """Read a folder's ``metrics.json``; None where there is none.

    Raises
    ------
    UserError
        If it is too large, nested too deeply, or no table.
    """
    if not (folder / METRICS).is_file():
        return None
    with refusing(folder):
        found = parse_json(read_text(folder, METRICS, MOST_METRICS_BYTES), METRICS)
        need(depth_of(found) <= MOST_METRICS_DEPTH, f"{METRICS} is nested too deeply")
    return found


def by_language(folder: Path, metrics: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the records of languages in a folder's metrics, which are of one or by language.

    Raises
    ------
    UserError
        If they are neither.
    """
    if not metrics:
        return {}
    with refusing(folder):
        one = metrics.get("language")
        found = {one: metrics} if is_language(one) else metrics
        known = all(is_language(name) and isinstance(record, dict) for name, record in found.items())
        need(known, f"{METRICS} is neither the record of a language nor a table of such records")
    return dict(found)
