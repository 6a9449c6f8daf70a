"""Grids run to their end, go on after they were stopped, and say what failed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from s3_speechbrain.experiments import locks
from s3_speechbrain.experiments.__main__ import main
from s3_speechbrain.experiments.engines import LocalEngine
from s3_speechbrain.experiments.work import BUSY, Task, stop, work

CHAIN = (
    "  dense: {set: {lr: 0.1}, vary: {seed: [1, 2]}}\n"
    "  after: {set: {method: omp}, vary: {seed: [1, 2]}, needs: {dense_run: dense}}\n"
)


def finished(project):
    return sorted(path.parent.name.rsplit("-", 1)[0] for path in project.results.rglob("metrics.json"))


@pytest.mark.parametrize("engine", ["local", "submitit-local"])
def test_a_chain_runs_and_is_kept(project, capsys, engine):
    path = project.write(CHAIN)
    assert project.go("run", path, "--jobs", 2, "--engine", engine) == 0
    assert finished(project) == ["after-seed-1", "after-seed-2", "dense-seed-1", "dense-seed-2"]
    assert len(list((project.root / "evidence").rglob("*.json"))) == 4
    told = capsys.readouterr().out
    assert "[4/4] toy/builtin/fr/after-seed-" in told
    assert "dev CER 12.0 %, test CER 13.0 %" in told
    assert not list(project.results.rglob(locks.LOCK))
    begun = {path: path.stat().st_mtime_ns for path in project.results.rglob("begun")}
    assert project.go("run", path) == 0
    assert {path: path.stat().st_mtime_ns for path in project.results.rglob("begun")} == begun
    assert "4 of 4 done, 0 to run" in capsys.readouterr().out


def test_one_training_of_several_languages_leaves_results_of_each(project, capsys):
    path = project.write("  both: {program: joint.py, file: joint.yaml}\n")
    assert project.go("run", path) == 0
    told = capsys.readouterr().out
    assert "toy/builtin/joint/both-seed-1: dev CER 12.0 %, test CER 15.0 % (mean of 2 languages)" in told
    kept = [path.parent.name for path in (project.root / "evidence").rglob("*.json")]
    assert sorted(kept) == ["es", "fr"]
    assert project.go("status", path) == 0
    assert "1 done, 0 running" in capsys.readouterr().out
    shutil.rmtree(project.results)  # the evidence answers as well, if it has all of them
    assert project.go("run", path) == 0
    assert "1 of 1 done, 0 to run" in capsys.readouterr().out
    next((project.root / "evidence").rglob("es/*.json")).unlink()
    assert project.go("run", path, "--dry_run") == 0
    assert "0 of 1 done, 1 to run" in capsys.readouterr().out


def test_a_recipe_for_several_languages_may_be_given_one(project):
    path = project.write("  one: {program: joint.py, file: joint.yaml, set: {languages: [fr]}}\n")
    assert project.go("run", path) == 0
    assert [path.parent.name for path in (project.root / "evidence").rglob("*.json")] == ["fr"]


def test_a_failure_stops_only_what_builds_on_it(project, capsys):
    path = project.write(
        "  bad: {set: {method: fail}}\n  good: {set: {lr: 0.2}}\n"
        "  after: {set: {method: omp}, needs: {dense_run: bad}}\n"
    )
    assert project.go("run", path, "--jobs", 1) == 1
    told = capsys.readouterr()
    assert finished(project) == ["good-seed-1"]
    assert "the disk is full" in told.err
    assert "skipped: toy/builtin/fr/after-seed-1" in told.err
    assert "1 finished, 1 failed, 1 skipped" in told.out
    assert project.go("status", path) == 0
    assert "1 done, 0 running, 1 failed, 1 missing" in capsys.readouterr().out


def test_fail_fast_begins_nothing_more(project):
    path = project.write("  bad: {set: {method: fail, updates: 99}}\n  good: {set: {lr: 0.2}}\n")
    assert project.go("run", path, "--jobs", 1, "--fail_fast") == 1
    assert finished(project) == []


def test_a_second_start_tries_again_what_failed(project):
    path = project.write("  run: {set: {method: cut}}\n")
    assert [project.go("run", path) for _ in range(2)] == [1, 0]
    (log,) = project.results.rglob(locks.LOG)
    assert "the disk is full" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_start_ends_its_jobs_and_the_next_goes_on(project, capsys, number):
    path = project.write("  run: {set: {method: wait}}\n")

    def when_begun():
        while not list(project.results.rglob("begun")):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=when_begun, daemon=True).start()
    assert project.go("run", path) == 128 + number
    assert "the same command goes on" in capsys.readouterr().out
    assert finished(project) == []
    assert not list(project.results.rglob(locks.LOCK))
    assert project.go("run", path) == 0
    assert finished(project) == ["run-seed-1"]


def test_other_evidence_stays_unless_asked(project, capsys):
    path = project.write("  run: {}\n")
    project.go("run", path)
    (place,) = (project.root / "evidence").rglob("*.json")
    other = json.loads(place.read_text())
    other["test"]["CER"], other["config"]["lr"] = 1.0, 0.001
    place.write_text(json.dumps(other))
    for metrics in project.results.rglob("metrics.json"):
        metrics.unlink()
    path = project.write("  run: {set: {lr: 0.5}}\n")  # which the toy does not record
    assert project.go("run", path) == 0
    assert "holds another result, which stays" in capsys.readouterr().out
    assert json.loads(place.read_text())["test"]["CER"] == 1.0
    for metrics in project.results.rglob("metrics.json"):
        metrics.unlink()
    assert project.go("run", path, "--replace") == 0
    assert json.loads(place.read_text())["test"]["CER"] == 13.0


def test_known_runs_are_made_again_for_those_that_build_on_them(project, capsys):
    path = project.write("  dense: {set: {lr: 0.001}}\n")
    project.go("run", path)
    (place,) = (project.root / "evidence").rglob("*.json")
    record = json.loads(place.read_text()) | {"command": "python train.py hparams/demo.yaml", "note": "first"}
    place.write_text(json.dumps(record))
    for metrics in project.results.rglob("metrics.json"):
        metrics.unlink()
    assert project.go("run", path) == 0
    assert "1 of 1 done, 0 to run" in capsys.readouterr().out
    path = project.write(
        "  dense: {set: {lr: 0.001}}\n  after: {set: {method: omp}, needs: {dense_run: dense}}\n"
    )
    assert project.go("run", path) == 0
    assert "1 of them are known but not on this machine" in capsys.readouterr().out
    assert json.loads(place.read_text())["note"] == "first"


def test_dry_runs_print_commands_and_run_nothing(project, capsys):
    path = project.write(CHAIN)
    assert project.go("run", path, "--dry_run", "--only", "after", "--threads", 1) == 0
    told = capsys.readouterr().out
    assert told.count("(cd recipes/Toy/toy && python train.py hparams/demo.yaml ") == 4
    assert "--dense_run ../../../results/experiments/toy/builtin/fr/dense-seed-1-" in told
    assert not project.results.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "nobody"), "no such entry"),
        (("--data", "speech"), "write NAME=PATH"),
        (("--data", "speech=nowhere"), "there is nothing"),
        (("--jobs", "0"), "at least 1"),
    ],
)
def test_mistakes_are_one_line(project, capsys, words, message):
    path = project.write("  run: {}\n")
    with pytest.raises(SystemExit, match="2"):
        main(["run", str(path), "--root", str(project.root), *words])
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_a_corpus_or_backbone_without_a_place_is_told(project, capsys):
    path = project.write("  run: {corpus: other}\n  more: {source: whisper}\n")
    for entry, message in (("run", "add --data other="), ("more", "add --source whisper=")):
        with pytest.raises(SystemExit, match="2"):
            project.go("run", path, "--only", entry)
        assert message in capsys.readouterr().err


# Locks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    stop([process], grace=1.0)


def test_a_lock_lives_as_long_as_one_of_its_processes(tmp_path, sleeper):
    locks.take_lock(tmp_path)
    locks.write_lock(tmp_path, [2**22 + 1, sleeper.pid])  # the start is gone, its job is not
    assert not locks.take_lock(tmp_path)
    stop([sleeper], grace=1.0)
    assert locks.take_lock(tmp_path)
    locks.drop_lock(tmp_path)
    assert not locks.is_locked(tmp_path)


def test_a_number_that_another_process_has_now_is_no_lock(tmp_path):
    locks.take_lock(tmp_path)
    told = json.loads((tmp_path / locks.LOCK).read_text())
    told["processes"] = {str(os.getpid()): "12345"}
    (tmp_path / locks.LOCK).write_text(json.dumps(told))
    assert not locks.is_locked(tmp_path)


def test_the_lock_of_another_machine_counts_while_it_shows_life(tmp_path):
    file = tmp_path / locks.LOCK
    file.write_text(json.dumps({"host": "elsewhere", "processes": {"1": "2"}}))
    assert locks.is_locked(tmp_path)
    long_ago = time.time() - 2 * locks.SILENT
    os.utime(file, (long_ago, long_ago))
    assert locks.take_lock(tmp_path)


def test_nothing_starts_where_another_is_at_work(tmp_path):
    task = Task((sys.executable, "-c", "print('done')"), tmp_path, tmp_path / "run", 1)
    assert locks.take_lock(task.folder)
    assert LocalEngine().start(task) is None
    assert work(task) == BUSY
    locks.drop_lock(task.folder)
    assert work(task) == 0
    assert locks.last_lines(task.folder)[-1] == "done"
