"""Runs of S6-DAMON trained for hours before they said that a setting cannot be meant, or could not be stored."""

import pytest
from recipe_tools import RECIPES, load_recipe

from s3_speechbrain.modelfolder import read_model
from s3_speechbrain.report import read_metrics

RECIPE = "CommonVoice/s6_damon"
CHANNELS = ("--kinds=[channels]", "--encoder={freeze_extractor: False}")
DETECTOR = "--detector={updates: 2, valid_every: 2}"


@pytest.fixture
def go(tiny_corpus, tiny_encoder, tmp_path):
    def run(yaml, folder, *options):
        load_recipe(RECIPE).main(
            [
                str(RECIPES / RECIPE / "hparams" / yaml),
                *(
                    f"--data_folder={tiny_corpus}",
                    f"--source={tiny_encoder}",
                    f"--output_folder={tmp_path / folder}",
                ),
                *("--language=en", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"),
                *options,
            ]
        )
        return read_metrics(tmp_path / folder)

    return run


def test_everything_can_be_kept(go, tmp_path):
    assert go("salad.yaml", "run", DETECTOR, "--keep_ratio=1.0")["tokens"]["keep_ratio"] == 1
    read_model(tmp_path / "run" / "model")


def test_a_detector_of_another_size_is_stored_with_its_size(go, tmp_path):
    go("salad.yaml", "small", DETECTOR, "--detector_size={width: 32}")
    go("salad.yaml", "run", f"--detector_run={tmp_path / 'small'}")
    assert read_model(tmp_path / "run" / "model").config.selector.detector.width == 32


@pytest.mark.parametrize(
    ("yaml", "options", "message"),
    [
        ("salad.yaml", ["--detector_run=/nowhere"], "is no finished run"),
        ("salad.yaml", ["--unlabelled=[/nowhere]"], "/nowhere"),
        ("salad.yaml", ["--keep_ratio=0.001"], "give a fraction from 0.01 to 1"),
        ("safari.yaml", ["--budget=total_macs", "--keep=0.1"], "keep 0.1 cannot be met"),
        ("demo.yaml", ["--budget=total_macs", "--keep=0.1"], "keep 0.1 cannot be met"),
        (
            "safari.yaml",
            ["--strategy=no_adjust", "--distil=1.0"],
            "distil needs a dense teacher and is for SAFARI",
        ),
        ("safari.yaml", ["--strategy=one_shot", "--teacher_run=/nowhere"], "teacher_run has no effect"),
        ("demo.yaml", ["--selector=merge", *CHANNELS], "merge reads the channels"),
        ("demo.yaml", ["--selector=conv", *CHANNELS], "conv reads the channels"),
    ],
)
def test_refused_before_any_training(go, tmp_path, capsys, yaml, options, message):
    with pytest.raises(SystemExit):
        go(yaml, "run", *options)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "teacher" / "checkpoints").exists()


def test_a_teacher_with_another_head_is_named(go, tmp_path, capsys):
    go("salad.yaml", "first", DETECTOR)
    teacher = f"--teacher_run={tmp_path / 'first' / 'teacher'}"
    with pytest.raises(SystemExit):
        go("salad.yaml", "run", DETECTOR, teacher, "--head={hidden: [8]}")
    assert "teacher_run has another head" in capsys.readouterr().err


def test_one_shot_says_what_it_ranks(go):
    """It ranks pretrained weights, and its record said that it began with its teacher."""
    assert go("safari.yaml", "run", "--strategy=one_shot")["config"]["start_from"] == "pretrained"


def test_other_scores_are_other_methods(go):
    """Baselines that rank by contribution stood among those that rank by magnitude."""
    record = go(
        "safari.yaml", "run", "--strategy=no_adjust", "--score=contribution", "--begin=0.5", "--until=0.5"
    )
    assert record["method"] == "baseline_structured_no_adjust_by_contribution"
