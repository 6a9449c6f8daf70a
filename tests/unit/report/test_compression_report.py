"""The sections on fewer structures and on error against time: what is shown, in which order, and how it is counted."""

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.report import pareto as page
from s3_speechbrain.report.pareto import pareto, pareto_figures
from s3_speechbrain.report.places import dense_at, network_updates, place_of
from s3_speechbrain.report.runs import Evidence
from s3_speechbrain.report.structured import NOTHING, structured, structured_figures, variant
from s3_speechbrain.report.tokens import token_places


@pytest.fixture
def evidence(make_run):
    def pruned(method, keep, error, macs=50, structured=None, tokens=None, **changes):
        config = {
            "start_from": "teacher",
            "structured": {"keep": keep, "budget": "units", **(structured or {})},
        }
        more = {"tokens": {"selector": tokens[0], "keep_ratio": tokens[1]}} if tokens else {}
        return make_run(
            recipe="s6_damon",
            method=method,
            sparsity__masked=1 - keep,
            dev__CER=error - 1,
            test__CER=error,
            config=config | ({"tokens": {"selector": tokens[0], "keep_ratio": 0.5}} if tokens else {}),
            units={"heads.0": [1, 2]},
            macs={"total": macs, "dense_total": 80},
            speed__dense_rtf=0.02,
            **more,
            **changes,
        )

    salad = make_run(
        recipe="s6_damon",
        method="salad",
        sparsity__masked=0.0,
        test__CER=22.0,
        tokens={"selector": "salad", "keep_ratio": 0.5},
        config={"tokens": {"selector": "salad", "keep_ratio": 0.5}},
        macs={"total": 60, "dense_total": 80},
    )
    return Evidence(
        (
            make_run(recipe="finetuning", method="dense", sparsity__masked=0.0, test__CER=20.0, config={}),
            salad,
            pruned("baseline_structured_random", 0.5, 30.0),
            pruned("safari", 0.5, 24.0, seed=1),
            pruned("safari", 0.5, 26.0, seed=2),
            pruned("safari", 0.75, 21.0, macs=65),
            pruned("safari", 0.75, 20.5, macs=65, structured={"drop": 0.9}),
            pruned("safari", 0.5, 19.0, structured={"side": "columns"}),
            pruned("s6", 0.5, 27.0, macs=30, tokens=("salad", 0.49)),
            pruned("baseline_uniform_safari", 0.5, 35.0, macs=30, tokens=("uniform", 0.5)),
        ),
        {},
    )


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def test_structures_come_in_the_order_of_methods_with_their_ablations(evidence):
    found = rows(structured(evidence))
    assert [row[:3] for row in found] == [
        ["dense finetuning, 2000 updates", "", "1.000"],
        ["SAFARI", "", "0.750"],
        ["SAFARI", "", "0.500"],
        ["SAFARI", "drop 0.9", "0.750"],
        ["SAFARI", "side columns", "0.500"],
        ["random units", "", "0.500"],
    ]
    assert found[2][4:8] == ["25.00 ± 1.41 (2)", "31.00 ± 0.00 (2)", "0.625", "0.500"]


def test_the_dense_network_beside_them_trained_as_long_as_teacher_and_student(make_run):
    stages = [
        {"name": "teacher", "updates": 400},
        {"name": "detector", "updates": 300},
        {"name": "final", "updates": 200},
    ]
    ours = make_run(recipe="s6_damon", method="s6", cost__updates=900, cost__stages=stages)
    assert network_updates(ours) == 600
    dense = [
        make_run(
            recipe="finetuning",
            method="dense",
            cost__updates=updates,
            dev__CER=error,
            config={"updates": updates},
        )
        for updates, error in ((400, 30.0), (600, 25.0), (800, 20.0))
    ]
    assert [network_updates(run) for run in dense] == [400, 600, 800]
    for shown, chosen in (((*dense, ours), 600), ((*dense[::2], ours), 800)):
        evidence = Evidence(tuple(shown), {})
        (mine,) = [setting for setting in evidence.settings if setting.first["method"] == "s6"]
        assert dense_at(evidence, place_of(mine), [mine]).first["cost"]["updates"] == chosen


def test_curves_of_structures_leave_ablations_out_and_let_dev_tune(evidence):
    ((path, (curves, levels, title, error)),) = structured_figures(evidence).items()
    assert path == "docs/figures/structured_builtin_prompts_10min_fr.png"
    points = {name: [(place, value.mean) for place, value in points] for name, points in curves.items()}
    assert points == {"SAFARI": [(0.5, 25.0), (0.75, 20.5)], "random units": [(0.5, 30.0)]}
    assert (levels, title, error) == (
        {"dense finetuning, 2000 updates": 20.0},
        "fr, builtin, 10 min of prompts",
        "test CER",
    )


def test_all_compressed_networks_meet_in_one_table_the_cheapest_first(evidence):
    found = rows(pareto(evidence))
    assert [(row[0], row[1], row[2], row[3]) for row in found] == [
        ("both (S6-DAMON)", "0.490", "0.500", "0.375"),
        ("uniform skipping and SAFARI", "0.500", "0.500", "0.375"),
        ("SAFARI", "1.000", "0.500", "0.625"),
        ("random units", "1.000", "0.500", "0.625"),
        ("SALAD", "0.500", "1.000", "0.750"),
        ("SAFARI", "1.000", "0.750", "0.812"),
        ("dense finetuning, 2000 updates", "1.000", "1.000", "1.000"),
    ]
    assert found[0][4:6] == ["0.0100", "0.500"]
    assert found[0][-1] == "35.0"  # 27 against 20
    assert found[4][5] == ""  # the dense network was not timed beside it


@pytest.mark.parametrize(("begins", "updates"), [("teacher", 600), ("pretrained", 200)])
def test_only_what_trains_the_network_itself_counts(make_run, begins, updates):
    stages = [("teacher", 400), ("detector", 300), ("final", 200)]
    run = make_run(config={"start_from": begins})
    run["cost"]["stages"] = [{"name": name, "updates": count} for name, count in stages]
    assert network_updates(run) == updates


def test_a_figure_for_time_and_one_for_macs(evidence):
    figures = pareto_figures(evidence)
    assert [path.rpartition("/")[2].partition("_builtin")[0] for path in figures] == [
        "pareto_time",
        "pareto_macs",
    ]
    (time, along), (macs, _) = figures.values()
    assert along == page.TIME
    assert "SALAD" not in time[0]
    assert macs[0]["SALAD"][0][0] == 0.75
    assert [place for place, _ in macs[0]["SAFARI"]] == [0.625, 0.8125]


def test_combined_runs_are_no_token_runs_and_the_small_network_no_ablation(evidence, make_run):
    ((_, settings),) = token_places(evidence).items()
    assert [setting.first["method"] for setting in settings] == ["salad"]
    config = {"start_from": "scratch", "structured": {"scale": "rank"}}
    assert variant(make_run(method="baseline_small_scratch", config=config)) == ""
    assert structured(Evidence((make_run(),), {})).endswith(NOTHING)
    assert pareto(Evidence((make_run(),), {})).endswith(page.NOTHING)


def test_folders_without_such_runs_are_told(tmp_path):
    with pytest.raises(UserError, match="no run of the recipe s6_damon"):
        page.show_pareto([tmp_path])
