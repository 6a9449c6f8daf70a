"""Each committed result can be repeated: its command, with today's YAML files, means the settings that it records."""

import json
import shlex
from functools import cache
from pathlib import Path

import pytest

from s3_speechbrain.experiments.evidence import command_options, recorded_options
from s3_speechbrain.experiments.settings import resolve, settings_key
from s3_speechbrain.report.provenance import recipe_folder
from s3_speechbrain.report.runs import load_evidence

ROOT = Path(__file__).resolve().parents[3]


@cache
def settings(folder: Path, file: str, program: str, options: str) -> dict:
    """Resolve options given as JSON against a YAML file."""
    return json.loads(settings_key(resolve(folder, file, json.loads(options), program)))


def test_programs_and_files_of_commands_exist():
    for run in load_evidence(ROOT / "evidence").runs:
        words = shlex.split(run["command"])
        assert (ROOT / recipe_folder(run) / words[1]).is_file(), run["command"]
        assert (ROOT / recipe_folder(run) / words[2]).is_file(), run["command"]


@pytest.mark.parametrize("recipe", sorted({run["recipe"] for run in load_evidence(ROOT / "evidence").runs}))
def test_commands_mean_what_was_recorded(recipe):
    wrong = []
    for run in load_evidence(ROOT / "evidence").runs:
        file, given = command_options(run["command"]) if run["recipe"] == recipe else ("", {})
        if not file:
            continue
        own = {"seed": run["seed"], **recorded_options(run)}
        own |= {} if "languages" in own else {"language": run["language"]}
        for options in (given, own):
            options.pop("precision", None)  # what the machine at hand is fast in
        place = (ROOT / recipe_folder(run), file, shlex.split(run["command"])[1])
        today, then = (
            settings(*place, json.dumps(options, sort_keys=True)) for options in (given, {**given, **own})
        )
        known = {name for name in {**given, **own} if today.get(name) != then.get(name)}
        if known:
            wrong.append((run["command"], {name: (today.get(name), then.get(name)) for name in known}))
    assert not wrong
