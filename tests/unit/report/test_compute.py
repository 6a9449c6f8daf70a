"""What the evidence took: hours worked by hand, shared stages counted once."""

import pytest

from s3_speechbrain.report.compute import compute, own
from s3_speechbrain.report.runs import Evidence


@pytest.fixture
def runs(make_run):
    dense = make_run(recipe="finetuning", method="dense")
    dense["cost"] |= {"updates": 400, "wall_s": 3600.0}
    pruned = make_run(recipe="parp", method="omp")
    pruned["cost"] |= {"updates": 1800, "wall_s": 9000.0, "own_updates": 1400, "own_wall_s": 5400.0}
    return dense, pruned


def test_shared_stages_count_once(runs):
    assert [own(run, "wall_s") for run in runs] == [3600.0, 5400.0]
    rows = [line for line in compute(Evidence(runs, {})).splitlines() if line.startswith("|")]
    assert [row.split(" | ")[2:] for row in rows[2:]] == [
        ["1", "400", "1.0 |"],
        ["1", "1,400", "1.5 |"],
        ["2", "1,800", "2.5 |"],
    ]
