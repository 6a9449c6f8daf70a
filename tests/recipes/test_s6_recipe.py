"""Fewer tokens and fewer structures in one run: stages, what is measured, baselines, resuming, mistakes."""

import pytest
import torch

from s3_speechbrain.brains.s6 import S6Brain
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.macs import count_macs
from s3_speechbrain.report import read_metrics
from s3_speechbrain.report.__main__ import main as report

ROUNDS = ("--until=0.9", "--every=2", "--window=1", "--floor={heads: 1, neurons: 4}")


@pytest.fixture(scope="module")
def go(s6_damon):
    """Return a function (folder, options) that runs the recipe and returns its metrics."""

    def run(folder: str, *options: str, yaml: str = "demo.yaml") -> dict:
        detector = ("--detector={updates: 6, valid_every: 3}",) if yaml == "demo.yaml" else ()
        return s6_damon(yaml, folder, *ROUNDS, *detector, *options)

    run.root = s6_damon.root
    return run


@pytest.fixture(scope="module")
def whole(go):
    return go("whole")


@pytest.fixture(scope="module")
def shared(go, whole):
    return f"--teacher_run={go.root / 'whole' / 'teacher'}", f"--detector_run={go.root / 'whole'}"


def test_one_run_trains_teacher_detector_and_the_compressed_network(go, whole):
    assert whole["method"] == "s6"
    assert [stage["name"] for stage in whole["cost"]["stages"]] == ["teacher", "detector", "final"]
    assert whole["sparsity"]["masked"] == pytest.approx(0.5, abs=0.02)
    assert 0.2 < whole["tokens"]["keep_ratio"] < 0.8
    assert {"tokens", "structured"} <= whole["config"].keys()
    kept = {name: left for name, (left, _) in whole["units"].items()}
    encoder = SpeechEncoder(str(go.root / "whole" / "encoder"))
    assert kept["neurons.1"] == encoder.layers[1].feed_forward.output_dense.in_features


def test_the_teacher_is_a_finished_dense_run_to_compare_with(go, whole, capsys):
    dense = read_metrics(go.root / "whole" / "teacher")
    assert (dense["method"], dense["recipe"]) == ("dense", "finetuning")
    assert report(["pareto", str(go.root / "whole")]) == 0
    table = capsys.readouterr().out
    assert "both (S6-DAMON)" in table
    assert "dense finetuning" in table
    figures = sorted(path.name[:11] for path in (go.root / "whole").glob("pareto_*.png"))
    assert figures == ["pareto_macs", "pareto_time"]


def test_macs_count_both_savings(go, whole, tiny_encoder):
    small = SpeechEncoder(str(go.root / "whole" / "encoder"))
    frames = int(small.frame_count(160000))
    short = count_macs(small, 10.0, round(whole["tokens"]["keep_ratio"] * frames))
    # positions are those of the whole clip, so projection and positional convolution meet every frame
    every = count_macs(small, 10.0)
    more = every.projection + every.positional - short.projection - short.positional
    detector = whole["macs"]["total"] - short.total - more
    assert 0 < detector < 500 * frames * 128
    assert whole["macs"]["transformer"] - short.transformer == detector
    dense = count_macs(SpeechEncoder(str(tiny_encoder)), 10.0)
    assert (whole["macs"]["dense_transformer"], whole["macs"]["dense_total"]) == (
        dense.transformer,
        dense.total,
    )


def test_the_dense_network_is_timed_in_turns_with_the_small_one(whole):
    assert whole["speed"]["dense_rtf"] > 0
    assert whole["speed"]["threads"] >= 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--selector=uniform",), "baseline_uniform_safari"),
        (("--strategy=no_adjust",), "baseline_salad_structured_no_adjust"),
        (("--selector=all", "--strategy=random"), "baseline_all_structured_random"),
        (("--cut=after_positions",), "s6"),
    ],
)
def test_either_half_can_be_a_baseline(go, shared, options, name):
    teacher, detector = shared
    both = (teacher,) if "--selector" in options[0] else (teacher, detector)
    found = go(options[0].replace("=", "-").lstrip("-"), *both, *options)
    assert found["method"] == name
    assert found["sparsity"]["masked"] == pytest.approx(0.5, abs=0.02)


def test_a_run_that_is_cut_goes_on_the_same(go, whole, shared, monkeypatch):
    original = S6Brain.fit_batch

    def cut(brain, batch):
        if brain.optimizer_step == 4:
            brain._save_intra_epoch_ckpt()
            raise KeyboardInterrupt
        return original(brain, batch)

    monkeypatch.setattr(S6Brain, "fit_batch", cut)
    with pytest.raises(KeyboardInterrupt):
        go("cut", *shared)
    monkeypatch.setattr(S6Brain, "fit_batch", original)
    again = go("cut", *shared)
    assert (again["test"], again["units"], again["tokens"]) == (
        whole["test"],
        whole["units"],
        whole["tokens"],
    )


def test_a_small_network_from_scratch_has_the_budget_and_even_layers(go):
    found = go("small", yaml="small_scratch.yaml")
    assert found["method"] == "baseline_small_scratch"
    assert found["sparsity"]["masked"] == pytest.approx(0.5, abs=0.02)
    assert found["cost"].get("stages") is None
    first, second = (found["units"][f"neurons.{layer}"] for layer in (0, 1))
    assert abs(first[0] - second[0]) <= 1
    weights = torch.load(next((go.root / "small" / "checkpoints").glob("CKPT*/trained.ckpt")))
    assert [name for name in weights if "feature_extractor" in name]  # random convolutions have to learn


def test_distillation_changes_the_run_and_its_name(go, shared):
    found = go("distilled", shared[0], yaml="safari_distilled.yaml")
    plain = go("plain", shared[0], yaml="safari.yaml")
    assert (found["method"], plain["method"]) == ("baseline_safari_distilled", "safari")
    assert found["config"]["distil"] == 1.0
    assert found["history"][-1]["train_loss"] > plain["history"][-1]["train_loss"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--adapt=lora",), "use dense"),
        (("--distil=0.5",), "set it to 0"),
        (("--strategy=one_shot",), "--start_from pretrained"),
    ],
)
def test_mistakes_are_told_in_one_line(go, shared, capsys, options, message):
    with pytest.raises(SystemExit):
        go("wrong", *shared, *options)
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
