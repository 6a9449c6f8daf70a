"""The cross-lingual matrix and the joint subnetwork, end to end on two tiny languages."""

import json

import pytest
from recipe_tools import RECIPES, load_recipe
from speech_corpus import write_corpus

from s3_speechbrain.pruning import load_masks, masks_about
from s3_speechbrain.report import collect

RECIPE = "CommonVoice/parp"
HPARAMS = RECIPES / RECIPE / "hparams"
FRENCH = ("la", "le", "lu", "ma", "me", "mu", "no", "nu")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    write_corpus(root, "en")
    return write_corpus(root, "fr", FRENCH)


@pytest.fixture
def settings(tiny_encoder, corpora):
    return [
        f"--data_folder={corpora}",
        f"--source={tiny_encoder}",
        *("--updates=4", "--valid_every=2", "--interval=2", "--batch_seconds=6", "--sparsity=0.5"),
        *("--noprogressbar", "--threads=1", "--freeze_updates=0"),
    ]


def share_removed(masks):
    return sum(int((~keep).sum()) for keep in masks.values()) / sum(keep.numel() for keep in masks.values())


def test_one_subnetwork_serves_both_languages(settings, tmp_path, capsys):
    arguments = [
        str(HPARAMS / "joint.yaml"),
        *settings,
        "--languages=[en, fr]",
        f"--output_folder={tmp_path}",
    ]
    load_recipe(RECIPE, "joint.py").main(arguments)
    found = {
        language: json.loads((tmp_path / language / "metrics.json").read_text()) for language in ("en", "fr")
    }
    for language, metrics in found.items():
        assert (metrics["language"], metrics["method"]) == (language, "baseline_parp_joint")
        assert metrics["sparsity"]["masked"] == pytest.approx(0.5, abs=1e-3)
        assert metrics["cost"]["run_updates"] == 8
        assert metrics["cost"]["reprunes"] == 4
        assert metrics["config"]["interval"] == 2
    assert found["en"]["size"]["shared_bytes"] == found["fr"]["size"]["shared_bytes"]
    masks = load_masks(tmp_path / "mask.safetensors")
    assert share_removed(masks) == pytest.approx(0.5, abs=1e-3)
    # float32 values that survive, and a bit for each that competed
    stored, bits = found["en"]["size"]["shared_bytes"], sum(-(-keep.numel() // 8) for keep in masks.values())
    assert stored % 4 == bits % 4
    assert stored > 4 * sum(int(keep.sum()) for keep in masks.values())
    assert masks_about(tmp_path / "mask.safetensors")["language"] == "joint"
    capsys.readouterr()
    load_recipe(RECIPE, "joint.py").main(arguments)
    assert capsys.readouterr().out.count("is finished") == 2


def test_a_matrix_is_filled_once_and_printed(settings, tmp_path, capsys):
    ran = []

    def start(cell):
        ran.append(cell.name)
        load_recipe(RECIPE, cell.program).main(cell.arguments)
        return 0

    arguments = [str(HPARAMS / "demo.yaml"), *settings, "--languages=[en, fr]", "--kinds=[fixed]"]
    arguments += [f"--joint={HPARAMS / 'joint.yaml'}", f"--matrix_folder={tmp_path}"]
    program = load_recipe(RECIPE, "cross_lingual.py")
    assert program.main(arguments, start) == 0
    assert ran == [
        "masks/en",
        "masks/fr",
        "masks/joint",
        "en-to-fr/fixed",
        "fr-to-en/fixed",
        "joint-to-en/fixed",
        "joint-to-fr/fixed",
    ]
    out = capsys.readouterr().out
    assert "mask fixed:" in out
    table = out.split("mask fixed:")[1].splitlines()
    assert [line.split()[0] for line in table[3:6]] == ["en", "fr", "joint"]
    transferred = [run for run in collect(tmp_path) if run["method"] == "baseline_foreign"]
    assert sorted(run["config"]["mask_source"]["language"] for run in transferred) == [
        "en",
        "fr",
        "joint",
        "joint",
    ]

    assert program.main(arguments, start) == 0
    assert len(ran) == 7


def test_what_is_missing_is_told_and_leaves_status_1(settings, tmp_path, capsys):
    arguments = [str(HPARAMS / "demo.yaml"), *settings, "--languages=[en, fr]", f"--matrix_folder={tmp_path}"]
    status = load_recipe(RECIPE, "cross_lingual.py").main([*arguments, "--stage=cells"], lambda cell: 0)
    assert status == 1
    assert capsys.readouterr().err.count("--stage masks") == 6
