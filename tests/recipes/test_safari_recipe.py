"""Structured pruning end to end: every strategy, its budget, a sliced network, resuming, mistakes."""

import json

import pytest
import torch
from recipe_tools import trained

from s3_speechbrain.brains.structured import StructuredBrain
from s3_speechbrain.brains.updates import UpdateBrain
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.macs import count_macs

UNITS = 2 * (2 * 536 + 32 * 33)  # parameters of the heads and neurons of the toy: two layers, width 16
ROUNDS = ("--begin=0", "--until=0.9", "--every=2", "--window=1", "--floor={heads: 1, neurons: 4}")


@pytest.fixture(scope="module")
def go(s6_damon):
    """Return a function (folder, options) that runs the recipe and returns its metrics."""

    def run(folder: str, *options: str) -> dict:
        return s6_damon("safari.yaml", folder, *ROUNDS, *options)

    run.root = s6_damon.root
    return run


@pytest.fixture(scope="module")
def whole(go):
    return go("whole")


def test_safari_meets_its_budget_and_leaves_a_smaller_encoder(go, whole):
    assert whole["method"] == "safari"
    assert whole["sparsity"]["masked"] == pytest.approx(0.5, abs=33 / UNITS)
    assert whole["cost"]["stages"][0]["name"] == "teacher"
    encoder = SpeechEncoder(str(go.root / "whole" / "encoder"))
    macs = count_macs(encoder, whole["macs"]["seconds"])
    assert (macs.transformer, macs.total) == (whole["macs"]["transformer"], whole["macs"]["total"])
    assert whole["macs"]["dense_transformer"] > macs.transformer
    assert whole["size"]["parameters"] < sum(p.numel() for p in encoder.parameters()) + 16 * 40
    kept = {name: left for name, (left, _) in whole["units"].items()}
    assert kept["heads.0"] == encoder.layers[0].attention.out_proj.in_features // 8
    assert kept["neurons.1"] == encoder.layers[1].feed_forward.output_dense.in_features
    assert whole["config"]["structured"]["keep"] == 0.5


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--strategy=no_adjust",), "baseline_structured_no_adjust"),
        (("--strategy=random",), "baseline_structured_random"),
        (("--strategy=one_shot",), "baseline_structured_one_shot"),
        (("--strategy=parp", "--every=3"), "baseline_structured_parp"),
        (("--strategy=parp_final", "--side=columns"), "baseline_structured_parp_final"),
        (("--grow=random",), "baseline_safari_random_growth"),
        (("--score=contribution", "--begin=0.5"), "baseline_safari_by_contribution"),
        (("--budget=total_macs", "--budget_seconds=1", "--keep=0.97", "--start_from=pretrained"), "safari"),
    ],
)
def test_baselines_share_teacher_and_budget(go, whole, options, name):
    pretrained = "one_shot" in name or "--start_from=pretrained" in options
    teacher = () if pretrained else (f"--teacher_run={go.root / 'whole' / 'teacher'}",)
    found = go(name, *teacher, *options)
    assert found["method"] == name
    if "--budget=total_macs" in options:
        head = 4 * 16 * 8 * 49 + 2 * 8 * 49**2  # MACs for 49 frames: projections, then scores and mix
        assert found["macs"]["seconds"] == 1
        assert 0 <= 0.97 * found["macs"]["dense_total"] - found["macs"]["total"] < head
    else:
        assert found["sparsity"]["masked"] == pytest.approx(0.5, abs=33 / UNITS)
        assert found["size"]["parameters"] == pytest.approx(whole["size"]["parameters"], abs=34)
    stages = [stage["name"] for stage in found["cost"].get("stages", [])]
    assert stages == ([] if pretrained else ["teacher", "final"])


def test_dense_checkpoints_are_not_chosen(go, whole):
    found = go("late", f"--teacher_run={go.root / 'whole' / 'teacher'}", "--begin=0.6", "--until=0.6")
    assert found["cost"]["best_update"] == 6
    assert found["sparsity"]["masked"] == pytest.approx(0.5, abs=33 / UNITS)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_that_is_cut_goes_on_the_same(go, whole, stop, monkeypatch):
    teacher = f"--teacher_run={go.root / 'whole' / 'teacher'}"
    straight, name = go(f"straight-{stop}", teacher, "--grow_from=pretrained"), f"cut-{stop}"
    original = StructuredBrain.fit_batch

    def cut(brain, batch):
        if brain.optimizer_step == stop:
            brain._save_intra_epoch_ckpt()
            raise KeyboardInterrupt
        return original(brain, batch)

    monkeypatch.setattr(StructuredBrain, "fit_batch", cut)
    with pytest.raises(KeyboardInterrupt):
        go(name, teacher, "--grow_from=pretrained")
    monkeypatch.setattr(StructuredBrain, "fit_batch", original)
    again = go(name, teacher, "--grow_from=pretrained")
    ours, theirs = trained(go.root / f"straight-{stop}"), trained(go.root / name)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert again["test"] == straight["test"]
    assert again["units"] == straight["units"]


def test_a_small_dense_network_of_the_same_shape_trains_from_scratch(go, whole, run):
    encoder = go.root / "whole" / "encoder"
    found = run("CommonVoice/finetuning", "small", f"--source={encoder}", "--method=scratch")
    assert found["size"]["parameters"] == whole["size"]["parameters"]
    assert json.loads((encoder / "config.json").read_text())["sliced"]["neurons"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--strategy=imp",), "strategy is 'imp'"),
        (("--start_from=nothing",), "start_from is 'nothing'"),
        (("--keep=0",), "keep is 0"),
        (("--until=1.5",), "in this order"),
        (("--method=salami",), "method is 'salami'"),
        (("--floor={heads: 1, neurons: 32}", "--keep=0.1"), "lower it"),
        (("--teacher_run=null", "--teacher={update: 2}"), "teacher: there is no setting 'update'"),
    ],
)
def test_mistakes_are_told_in_one_line(go, whole, capsys, options, message):
    with pytest.raises(SystemExit):
        go("wrong", f"--teacher_run={go.root / 'whole' / 'teacher'}", *options)
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in told


def test_nothing_trains_twice(go, whole, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(UpdateBrain, "fit_batch", never)
    assert go("whole") == whole
    assert "is finished" in capsys.readouterr().out
