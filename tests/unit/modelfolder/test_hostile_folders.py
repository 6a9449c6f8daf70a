"""Folders that a stranger might send: each is refused with one line, without running or allocating anything."""

import json
import os
import re
import subprocess
import sys

import hostile_reader
import pytest
from hostile_models import CASES
from model_folders import write_toy_model

from s3_speechbrain.modelfolder import read_model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A sound folder, to be copied."""
    place = tmp_path_factory.mktemp("good")
    return write_toy_model(place / "model", place / "encoder")


@pytest.fixture(scope="module")
def outcomes(good, tmp_path_factory):
    """What a process of its own saw of each case; those after a crash are missing."""
    place = tmp_path_factory.mktemp("spoilt")
    command = [sys.executable, hostile_reader.__file__, str(good), str(place)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert rows, done.stderr[-2000:]
    return {row["name"]: row for row in rows}


def test_there_are_many_cases_and_the_folder_that_they_spoil_is_sound(good):
    assert len(CASES) >= 60
    assert read_model(good).languages == ("fr",)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_in_one_line(name, outcomes):
    assert name in outcomes, "the reader crashed"
    found = outcomes[name]
    said = found["said"]
    assert found["kind"] == "UserError"
    assert re.search(CASES[name][1], said), said
    assert "\n" not in said
    assert said.startswith(f"{found['folder']} is refused: ")
    assert len(said) < 600
    assert found["grown"] < 100e6
    assert not found["ran"]
