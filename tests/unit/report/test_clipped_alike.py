"""Methods stand beside one another clipped alike: a limit that was tried on one side alone is left out."""

import pytest

from s3_speechbrain.report.claims.choosing import candidates, versus
from s3_speechbrain.report.clipping import clipped_like
from s3_speechbrain.report.places import dense_at, figure_path, place_of, place_title, places
from s3_speechbrain.report.pruning import pruning_grids
from s3_speechbrain.report.runs import Evidence, pool
from s3_speechbrain.report.schemes import scheme_of
from s3_speechbrain.report.sweep import dense_beside

HARD = {"max_grad_norm": 0.5, "updates": 400}
USUAL = {"updates": 400}


@pytest.fixture
def dense(make_run):
    """Dense finetuning, better on dev where gradients are clipped harder."""
    common = {"method": "dense", "recipe": "finetuning", "sparsity__masked": 0.0}
    return [
        make_run(dev__CER=error, test__CER=error, config=config, **common)
        for error, config in ((20.0, USUAL), (15.0, HARD))
    ]


def of(evidence, method):
    return candidates(evidence, lambda run: run["method"] == method)


@pytest.mark.parametrize(("limits", "error"), [((USUAL,), 20.0), ((HARD,), 15.0), ((USUAL, HARD), 15.0)])
def test_methods_compete_with_the_limits_that_both_tried(dense, make_run, limits, error):
    ours = [make_run(method="parp", dev__CER=18.0, config=config) for config in limits]
    evidence = Evidence((*dense, *ours), {})
    found = versus(("PARP", of(evidence, "parp")), ("dense", of(evidence, "dense")))
    assert found.theirs.settings["fr"].error("test").mean == error
    turned = versus(("dense", of(evidence, "dense")), ("PARP", of(evidence, "parp")))
    assert turned.ours.settings["fr"].error("test").mean == error


def test_with_no_limit_in_common_nothing_is_left_out(dense):
    usual, hard = pool(dense)[0], pool(dense)[1]
    assert clipped_like([usual], [hard]) == [usual]
    assert clipped_like([usual, hard], []) == [usual, hard]


def test_the_line_of_dense_finetuning_in_tables_is_clipped_as_what_it_stands_beside(dense, make_run):
    ours = {
        method: make_run(method=method, recipe=recipe, config=USUAL, sparsity__masked=0.5)
        for method, recipe in (("parp", "parp"), ("mask", "mask_finetuning"), ("s6", "s6_damon"))
    }
    evidence = Evidence((*dense, *ours.values()), {})
    alone = {name: pool([run])[0] for name, run in ours.items()}
    assert dense_beside(evidence, [alone["mask"]]).error("test").mean == 20.0
    assert dense_at(evidence, place_of(alone["s6"]), [alone["s6"]]).error("test").mean == 20.0
    (grid,) = pruning_grids(evidence)
    assert [curve.points[0.0].error("test").mean for curve in grid.references] == [20.0]


def test_each_limit_has_tables_and_figures_of_its_own(dense, make_run):
    ours = [
        make_run(method=method, recipe=recipe, config=config, sparsity__masked=0.5, test__CER=error)
        for method, recipe in (("parp", "parp"), ("s6", "s6_damon"))
        for config, error in ((USUAL, 19.0), (HARD, 14.0))
    ]
    evidence = Evidence((*dense, *ours), {})
    hard, usual = pruning_grids(evidence)
    assert [grid.curves[0].points[0.5].error("test").mean for grid in (hard, usual)] == [14.0, 19.0]
    assert [grid.references[0].points[0.0].error("test").mean for grid in (hard, usual)] == [15.0, 20.0]
    assert hard.title == f"{usual.title}, gradients clipped at 0.5"
    assert hard.figure == usual.figure.replace(".png", "_clipped0.5.png")
    (one, other) = places(evidence, lambda run: run["method"] == "s6").items()
    assert {place_title(place) for place, _ in (one, other)} == {usual.title, hard.title}
    for place, settings in (one, other):
        clipped = figure_path(place, "tokens").endswith("_clipped0.5.png")
        assert dense_at(evidence, place, settings).error("test").mean == (15.0 if clipped else 20.0)


def test_schemes_for_many_languages_are_compared_at_the_usual_limit(dense):
    assert [scheme_of(run) for run in dense] == ["dense", None]
