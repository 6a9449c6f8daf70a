"""The token methods end to end: stages, sharing, resuming, baselines, mistakes."""

import pytest
import torch
from recipe_tools import RECIPES, killed_after, trained

from s3_speechbrain.brains.experiment import compose
from s3_speechbrain.report import read_metrics
from s3_speechbrain.tokens import load_detector

RECIPE = RECIPES / "CommonVoice" / "s6_damon"
DETECTOR = "--detector={updates: 6, valid_every: 3}"


@pytest.fixture(scope="module")
def go(s6_damon):
    """Return a function (folder, options) that runs the recipe and returns its metrics."""

    def run(folder: str, *options: str) -> dict:
        return s6_damon("salad.yaml", folder, DETECTOR, *options)

    run.root = s6_damon.root
    return run


@pytest.fixture(scope="module")
def whole(go):
    return go("whole")


def test_salad_trains_its_stages_and_reports_them(go, whole):
    assert whole["method"] == "salad"
    stages = {stage["name"]: stage["updates"] for stage in whole["cost"]["stages"]}
    assert stages == {"teacher": 6, "detector": 6, "final": 6}
    tokens = whole["tokens"]
    assert tokens["dev"]["keep_ratio"] == pytest.approx(0.5, abs=0.03)  # equal tones score equally
    assert 0.2 < tokens["keep_ratio"] < 0.8
    assert 0 <= tokens["dev"]["recall"] <= 1
    assert whole["config"]["tokens"]["blank_policy"] == "only_between_repeats"
    detector = load_detector(go.root / "whole" / "detector" / "detector.safetensors", features=8)
    weights = sum(value.numel() for value in detector.parameters())
    assert weights > 0
    # a dense language: all weights behind the extractor, head, detector; the checkpoint has no detector
    state = trained(go.root / "whole")
    assert not [name for name in state if name.startswith("selector")]
    stored = sum(value.numel() for name, value in state.items() if "mask_vector" not in name)
    assert whole["size"]["bytes_per_language"] == 4 * (stored + weights) + 2 * 7 + 1
    assert read_metrics(go.root / "whole")["method"] == "salad"


def test_a_run_that_was_killed_at_its_end_records_the_same_settings(go, whole):
    # its detector was complete already, and its settings were left out
    metrics = go.root / "whole" / "metrics.json"
    kept = metrics.read_bytes()
    metrics.unlink()
    again = go("whole")
    metrics.write_bytes(kept)
    assert again["config"] == whole["config"]
    assert again["test"] == whole["test"]


def test_a_teacher_and_a_detector_are_shared_and_a_higher_ratio_keeps_more(go, whole):
    shared = (f"--teacher_run={go.root / 'whole' / 'teacher'}", f"--detector_run={go.root / 'whole'}")
    found = go("shared", *shared, "--keep_ratio=0.8")
    assert [stage["shared"] for stage in found["cost"]["stages"]] == [True, True, False]
    assert found["cost"]["own_updates"] == 6
    assert found["tokens"]["keep_ratio"] > whole["tokens"]["keep_ratio"]
    assert found["config"]["detector_run_language"] == "en"
    same = go("same", *shared)
    assert (same["dev"], same["test"]) == (whole["dev"], whole["test"])
    assert same["tokens"] == whole["tokens"]


@pytest.mark.parametrize("selector", ["uniform", "average", "conv", "random", "vad", "merge", "all"])
def test_baselines_without_a_teacher(go, selector):
    options = ("--start_from=pretrained", "--updates=2", "--valid_every=2")
    found = go(selector, f"--selector={selector}", *options)
    assert found["method"] == f"baseline_{selector}"
    wanted = 1.0 if selector == "all" else 0.5
    assert found["tokens"]["keep_ratio"] == pytest.approx(wanted, abs=0.15)
    assert "stages" not in found["cost"]
    assert ("selector.conv.weight" in trained(go.root / selector)) == (selector == "conv")


@pytest.mark.parametrize("selector", ["blank", "oracle", "oracle_blank"])
def test_baselines_of_a_teacher(go, whole, selector):
    options = (f"--teacher_run={go.root / 'whole' / 'teacher'}", "--updates=2", "--valid_every=2")
    found = go(selector, f"--selector={selector}", *options)
    assert found["method"] == f"baseline_{selector}"
    names = [stage["name"] for stage in found["cost"]["stages"]]
    assert names == ["teacher", *["detector"] * (selector == "blank"), "final"]


def test_other_ways(go):
    options = ("--cut=after_positions", "--adapt=lora", "--blank_policy=none", "--n_first=2", "--jitter=0.2")
    found = go("other", *options, "--recall=0.9", "--unlabelled=rest", "--train_minutes=0.1")
    assert found["tokens"]["cut"] == "after_positions"
    assert found["tokens"]["dev"]["recall"] >= 0.9
    assert found["config"]["tokens"]["recall"] == 0.9
    assert found["config"]["detector"]["unlabelled"] == "rest"


def test_a_language_of_adapters_has_its_teachers_weights_as_well(go, whole):
    shared = (f"--teacher_run={go.root / 'whole' / 'teacher'}", f"--detector_run={go.root / 'whole'}")
    found = go("adapters", *shared, "--adapt=lora", "--rank=2")
    adapters = found["cost"]["trainable"]
    assert adapters < whole["cost"]["trainable"]
    assert found["size"]["bytes_per_language"] > whole["size"]["bytes_per_language"]


def test_a_detector_of_other_labels_is_refused(go, whole, capsys):
    with pytest.raises(SystemExit):
        go("others", f"--detector_run={go.root / 'whole'}", "--selector=salad", "--n_first=2")
    assert "config.n_first 1, this run 2" in capsys.readouterr().err


@pytest.mark.parametrize("kill_at", [2, 8, 16])
def test_a_run_that_is_killed_in_any_stage_ends_like_the_whole_one(go, whole, kill_at):
    folder = f"killed-{kill_at}"
    with killed_after(kill_at):
        go(folder)
    resumed = go(folder)
    assert (resumed["dev"], resumed["test"]) == (whole["dev"], whole["test"])
    assert resumed["tokens"]["reinserted_share"] == whole["tokens"]["reinserted_share"]
    expected, found = trained(go.root / "whole"), trained(go.root / folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--selector=best"], "selector is 'best': choose one of salad"),
        (["--method=sallad"], "method is 'sallad': choose one of salad"),
        (["--start_from=scratch"], "start_from is 'scratch': choose one of teacher, pretrained"),
        (["--adapt=frozen"], "adapt is 'frozen': choose one of dense"),
        (["--keep_ratio=50"], "keep_ratio is 50: give a fraction"),
        (["--teacher_run=nowhere"], "teacher_run nowhere is no finished run"),
        (["--unlabelled=most"], "unlabelled is 'most': give rest, or a list of folders"),
        (["--unlabelled=rest"], "the training subset holds all"),
    ],
)
def test_a_wrong_option_is_one_line_on_stderr_and_status_2(go, whole, capsys, options, message):
    if not options[0].startswith("--teacher_run"):
        options = [*options, f"--teacher_run={go.root / 'whole' / 'teacher'}"]
    with pytest.raises(SystemExit, match="2"):
        go(f"wrong-{len(list(go.root.iterdir()))}", *options)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert message in told[0]


def test_a_detector_of_another_kind_is_refused(go, whole, capsys):
    options = (f"--teacher_run={go.root / 'whole' / 'teacher'}", f"--detector_run={go.root / 'whole'}")
    with pytest.raises(SystemExit, match="2"):
        go("kind", "--selector=blank", *options)
    assert "has config.selector salad, this run blank" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((RECIPE / "hparams").glob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_file_composes(path):
    needed = "data_folder: here" + "\ndetector_run: there" * ("foreign" in path.name)
    assert "output_folder:" in compose(path, needed).getvalue()
