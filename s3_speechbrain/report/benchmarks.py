"""The section on benchmarks: headline numbers next to their goals, everything else folded away."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.tables import Table, markdown


class Goal(NamedTuple):
    """A headline number of a benchmark and what it should reach; `at_most` None asks for at least `at_least`."""

    meaning: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Tell whether a value reaches the goal; a value that is no number does not."""
        return value <= self.at_most if self.at_least is None else value >= self.at_least

    def text(self) -> str:
        """Write the goal as it stands in a table."""
        return f"≤ {self.at_most:g}" if self.at_least is None else f"≥ {self.at_least:g}"


TITLES = {
    "mask_step": "What a mask-finetuning step costs, on wav2vec2-base shapes.",
    "mask_bank": "Storing languages as masks and switching between them, on wav2vec2-base shapes.",
    "pruning": "What pruning again costs while training goes on, on wav2vec2-base shapes.",
    "inference": "Speed and size of the compressed network, on wav2vec2-base shapes.",
}
GOALS: dict[str, dict[str, Goal]] = {
    "mask_step": {
        "step_ratio": Goal("time of a step, masks over dense finetuning", 1.10),
        "memory_ratio": Goal("peak memory, masks over dense finetuning", 1.00),
        "renew_s": Goal("renewing the masks of all FFN and attention matrices (s)", 0.15),
    },
    "mask_bank": {
        "bytes_over_entropy": Goal("size of a language's file over its entropy bound", 1.03),
        "warm_p95_ms": Goal("switching to a loaded language, 95th percentile (ms)", 40),
        "cold_ms": Goal("switching to a language in a file (ms)", 300),
        "hundred_over_one": Goal("switching among 100 languages over switching with one loaded", 1.1),
    },
    "pruning": {"reprune_fraction": Goal("share of the training time spent on pruning again", 0.01)},
    "inference": {
        "fp32_speedup": Goal(
            "speed of half the structures and half the tokens in fp32, over dense", at_least=2.1
        ),
        "mac_fraction": Goal("that speed-up over the ratio of multiply-accumulates", at_least=0.95),
        "all_levers_speedup": Goal("speed of all levers together over dense fp32", at_least=4.5),
        "int8_size_ratio": Goal("size of the exported int8 model over the dense fp32 one", 0.15),
    },
}
CONDITIONS = ("threads", "dtype", "torch", "machine")
TOLD = ("benchmark", "command", "quick", *CONDITIONS)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    plain = isinstance(value, bool | int | str) or value is None or not math.isfinite(value)
    return str(value) if plain else f"{value:.5g}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _headline(goals: Mapping[str, Goal], values: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, goal in goals.items():
        # One number, or one per condition, such as a sparsity.
        found = list(_flat({name: values[name]})) if name in values else [(name, None)]
        for key, value in found:
            condition = key.removeprefix(name).removeprefix(".")
            meaning = f"{goal.meaning}, {condition}" if condition else goal.meaning
            verdict = "" if value is None else "met" if goal.met(value) else "missed"
            rows.append([meaning, f"`{key}`", "" if value is None else _text(value), goal.text(), verdict])
    return rows


def benchmark(evidence: Evidence, name: str) -> str:
    """Make the block of one benchmark.

    Parameters
    ----------
    evidence : Evidence
        With ``benchmarks[name]``, the last JSON line of ``benchmarks/NAME.py``.
    name : str
        A benchmark; one that `GOALS` does not know has no headline.

    Returns
    -------
    str
        Headline numbers with goals, the conditions, the command and, folded, the remaining numbers.
    """
    values, goals = evidence.benchmarks.get(name, {}), GOALS.get(name, {})
    if not values:
        return f"{name} has not been measured."
    blocks = [f"**{name}**: {TITLES[name]}" if name in TITLES else f"**{name}**"]
    if goals:
        header = ["measure", "field", "value", "goal", "verdict"]
        blocks.append(markdown(Table(header, _headline(goals, values), 2)))
    if values.get("quick"):
        blocks.append("From a quick check of the script: no result.")
    conditions = ", ".join(f"{key} {_text(values[key])}" for key in CONDITIONS if key in values)
    told = f"Measured with {conditions} by" if conditions else "Measured by"
    blocks.append(f"{told} `{values.get('command', f'python benchmarks/{name}.py')}`.")
    rest = {key: value for key, value in values.items() if key not in (*goals, *TOLD)}
    if rest:
        rows = [[f"`{key}`", _text(value)] for key, value in sorted(_flat(rest))]
        table = markdown(Table(["field", "value"], rows))
        blocks.append(f"<details><summary>All numbers of {name}</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(blocks)


def benchmarks(evidence: Evidence) -> str:
    """Make the blocks of all benchmarks that were measured, those with goals first."""
    known = [name for name in GOALS if name in evidence.benchmarks]
    names = [*known, *sorted(set(evidence.benchmarks) - set(GOALS))]
    return "\n\n".join(benchmark(evidence, name) for name in names) or "No benchmark yet."


BENCHMARK_SECTIONS: dict[str, Callable[[Evidence], str]] = {
    f"benchmark-{name}": lambda evidence, name=name: benchmark(evidence, name) for name in GOALS
}
