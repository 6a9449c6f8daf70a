"""What a card tells of a language has to be in its record: checked before anything is made of it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder.config import depth_of
from s3_speechbrain.modelfolder.metrics import MOST_METRICS_DEPTH
from s3_speechbrain.report.schema import value_of


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _are_rates(value: Any) -> bool:
    return _is_table(value) and all(
        _is_number(value[name]) for name in ("WER", "CER", "PER") if name in value
    )


NEEDED: dict[str, Callable[[Any], bool]] = {
    "language": _is_text,
    "recipe": _is_text,
    "method": _is_text,
    "data.name": _is_text,
}
WHERE_GIVEN: dict[str, Callable[[Any], bool]] = {
    "data.train_minutes": _is_number,
    "sparsity": _is_table,
    "sparsity.masked": _is_number,
    "test": _are_rates,
    "dev": _are_rates,
    "extra_tests": lambda value: _is_table(value) and all(map(_are_rates, value.values())),
    "command": lambda value: isinstance(value, str),
}


def check_records(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse records that lack what a card tells, or have it in another form.

    Parameters
    ----------
    folder : Path
        Where they come from, for the message.
    metrics : mapping of str to mapping
        The records, by language.

    Raises
    ------
    UserError
        For the first field that is missing or odd.
    """
    for language, record in metrics.items():
        what = f"the record of {language} in {folder}"
        if depth_of(record) > MOST_METRICS_DEPTH:
            raise UserError(f"{what} is nested too deeply: get the folder again, or train the language again")
        for name, right in (NEEDED | WHERE_GIVEN).items():
            value = value_of(record, name)
            wrong = "no" if value is None else "an unusual"
            if (name in NEEDED or value is not None) and not right(value):
                raise UserError(
                    f"{what} has {wrong} {name}: get the folder again, or train the language again with this version"
                )
        if record["language"] != language:
            raise UserError(
                f"{what} is of {record['language'][:40]!r}: give the language its own record back"
            )
