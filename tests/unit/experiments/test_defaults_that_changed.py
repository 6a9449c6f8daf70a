"""Where a default changed, older records that do not tell it were read with the new one, and showed a stale command."""

import json
from pathlib import Path

import pytest

from s3_speechbrain.experiments.evidence import record_settings
from s3_speechbrain.report.provenance import FORMER, command_today, former_defaults, recipe_folder
from s3_speechbrain.report.runs import load_evidence

ROOT = Path(__file__).parents[3]
COMMAND = "python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr"


@pytest.mark.parametrize("recipe", ["mask_finetuning", "finetuning", "parp"])
@pytest.mark.parametrize(
    "command", [COMMAND, COMMAND.replace("--language fr", "--languages '[fr]'"), "no command"]
)
def test_a_record_keeps_the_value_of_its_time(make_run, recipe, command):
    method = {"mask_finetuning": "mask", "finetuning": "dense", "parp": "mpi"}[recipe]
    place = ROOT / "recipes" / "CommonVoice" / recipe
    old = make_run(recipe=recipe, method=method, command=command, config={"updates": 400})
    assert record_settings(old, place)["max_grad_norm"] == 5.0
    told = make_run(recipe=recipe, method=method, command=command, config={"max_grad_norm": 0.5})
    assert record_settings(told, place)["max_grad_norm"] == 0.5


def test_its_command_gives_the_same_run_today(make_run):
    old = make_run(recipe="finetuning", method="dense", command=COMMAND, config={})
    assert command_today(old) == f"{COMMAND} --max_grad_norm 5.0"
    for changes in (
        {"config": {"max_grad_norm": 0.5}},
        {"command": f"{COMMAND} --max_grad_norm 5.0"},
        {"recipe": "s6_damon"},
    ):
        run = {**old, **changes}
        assert command_today(run) == run["command"]


def test_evidence_is_read_with_such_commands(make_run, tmp_path):
    run = make_run(recipe="finetuning", method="dense", command=COMMAND, config={})
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert load_evidence(tmp_path).runs[0]["command"] == f"{COMMAND} --max_grad_norm 5.0"


def test_nothing_is_added_where_the_default_is_still_that_of_the_record(make_run):
    for name, (value, recipes) in FORMER.items():
        for recipe in recipes:
            record = {"recipe": recipe, "config": {}}
            assert former_defaults(record) == {name: value}
            folder = recipe_folder({"recipe": recipe, "command": "", "data": {"name": "prompts"}})
            demo = (ROOT / folder / "hparams" / "demo.yaml").read_text()
            assert f"{name}: {value}" not in demo
