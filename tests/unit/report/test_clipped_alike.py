"""Methods stand beside one another clipped alike: a limit that was tried on one side alone is left out."""

import pytest

from s3_speechbrain.report.claims.choosing import candidates, versus
from s3_speechbrain.report.clipping import clipped_like
from s3_speechbrain.report.places import dense_at, place_of
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


def test_schemes_for_many_languages_are_compared_at_the_usual_limit(dense):
    assert [scheme_of(run) for run in dense] == ["dense", None]
