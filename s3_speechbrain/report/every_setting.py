"""Every setting with its errors, the trials too, so that nothing measured stays hidden: a page of its own."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from s3_speechbrain.report.main_table import BYTES_COUNT, row_of, stored_bytes
from s3_speechbrain.report.runs import Evidence, Run, Setting, data_label
from s3_speechbrain.report.sweep import masked_share
from s3_speechbrain.report.tables import Table, markdown, number, size, spread

PAGE = "docs/every_setting.md"
GENERATED = (
    "Generated from the files in `evidence/` by `python -m s3_speechbrain.report results`; change the evidence, not "
    "this page."
)
ABSENT = "-"
HEADER = ["backbone", "corpus", "language", "method", "training", "differs in", "sparsity", "seeds"]
HEADER += ["dev CER/PER", "test CER/PER", "test WER", "bytes"]
Group = tuple[str, str]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _config(run: Run) -> dict[str, str]:
    return {name: value for name, value in _flat(run.get("config") or {}) if name != "seed"}


def _group(run: Run) -> Group:
    return (run["recipe"], row_of(run))


def usual_values(settings: Sequence[Setting]) -> dict[Group, dict[str, str]]:
    """Return for each recipe and method the most common value of every recorded setting.

    Parameters
    ----------
    settings : sequence of Setting
        All of them.

    Returns
    -------
    dict
        By recipe and method: setting to value, as text; on a tie the first in order. What most runs of a group do not
        record is left out.
    """
    configs: dict[Group, list[dict[str, str]]] = {}
    for setting in settings:
        configs.setdefault(_group(setting.first), []).append(_config(setting.first))
    found = {}
    for group, each in configs.items():
        names = sorted({name for config in each for name in config})
        common = {name: _most_common([config.get(name, ABSENT) for config in each]) for name in names}
        found[group] = {name: value for name, value in common.items() if value != ABSENT}
    return found


def _most_common(values: Sequence[str]) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def differing(run: Run, usual: Mapping[str, str]) -> str:
    """Say in which recorded settings a run differs from the usual values of its group."""
    config = _config(run)
    names = sorted({*config, *usual})
    parts = [(name, config.get(name, ABSENT)) for name in names]
    return ", ".join(f"{name} {value}" for name, value in parts if value != usual.get(name, ABSENT))


def _row(setting: Setting, usual: Mapping[str, str]) -> list[str]:
    run = setting.first
    return [
        run["backbone"],
        run["data"]["name"],
        run["language"],
        row_of(run),
        data_label(run),
        differing(run, usual),
        number(masked_share(setting), 3),
        " ".join(map(str, setting.seeds)),
        spread(setting.error("dev")),
        spread(setting.error("test")),
        spread(setting.stat("test.WER")),
        size(stored_bytes([setting])),
    ]


def every_run(evidence: Evidence) -> str:
    """Make the table of all settings, and that of the values that most of them share."""
    usual = usual_values(evidence.settings)
    rows = [_row(setting, usual[_group(setting.first)]) for setting in evidence.settings]
    shared = [
        [*group, ", ".join(f"{name} {value}" for name, value in values.items())]
        for group, values in sorted(usual.items())
    ]
    return "\n\n".join(
        [
            f"{len(rows)} settings, {len(evidence.runs)} runs. `differs in` names what a setting does not share with "
            f"most of its recipe and method (`{ABSENT}`: not recorded); the table below tells what those do. "
            f"{BYTES_COUNT}",
            markdown(Table(HEADER, rows, 6)),
            "Most common values of each recipe and method:",
            markdown(Table(["recipe", "method", "values"], shared, 3)),
        ]
    )


def every_setting_page(evidence: Evidence) -> str:
    """Return the whole page."""
    return (
        "\n\n".join(
            [
                "# Every setting",
                f"{GENERATED} Error rates are in percent; what they mean: [RESULTS.md](../RESULTS.md).",
                every_run(evidence),
            ]
        )
        + "\n"
    )


def where_every_setting_is(evidence: Evidence) -> str:
    """Link to the page."""
    return f"{len(evidence.settings)} settings, {len(evidence.runs)} runs, the trials too: [{PAGE}]({PAGE})."
