"""Each committed result can be repeated: its command, with today's YAML files, means the settings that it records."""

import json
import shlex
from pathlib import Path

import pytest

from s3_speechbrain.experiments.evidence import command_options, recorded_options
from s3_speechbrain.experiments.settings import resolve, settings_key
from s3_speechbrain.report.provenance import recipe_folder
from s3_speechbrain.report.runs import load_evidence

ROOT = Path(__file__).resolve().parents[3]
RUNS = load_evidence(ROOT / "evidence").runs
OF_THE_MACHINE = ("precision", "unlabelled")  # auto takes what it is fast in; folders


def untagged(settings):
    """Return settings with comparable values; a YAML file says of which class a mapping is, a record does not."""
    found = json.loads(settings_key(settings))
    return {
        name: value[1]
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict)
        else value
        for name, value in found.items()
    }


def test_programs_and_files_of_commands_exist():
    for run in RUNS:
        words = shlex.split(run["command"])
        assert (ROOT / recipe_folder(run) / words[1]).is_file(), run["command"]
        assert (ROOT / recipe_folder(run) / words[2]).is_file(), run["command"]


@pytest.mark.parametrize("recipe", sorted({run["recipe"] for run in RUNS}))
def test_commands_mean_what_was_recorded(recipe):
    wrong = []
    for run in RUNS:
        file, given = command_options(run["command"]) if run["recipe"] == recipe else ("", {})
        if not file:
            continue
        today = resolve(ROOT / recipe_folder(run), file, given, shlex.split(run["command"])[1])
        recorded = {"seed": run["seed"], **recorded_options(run)}
        meant, then = map(untagged, (today, {**today, **recorded}))
        names = [
            name for name in recorded if meant.get(name) != then.get(name) and name not in OF_THE_MACHINE
        ]
        if names:
            wrong.append((run["command"], {name: (meant.get(name), then.get(name)) for name in names}))
    assert not wrong
