"""The section on pruning: every method in its row and curve, dense beside, all stages in the cost."""

import pytest

from s3_speechbrain.report.pruning import NOTHING, pruning, pruning_figures, pruning_grids
from s3_speechbrain.report.runs import Evidence


def cells(text, table, start):
    """Return the cells of the row that starts with a text, in one of the tables."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")][1:]


@pytest.fixture
def pruned(make_run):
    def make(method, sparsity, error, **changes):
        return make_run(
            recipe="parp",
            method=method,
            sparsity__masked=sparsity,
            dev__CER=error - 1,
            test__CER=error,
            config={
                "sparsity": sparsity,
                "head_only_updates": changes.pop("frozen", 0),
                "updates": changes.pop("updates", 400),
                **changes.pop("config", {}),
            },
            **changes,
        )

    return make


@pytest.fixture
def evidence(make_run, pruned):
    def dense(method, error, frozen, updates):
        config = {"head_only_updates": frozen, "updates": updates}
        return make_run(method=method, sparsity__masked=0.0, test__CER=error, config=config)

    imp = {"cost__updates": 3500, "cost__wall_s": 1200.0}
    return Evidence(
        (
            dense("dense", 10.0, 0, 400),
            dense("dense", 9.5, 0, 800),
            dense("dense_freeze", 14.0, 9, 400),
            pruned("parp", 0.5, 11.0, seed=1),
            pruned("parp", 0.5, 13.0, seed=2),
            pruned("parp", 0.9, 30.0),
            pruned("parp", 0.5, 12.5, frozen=9),
            pruned("parp", 0.9, 25.0, updates=800),
            pruned("imp", 0.5, 15.0, **imp),
            pruned("s3_prune", 0.4998, 10.5, config={"score_lr": 0.1}),
            pruned("s3_prune", 0.4998, 10.2, config={"score_lr": 0.2}),
            pruned("baseline_foreign", 0.5, 1.0),
        ),
        {},
    )


def test_rows_are_methods_and_columns_sparsities(evidence):
    text = pruning(evidence)
    assert "| method | dense | 0.50 | 0.90 |" in text
    assert cells(text, 0, "dense finetuning") == ["10.00", "", ""]
    assert cells(text, 0, "dense finetuning, frozen at first") == ["14.00", "", ""]
    assert cells(text, 0, "PARP") == ["", "12.00 ± 1.41 (2)", "30.00"]
    assert cells(text, 0, "PARP, frozen at first") == ["", "12.50", ""]
    assert cells(text, 0, "PARP, 800 updates") == ["", "", "25.00"]
    assert cells(text, 0, "dense finetuning, 800 updates") == ["9.50", "", ""]
    assert cells(text, 0, "S3-Router's pruning") == ["", "10.20", ""]  # the better one on dev
    assert "foreign" not in text


def test_dev_cost_of_all_stages_and_bytes_have_tables_of_their_own(evidence):
    text = pruning(evidence)
    assert cells(text, 1, "PARP") == ["", "11.00 ± 1.41 (2)", "29.00"]
    assert cells(text, 2, "IMP") == ["", "3500 / 1200", ""]
    assert cells(text, 3, "IMP") == ["", "180 kB", ""]


def test_the_figure_has_a_curve_per_method_and_dense_as_lines(evidence):
    [(path, (curves, levels, title, error))] = pruning_figures(evidence).items()
    assert path == "docs/figures/pruning_builtin_prompts_10min_fr.png"
    assert f"]({path})" in pruning(evidence)
    assert list(curves) == [
        "IMP",
        "PARP",
        "PARP, 800 updates",
        "PARP, frozen at first",
        "S3-Router's pruning",
    ]
    assert [(place, value.mean) for place, value in curves["PARP"]] == [(0.5, 12.0), (0.9, 30.0)]
    assert levels == {
        "dense finetuning": 10.0,
        "dense finetuning, 800 updates": 9.5,
        "dense finetuning, frozen at first": 14.0,
    }
    assert (title, error) == ("fr, builtin, 10 min of prompts", "test CER")


def test_places_are_kept_apart_and_dense_alone_makes_none(evidence, make_run, pruned):
    other = [pruned("mpi", 0.5, 20.0, language="it"), make_run(method="dense", language="ru")]
    grids = pruning_grids(Evidence((*evidence.runs, *other), {}))
    assert [grid.place[3] for grid in grids] == ["fr", "it"]
    assert pruning(Evidence((), {})).endswith(NOTHING)
