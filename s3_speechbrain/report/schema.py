"""The fields of `metrics.json`, and the check that refuses wrong ones in one line."""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from s3_speechbrain.errors import UserError

METHODS = (
    "frozen",
    "dense",
    "dense_freeze",
    "scratch",
    "lora",
    "bitfit",
    "dense_all",
    "mask",
    "mask_joint",
    "rp",
    "mpi",
    "omp",
    "imp",
    "parp",
    "parp_p",
    "s3_prune",
    "salad",
    "safari",
    "s6",
)
# masks, and what the paper does not do with them: allot sparsities, rank across matrices, begin with those of another
# language, have a teacher
MASK_METHOD = re.compile(r"mask(_allotted)?(_by_(layer|group|global|threshold))?(_warm)?(_taught)?")
BASELINE_PREFIX = "baseline_"  # a baseline outside the list carries its own name behind this


def _is_number(value: Any) -> bool:
    # bool is an int in Python, but `true` is no measurement
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_method(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    named = value.startswith(BASELINE_PREFIX) and len(value) > len(BASELINE_PREFIX)
    return named or value in METHODS or MASK_METHOD.fullmatch(value) is not None


def _all_rows(value: Any, test: Callable[[Mapping], bool]) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) and test(row) for row in value)


def _is_history_row(row: Mapping) -> bool:
    return _is_number(row.get("epoch")) and all(cell is None or _is_number(cell) for cell in row.values())


def _are_paired(value: Mapping) -> bool:
    rows = [str(value.get(name, "")).split() for name in ("edits", "lengths")]
    return len(rows[0]) == len(rows[1]) and all(number.isdecimal() for row in rows for number in row)


Kind = tuple[str, Callable[[Any], bool]]
TEXT: Kind = ("a text that is not empty", _is_text)
COUNT: Kind = ("a whole number, 0 or more", _is_count)
AMOUNT: Kind = ("a finite number, 0 or more", lambda value: _is_number(value) and value >= 0)
FRACTION: Kind = ("a fraction between 0 and 1", lambda value: _is_number(value) and 0 <= value <= 1)

REQUIRED: dict[str, Kind] = {
    "recipe": TEXT,
    "method": (f"one of {', '.join(METHODS)} or {BASELINE_PREFIX}NAME", _is_method),
    "backbone": TEXT,
    "language": TEXT,
    "seed": COUNT,
    "data.name": TEXT,
    "data.train_minutes": AMOUNT,
    "data.manifest_sha256": TEXT,
    "sparsity.masked": FRACTION,
    "sparsity.linears": FRACTION,
    "sparsity.model": FRACTION,
    "cost.wall_s": AMOUNT,
    "cost.updates": COUNT,
    "cost.peak_rss_mb": AMOUNT,
    "cost.trainable": COUNT,
    "size.parameters": COUNT,
    "size.bytes_per_language": COUNT,
    "speed.rtf": AMOUNT,
    "speed.threads": ("a whole number, 1 or more", lambda value: _is_count(value) and value >= 1),
    "speed.dtype": TEXT,
    "versions": (
        "names of packages with their versions",
        lambda value: isinstance(value, dict) and bool(value) and all(map(_is_text, value.values())),
    ),
    "command": TEXT,
}
# a run on text (``"task": "text"``) counts examples where a speech run counts minutes and seconds
SPEECH_ONLY = ("data.train_minutes", "speed.rtf")
TEXT_ONLY: dict[str, Kind] = {"data.train_examples": COUNT, "speed.examples_per_s": AMOUNT}
ERRORS = ("CER", "PER", "ERR")  # names of the error rate that ranks a run
OPTIONAL: dict[str, Kind] = {
    "backbone_sha256": TEXT,
    "task": ("speech or text", lambda value: value in ("speech", "text")),
    "history": (
        "a list of rows of numbers, each with its epoch",
        lambda value: _all_rows(value, _is_history_row),
    ),
    "per_layer_sparsity": (
        "layer names with fractions between 0 and 1",
        lambda value: isinstance(value, dict) and all(map(FRACTION[1], value.values())),
    ),
    "examples": (
        "a list of {id, reference, hypothesis} texts",
        lambda value: _all_rows(
            value, lambda row: all(isinstance(row.get(key), str) for key in ("id", "reference", "hypothesis"))
        ),
    ),
    "note": ("a text", lambda value: isinstance(value, str)),
    "config": ("the tuned hyper-parameters by name", lambda value: isinstance(value, dict)),
    "size.bytes_in_bank": COUNT,
    "data.dropped": (
        "by split, reasons with the number of rows that were left out",
        lambda value: (
            isinstance(value, dict)
            and all(
                isinstance(reasons, dict) and all(map(_is_count, reasons.values()))
                for reasons in value.values()
            )
        ),
    ),
    "utterances": (
        "a fingerprint of the clips, and edits and lengths of each as texts with spaces between",
        lambda value: isinstance(value, dict) and _is_text(value.get("clips")) and _are_paired(value),
    ),
}


def value_of(metrics: Mapping[str, Any], dotted: str, default: Any = None) -> Any:
    """Look up a nested field such as ``"test.CER"``; `default` where it is not there."""
    found: Any = metrics
    for key in dotted.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def error_name(metrics: Mapping[str, Any]) -> str:
    """Return the name of the error rate that ranks this run: CER for characters, PER for phones, ERR for labels."""
    return next((name for name in ERRORS if name in metrics["test"]), ERRORS[0])


def required(metrics: Mapping[str, Any]) -> dict[str, Kind]:
    """Return the required fields by dotted name, which differ between runs on speech and on text."""
    if metrics.get("task") != "text":
        return REQUIRED
    return {name: kind for name, kind in REQUIRED.items() if name not in SPEECH_ONLY} | TEXT_ONLY


def _problems(metrics: Mapping[str, Any], may_lack: Collection[str]) -> Iterator[str]:
    missing = object()
    for dotted, (kind, test) in required(metrics).items():
        value, part = value_of(metrics, dotted, missing), dotted.split(".")[0]
        if value is missing and part in may_lack and part not in metrics:
            continue
        if value is missing:
            yield f"{dotted} is missing"
        elif not test(value):
            yield f"{dotted} must be {kind}, not {value!r}"
    for dotted, (kind, test) in OPTIONAL.items():
        value = value_of(metrics, dotted, missing)
        if value is not missing and not test(value):
            yield f"{dotted} must be {kind}"
    for split in ("dev", "test"):
        rates = metrics.get(split)
        phones = isinstance(rates, dict) and "PER" in rates and "CER" not in rates
        names = ("ERR",) if metrics.get("task") == "text" else ("PER",) if phones else ("CER", "WER")
        for name in names:
            value = value_of(metrics, f"{split}.{name}", missing)
            if value is missing:
                yield f"{split}.{name} is missing (percent; {split}.PER alone for phone targets, ERR for text)"
            elif not AMOUNT[1](value):
                yield f"{split}.{name} must be a percentage, 0 or more, not {value!r}"


def validate(metrics: Mapping[str, Any], where: str = "metrics", may_lack: Collection[str] = ()) -> None:
    """Refuse metrics with missing or wrong fields.

    Parameters
    ----------
    metrics : mapping
        The content of one `metrics.json`: error rates in percent, sparsities as fractions, sizes in bytes.
    where : str
        What the message calls it, usually the path.
    may_lack : collection of str
        Parts that may be left out as a whole: a mask bank remembers of a run what describes its language.

    Raises
    ------
    UserError
        In one line that names the first three wrong fields.
    """
    if not isinstance(metrics, Mapping):
        raise UserError(f"{where}: metrics must be an object of named fields; see docs/reporting.md")
    problems = list(_problems(metrics, may_lack))
    if not problems:
        return
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    raise UserError(f"{where}: {'; '.join(problems[:3])}{more}; see docs/reporting.md for the fields")
