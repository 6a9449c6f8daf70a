import json
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.report import write_metrics
from s3_speechbrain.report.__main__ import main, table
from s3_speechbrain.report.demo import demo
from s3_speechbrain.report.gather import canonical_name, gather
from s3_speechbrain.report.metrics import read_json
from s3_speechbrain.report.provenance import command_line, portable_command, recipe_folder


def example(text):
    return [
        {"id": "7", "reference": "bonjour", "hypothesis": text},
        {"id": "8", "reference": "b", "hypothesis": "b"},
    ]


def test_the_demo_shows_a_table_and_the_first_example_of_each_language(tmp_path, make_run):
    write_metrics(tmp_path / "mask", make_run(examples=example("bonjou")))
    write_metrics(tmp_path / "frozen", make_run(method="frozen", sparsity__masked=0.0, examples=example("")))
    text = demo(tmp_path)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("lang method sparsity")
    assert lines[2].startswith("fr frozen + head 0.00 12.0 13.0 31.0")
    assert lines[3].startswith("fr masks 0.08 12.0 13.0 31.0 3.10 M 180 kB 300")
    assert lines[5:] == ["fr reference bonjour", "frozen + head (nothing)", "masks bonjou"]


def test_the_demo_without_runs_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run a recipe first"):
        demo(tmp_path)


def test_a_canonical_name_says_what_was_run(make_run):
    run = make_run(backbone="openai/whisper-base", seed=3)
    name = "mask_finetuning/openai-whisper-base/fr/mask-prompts-10min-s0.080-seed3.json"
    assert canonical_name(run).as_posix() == name
    trial = canonical_name(make_run(config={"lr": 1}))
    assert trial != canonical_name(make_run(config={"lr": 2}))
    assert trial == canonical_name(make_run(config={"lr": 1, "seed": 5}))


def test_gathering_drops_local_paths_and_is_idempotent(tmp_path, make_run):
    command = "/opt/venv/bin/python train.py hparams/a.yaml --data_folder /data/me/cv --out=/x/y"
    run = make_run(
        command=command, backbone="/models/whisper-base", config={"teacher": "/models/big", "lr": 1}
    )
    write_metrics(tmp_path / "results" / "a", run)
    (written,) = gather(tmp_path / "results", tmp_path / "evidence")
    kept = read_json(written)
    assert kept["command"] == "python train.py hparams/a.yaml --data_folder PATH/cv --out=PATH/y"
    assert kept["backbone"] == "whisper-base"
    assert kept["config"] == {"teacher": "PATH/big", "lr": 1}
    assert gather(tmp_path / "results", tmp_path / "evidence") == []


def test_a_second_result_of_the_same_setting_needs_a_decision(tmp_path, make_run):
    write_metrics(tmp_path / "results" / "a", make_run())
    gather(tmp_path / "results", tmp_path / "evidence")
    write_metrics(tmp_path / "results" / "a", make_run(test__CER=1.0))
    with pytest.raises(UserError, match="--replace"):
        gather(tmp_path / "results", tmp_path / "evidence")
    (written,) = gather(tmp_path / "results", tmp_path / "evidence", replace=True)
    assert read_json(written)["test"]["CER"] == 1.0


def test_two_runs_for_one_place_are_refused_before_writing(tmp_path, make_run):
    write_metrics(tmp_path / "results" / "a", make_run())
    write_metrics(tmp_path / "results" / "b", make_run(test__CER=1.0))
    with pytest.raises(UserError, match="same setting and seed"):
        gather(tmp_path / "results", tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


def test_a_table_of_chosen_fields(tmp_path, make_run):
    for seed, cer in ((1, 10.0), (2, 14.0)):
        write_metrics(tmp_path / str(seed), make_run(seed=seed, test__CER=cer))
    columns = ["language", "seed", "test.CER", "cost.updates"]
    assert table(tmp_path, columns).rows == [["fr", "1 2", "12.00 ± 2.83 (2)", "2000"]]
    assert [row[1:3] for row in table(tmp_path, columns, every_run=True).rows] == [
        ["1", "10.00"],
        ["2", "14.00"],
    ]
    with pytest.raises(UserError, match=r"no run has a field 'test\.cer'"):
        table(tmp_path, ["test.cer"])


def test_the_commands_end_to_end(tmp_path, make_run, capsys):
    results, evidence = str(tmp_path / "results"), str(tmp_path / "evidence")
    write_metrics(tmp_path / "results" / "a", make_run())
    assert main(["gather", results, evidence]) == 0
    assert main(["check", "--root", str(tmp_path)]) == 1
    assert "run: python -m s3_speechbrain.report results" in capsys.readouterr().err
    assert main(["results", "--root", str(tmp_path)]) == 0
    assert main(["check", "--root", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["results", "--root", str(tmp_path)]) == 0
    assert "up to date" in capsys.readouterr().out
    for folder in (results, evidence):
        assert main(["table", folder, "--markdown"]) == 0
        assert "| builtin | fr | mask | 0.080 | 12.00 | 13.00 | 180000 |" in capsys.readouterr().out
    assert main(["demo", results]) == 0


def test_a_mistake_ends_in_one_line_and_status_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["demo", str(tmp_path / "nowhere")])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_help_teaches_the_way_of_a_number(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("s3_speechbrain.report", run_name="__main__")
    assert left.value.code == 0
    text = capsys.readouterr().out
    for word in ("gather", "results", "check", "demo", "table"):
        assert f"python -m s3_speechbrain.report {word}" in text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py a.yaml --lr 0.1", "python train.py a.yaml --lr 0.1"),
        ("/usr/bin/python3.11 /srv/x/train.py", "python PATH/train.py"),
        (
            "python train.py --hub openai/whisper-base ../cv",
            "python train.py --hub openai/whisper-base ../cv",
        ),
        ("python train.py --note 'two words'", "python train.py --note 'two words'"),
        ("python train.py --name 'a;b' --groups '[ffn]'", "python train.py --name 'a;b' --groups '[ffn]'"),
        ("python train.py --name='$HOME' --tag été", "python train.py '--name=$HOME' --tag été"),
        (
            "python add_language.py /srv/x/recipes/y/hparams/add_language.yaml",
            "python add_language.py hparams/add_language.yaml",
        ),
        ("python train.py --note 'never closed", "python train.py --note 'never closed"),
    ],
)
def test_commands_lose_what_only_one_machine_knows(command, expected):
    assert portable_command(command) == expected


def test_the_own_command_line_is_told_as_another_person_would_type_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py"), "a.yaml", "--data_folder", "/data/cv"])
    assert command_line() == "python train.py a.yaml --data_folder PATH/cv"


def test_the_documented_example_is_valid(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "reporting.md"
    text = page.read_text(encoding="utf-8")
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    assert write_metrics(tmp_path, example).is_file()


@pytest.mark.parametrize(
    "text", ["l'essai", "two words", "a;b", "$HOME", "[a, b]", "{c: 1}", '"', "été", "*"]
)
def test_a_command_that_was_written_can_be_read(text):
    command = shlex.join(["python", "train.py", "a.yaml", "--name", text, f"--other={text}"])
    assert shlex.split(portable_command(command)) == shlex.split(command)


def test_librispeech_has_recipes_of_its_own(make_run):
    data = {"name": "librispeech", "train_minutes": 10, "manifest_sha256": "x"}
    assert recipe_folder(make_run(data=data)) == "recipes/LibriSpeech/mask_finetuning"
    assert recipe_folder(make_run()) == "recipes/CommonVoice/mask_finetuning"
