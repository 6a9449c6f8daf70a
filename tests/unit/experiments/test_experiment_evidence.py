"""Committed runs answer the jobs whose settings they had, and no others."""

import json
from pathlib import Path

import pytest

from s3_speechbrain.experiments.evidence import (
    Evidence,
    command_options,
    keep,
    record_settings,
    recorded_options,
)
from s3_speechbrain.experiments.grid import Cell, Grid, Need, read_grid
from s3_speechbrain.experiments.jobs import make_plan
from s3_speechbrain.experiments.settings import settings_key
from s3_speechbrain.report.provenance import former_defaults
from s3_speechbrain.report.runs import config_key, load_evidence

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ("finetuning", "mask_finetuning", "parp")
BASED = ("dense_run_seed", "mask_source")


@pytest.fixture(scope="module")
def committed():
    return [run for run in load_evidence(ROOT / "evidence").runs if run["recipe"] in RECIPES]


def plan_for(run):
    """Write a run's command as a grid, with the run that it was built on."""
    file, options = command_options(run["command"])
    recipe = f"CommonVoice/{run['recipe']}"
    source = options.pop("source", "builtin")
    same = {"language": run["language"], "seed": run["seed"]}
    options = {
        key: value
        for key, value in (options | same).items()
        if key not in ("dense_run", "teacher_run", "mask_file")
    }
    cells, needs = {}, []
    for option in [name for name in ("dense_run", "teacher_run") if name in run["command"]]:
        needs = [Need(option, "base")]
        dense = {**same, "method": "dense"}
        cells["base"] = (Cell("base", "CommonVoice/finetuning", "demo.yaml", "prompts", source, (), dense),)
    if "mask_source" in run["config"]:
        source_run = run["config"]["mask_source"]
        pruned = run["recipe"] == "parp"
        needs = [
            Need(
                "mask_file", "base", "mask.safetensors" if pruned else f"{source_run['language']}.safetensors"
            )
        ]
        named = ("language", "seed", "method", "sparsity") if pruned else ("language", "seed")
        origin = {key: source_run[key] for key in named}
        cells["base"] = (Cell("base", recipe, "demo.yaml", "prompts", source, (), origin),)
    cells["it"] = (Cell("it", recipe, file, run["data"]["name"], source, (), options, tuple(needs)),)
    plan = make_plan([Grid("grid", cells)], ROOT)
    return plan, plan.jobs[plan.entries["grid: it"][0]]


def test_every_record_whose_command_still_says_its_settings_is_found(committed):
    evidence, found = Evidence(committed, ROOT), 0
    for run in committed:
        recipe = ROOT / "recipes" / "CommonVoice" / run["recipe"]
        if "--languages" in run["command"] or "add_language" in run["command"]:
            continue  # of the recipe for several languages
        plan, job = plan_for(run)
        match = evidence.find(job, plan)
        record = record_settings(run, recipe)
        if record is not None and settings_key(job.settings) == settings_key(record):
            found += 1
            assert match, run["command"]
            known = [(each["method"], config_key(each, "precision")) for each in (*match, run)]
            assert known[0] == known[1]  # the machine chose the precision
        else:  # defaults have changed since, and what the command says now is another run
            assert not match or config_key(match[0], "precision") != config_key(run, "precision")
    assert found >= 85


def test_records_of_several_languages_answer_the_run_of_one(committed):
    wanted = [run for run in committed if "--languages" in run["command"] or "add_language" in run["command"]]
    assert wanted
    evidence = Evidence(committed, ROOT)
    for run in wanted:
        options = {"language": run["language"], "seed": run["seed"], **former_defaults(run)}
        cell = Cell(
            "mask", "CommonVoice/mask_finetuning", "demo.yaml", run["data"]["name"], "builtin", (), options
        )
        plan = make_plan([Grid("grid", {"mask": (cell,)})], ROOT)
        (job,) = plan.jobs.values()
        (match,) = evidence.find(job, plan)
        assert config_key(match, "precision") == config_key(run, "precision")
        assert Evidence(wanted, ROOT).find(job, plan) == [run]


@pytest.mark.parametrize("missing", [None, "fr"])
def test_one_training_of_several_languages_is_found_if_all_have_records(missing):
    runs = [run for run in load_evidence(ROOT / "evidence").runs if run["language"] != missing]
    grid = read_grid(ROOT / "experiments" / "many_languages.yaml")
    plan = make_plan([grid], ROOT)
    for entry in ("one_subnetwork", "one_dense_model", "masks_jointly"):
        job = plan.jobs[plan.entries[f"many_languages: {entry}"][0]]
        assert job.updates == 2000
        found = Evidence(runs, ROOT).find(job, plan)
        assert [run["language"] for run in found] == ([] if missing else list(job.languages))


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.002},
        {"language": "es"},
        {"seed": 2},
        {"alpha": 8.0},  # which no record's config tells
        {"train_minutes": 60},
        {"precision": "fp16"},
        {"method": "frozen"},
    ],
)
def test_another_setting_is_not_answered(make_run, change):
    config = {"lr": 0.001, "updates": 400, "head_only_updates": 0, "precision": "bf16", "max_grad_norm": 0.1}
    command = "python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr --threads 1"
    run = make_run(recipe="finetuning", method="dense", config=config, command=command)
    plain, changed = (
        make_plan(
            [
                Grid(
                    "g",
                    {
                        "e": (
                            Cell("e", "CommonVoice/finetuning", "demo.yaml", "prompts", "builtin", (), given),
                        )
                    },
                )
            ],
            ROOT,
        )
        for given in ({"method": "dense"}, {"method": "dense", **change})
    )
    evidence = Evidence([run], ROOT)
    assert evidence.find(next(iter(plain.jobs.values())), plain) == [run]
    assert evidence.find(next(iter(changed.jobs.values())), changed) == []


def test_the_defaults_of_today_do_not_change_what_was_run(make_run):
    config = {"lr": 0.003, "sparsity": 0.2, "head_only_updates": 0}  # today the head learns alone at first
    run = make_run(config=config, command="python train.py hparams/demo.yaml --language fr")
    settings = record_settings(run, ROOT / "recipes" / "CommonVoice" / "mask_finetuning")
    assert settings["freeze_updates"] == 0


def test_commands_are_taken_apart():
    file, options = command_options(
        "python train.py hparams/demo.yaml --data_folder PATH/x --lr=0.1 --groups '[ffn, attention]' --noprogressbar "
        "--source PATH/whisper --dense_run PATH/dense --lr 0.2"
    )
    assert file == "demo.yaml"
    assert options == {
        "lr": 0.2,
        "groups": ["ffn", "attention"],
        "source": "whisper",
        "dense_run": "ELSEWHERE",
    }
    assert command_options("python add_language.py hparams/add_language.yaml --lr 1") == ("", {})
    assert command_options("python joint.py hparams/joint.yaml --lr 1") == ("joint.yaml", {"lr": 1})


def test_nested_settings_of_records_become_options(make_run):
    run = make_run(
        recipe="s6_damon",
        method="s6",
        config={
            "tokens": {"selector": "salad", "keep_ratio": 0.7, "detector": {"width": 128}},
            "structured": {"keep": 0.5, "start": 0.05},
            "detector": {"updates": 400, "unlabelled": "rest"},
            "teacher_run_seed": 1,
        },
    )
    assert recorded_options(run) == {
        "selector": "salad",
        "keep_ratio": 0.7,
        "detector_size": {"width": 128},
        "keep": 0.5,
        "begin": 0.05,
        "detector": {"updates": 400},
        "unlabelled": "rest",
    }


def test_finished_runs_are_kept_and_other_results_stay(tmp_path, make_run):
    file, evidence = tmp_path / "metrics.json", tmp_path / "evidence"
    file.write_text(json.dumps(make_run()))
    assert [keep(file, evidence).state for _ in range(2)] == ["new", "same"]
    file.write_text(json.dumps(make_run(test__CER=9.0)))
    assert keep(file, evidence).state == "old"
    assert json.loads(keep(file, evidence).place.read_text())["test"]["CER"] == 13.0
    assert keep(file, evidence, replace=True).state == "replaced"
    assert json.loads(keep(file, evidence).place.read_text())["test"]["CER"] == 9.0
