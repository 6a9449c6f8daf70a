"""The section on fewer tokens: selectors in order, ablations named, curves of the usual setting only."""

import pytest

from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.tokens import NOTHING, TITLES, token_figures, token_places, tokens, variant
from s3_speechbrain.tokens import TokenConfig


@pytest.fixture
def evidence(make_run):
    def make(selector, goal, kept, error, config=None, **changes):
        method = selector if selector == "salad" else f"baseline_{selector}"
        settings = {"selector": selector, "cut": "after_positions", "keep_ratio": goal}
        return make_run(
            recipe="s6_damon",
            method=method,
            sparsity__masked=0.0,
            dev__CER=error - 1,
            test__CER=error,
            config={"start_from": "teacher", "adapt": "dense", **(config or {}), "tokens": settings}
            | ({"tokens": {**settings, **config["tokens"]}} if config and "tokens" in config else {}),
            tokens={"selector": selector, "keep_ratio": kept, "dev": {"recall": 0.912}},
            macs={"total": 60, "dense_total": 80},
            **changes,
        )

    return Evidence(
        (
            make_run(recipe="finetuning", method="dense", sparsity__masked=0.0, test__CER=20.0, config={}),
            make("uniform", 0.5, 0.5, 27.0),
            make("salad", 0.7, 0.69, 21.0),
            make("salad", 0.5, 0.51, 23.0, seed=1),
            make("salad", 0.5, 0.53, 25.0, seed=2),
            make("salad", 0.5, 0.5, 22.0, {"detector_run_language": "it"}),
            make("salad", 0.5, 0.5, 30.0, {"tokens": {"blank_policy": "none"}}),
            make("salad", 0.5, 0.5, 31.0, {"lr": 0.1}),
            make_run(recipe="s6_damon", method="safari", sparsity__masked=0.5),
        ),
        {},
    )


def test_rows_come_in_the_order_of_selectors_with_their_ablations(evidence):
    lines = tokens(evidence).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    found = [row[:3] for row in rows[2:]]
    assert found == [
        ["dense finetuning, 2000 updates", "", "1.000"],
        ["SALAD", "", "0.500"],
        ["SALAD", "", "0.520"],
        ["SALAD", "", "0.690"],
        ["SALAD", "blank_policy none", "0.500"],
        ["SALAD", "detector of it", "0.500"],
        ["uniform skipping", "", "0.500"],
    ]
    assert rows[4][4:] == ["24.00 ± 1.41 (2)", "31.00 ± 0.00 (2)", "0.912", "0.750", "0.0100"]


def test_curves_show_the_usual_setting_that_dev_chooses_and_dense_as_a_line(evidence):
    ((path, (curves, levels, title, error)),) = token_figures(evidence).items()
    assert path == "docs/figures/tokens_builtin_prompts_10min_fr.png"
    points = {name: [(place, value.mean) for place, value in points] for name, points in curves.items()}
    assert points == {"SALAD": [(0.52, 24.0), (0.69, 21.0)], "uniform skipping": [(0.5, 27.0)]}
    assert (levels, error) == ({"dense finetuning, 2000 updates": 20.0}, "test CER")
    assert title == "fr, builtin, 10 min of prompts"


def test_what_makes_an_ablation(make_run):
    config = {
        "adapt": "lora",
        "tokens": {"selector": "salad", "cut": "before_positions", "recall": 0.9, "reduce": "drop"},
        "detector_run_language": "fr",
    }
    assert variant(make_run(config=config, tokens={"selector": "salad"})) == (
        "adapt lora, cut before_positions, reduce drop, recall 0.9"
    )
    assert variant(make_run(config={}, tokens={"selector": "salad"})) == ""


@pytest.mark.parametrize("selector", TITLES)
def test_a_selectors_own_ways_are_those_of_the_library(make_run, selector):
    ratio = 1.0 if selector == "all" else 0.5
    config = {"tokens": TokenConfig(selector, ratio).used}
    assert variant(make_run(config=config, tokens={"selector": selector})) == ""


def test_runs_without_a_selector_are_not_shown(evidence, make_run):
    assert len(token_places(evidence)) == 1
    assert tokens(Evidence((make_run(),), {})).endswith(NOTHING)
    assert token_figures(Evidence((make_run(),), {})) == {}
