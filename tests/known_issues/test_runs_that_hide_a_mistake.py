"""`describe` showed a run that kept no model where a revision was asked of a folder, or the kept model was damaged."""

import json

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.contents import describe


@pytest.fixture
def run(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"method": "dense", "test": {"CER": 1.0}}))
    return tmp_path


def test_a_run_that_kept_no_model_is_described(run):
    assert describe(run)["kind"] == "run"
    assert describe(run)["method"] == "dense"


def test_a_folder_has_no_revision(run):
    with pytest.raises(UserError, match="which has no revision"):
        describe(run, "v9")


@pytest.mark.parametrize("part", ["model", "bank"])
def test_a_damaged_model_is_told(run, part):
    (run / part).mkdir()
    (run / part / "config.json").write_text("{}")
    with pytest.raises(UserError, match=rf"{part} is damaged .*copy the run again"):
        describe(run)
