"""`s3sb report` took the config.json of a model below a folder for a run, and told what a run's record must hold.

The table of the overlap of masks compared all runs with the first that has masks: with another order of the runs, it
had other rows or was not there.
"""

import itertools
import json

import pytest
import torch
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.analysis.overlap import PackedMask
from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import write_model
from s3_speechbrain.webpage.figures import overlap
from s3_speechbrain.webpage.gathering import Run, gather


def test_a_model_without_metrics_is_no_run(tmp_path):
    write_model(tmp_path / "models" / "fr", make_model(tmp_path / "encoder"), tokenizer(), FACTS)
    (tmp_path / "models" / "list.json").write_text("[1, {}]")
    with pytest.raises(UserError, match="holds no finished run"):
        gather([tmp_path / "models"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "is not valid JSON"), (json.dumps({"test": {"CER": 1.0}}), "is missing")],
)
def test_damaged_evidence_is_still_told(content, reason, tmp_path):
    (tmp_path / "fr.json").write_text(content)
    with pytest.raises(UserError, match=reason):
        gather([tmp_path])


def run_with(name, *shapes):
    masks = {
        f"layer{number}": PackedMask.of(torch.arange(shape[0] * shape[1]).reshape(shape) % 3 > 0)
        for number, shape in enumerate(shapes)
    }
    return Run(name, None, {}, masks=masks)


def test_the_overlap_does_not_depend_on_the_order():
    runs = [run_with("other", (4, 9)), run_with("a", (4, 8)), run_with("b", (4, 8)), run_with("dense")]
    for order in itertools.permutations(runs):
        assert sorted(overlap(order)["names"]) == ["a", "b"]
    assert overlap(runs[:2]) is None
    assert overlap(runs[3:]) is None
    assert overlap([]) is None
