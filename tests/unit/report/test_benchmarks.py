"""Benchmarks in RESULTS.md: what was promised, whether it is kept, and everything else behind a fold."""

import pytest

from s3_speechbrain.report.benchmarks import GOALS, benchmark, benchmarks
from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.sections import SECTIONS

STEP = {
    "benchmark": "mask_step",
    "quick": False,
    "step_ratio": 1.1,
    "memory_ratio": 1.0026,
    "peak_mb": {"dense": 2411, "mask_ffn": 2418},
    "sizes": [1, 2.5],
    "threads": 2,
    "dtype": "float32",
    "torch": "2.14.1",
}


def evidence(**found):
    return Evidence((), found)


def row(text, field):
    """Return value, goal and verdict of a headline number."""
    line = next(line for line in text.splitlines() if f"| `{field}` |" in line)
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def test_headline_numbers_stand_next_to_their_goals():
    text = benchmark(evidence(mask_step=STEP), "mask_step")
    assert row(text, "step_ratio") == ["1.1", "≤ 1.1", "met"]  # the goal itself counts as met
    assert row(text, "memory_ratio") == ["1.0026", "≤ 1", "missed"]
    assert row(text, "renew_s") == ["", "≤ 0.15", ""]


def test_goals_of_speed_are_lower_bounds():
    found = {"fp32_speedup": 2.0, "mac_fraction": 0.97}
    text = benchmark(evidence(inference=found), "inference")
    assert row(text, "fp32_speedup") == ["2", "≥ 2.1", "missed"]
    assert row(text, "mac_fraction") == ["0.97", "≥ 0.95", "met"]


def test_a_number_per_condition_has_a_row_per_condition():
    text = benchmark(evidence(mask_bank={"bytes_over_entropy": {"0.04": 1.01, "0.4": 1.05}}), "mask_bank")
    assert row(text, "bytes_over_entropy.0.04")[2] == "met"
    assert row(text, "bytes_over_entropy.0.4")[2] == "missed"
    assert "entropy bound, 0.4 |" in text


def test_a_value_that_is_no_number_misses_its_goal():
    text = benchmark(evidence(pruning={"reprune_fraction": float("nan")}), "pruning")
    assert row(text, "reprune_fraction") == ["nan", "≤ 0.01", "missed"]


def test_conditions_and_command_are_one_line_and_the_rest_is_folded():
    text = benchmark(evidence(mask_step=STEP), "mask_step")
    before, folded = text.split("<details>")
    assert "threads 2, dtype float32, torch 2.14.1 by `python benchmarks/mask_step.py`." in before
    assert "| `peak_mb.mask_ffn` | 2418 |" in folded
    assert "| `sizes` | 1, 2.5 |" in folded
    assert not any(f"`{name}`" in folded for name in ("step_ratio", "benchmark", "threads", "quick"))


def test_a_command_of_its_own_is_told():
    text = benchmark(
        evidence(mask_step={**STEP, "command": "python benchmarks/mask_step.py --threads 1"}), "mask_step"
    )
    assert "by `python benchmarks/mask_step.py --threads 1`." in text


def test_a_quick_check_is_called_no_result():
    assert "no result" in benchmark(evidence(mask_step={**STEP, "quick": True}), "mask_step")


def test_measured_benchmarks_are_listed_and_others_are_not():
    text = benchmarks(evidence(other={"speed": 3}, mask_step=STEP))
    assert text.index("**mask_step**") < text.index("**other**")
    assert "| `speed` | 3 |" in text
    assert "mask_bank" not in text
    assert benchmarks(evidence()) == "No benchmark yet."


@pytest.mark.parametrize("name", GOALS)
def test_each_benchmark_is_a_section_of_its_own(name):
    assert SECTIONS[f"benchmark-{name}"](evidence()) == f"{name} has not been measured."
