"""The commands below a claim make the runs above them."""

from pathlib import Path

import pytest

from s3_speechbrain.experiments.evidence import Evidence
from s3_speechbrain.experiments.grid import read_grid
from s3_speechbrain.experiments.jobs import make_plan
from s3_speechbrain.report.claims.model import GIVEN, Comparison
from s3_speechbrain.report.claims.page import CLAIMS
from s3_speechbrain.report.runs import load_evidence

ROOT = Path(__file__).parents[3]
PLANS = {
    path.stem: make_plan([read_grid(path)], ROOT) for path in sorted((ROOT / "experiments").glob("*.yaml"))
}


@pytest.fixture(scope="module")
def committed():
    return load_evidence(ROOT / "evidence")


@pytest.fixture(scope="module")
def made(committed):
    """By grid, the runs (by id) that answer one of its jobs."""
    records = Evidence(committed.runs, ROOT)
    return {
        grid: {id(run) for job in plan.jobs.values() for run in records.find(job, plan)}
        for grid, plan in PLANS.items()
    }


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_every_run_that_a_claim_compares_is_of_one_of_its_grids(committed, made, claim):
    known = set().union(*(made[grid] for grid in claim.grids))
    strangers = {
        (run["recipe"], run["method"], run["language"], run["seed"], run["sparsity"]["masked"])
        for part in claim.parts(committed)
        if isinstance(part, Comparison) and part.difference
        for side in (part.ours, part.theirs)
        for place in part.difference.languages
        for run in side.settings[place].runs
        if id(run) not in known
    }
    assert strangers == set()


@pytest.mark.parametrize("grid", PLANS)
def test_commands_give_what_a_grid_runs_on(grid):
    given = GIVEN.get(grid, "--data prompts=PATH").split()
    names = {word.removesuffix("=PATH") for word in given if not word.startswith("--")}
    jobs = PLANS[grid].jobs.values()
    sources = {job.source for job in jobs} - {"builtin", "minilm"}
    assert names == {job.corpus for job in jobs} | sources
