"""What mask finetuning does beyond the paper: begin with another language's mask, learn from a dense run."""

import json

import pytest
import torch
from recipe_tools import load_recipe

from s3_speechbrain.maskbank import read_entry

DENSE, MASK = "CommonVoice/finetuning", "CommonVoice/mask_finetuning"
MASKED = ("--sparsity=0.25", "--groups=[ffn]", "--lr=0.1")


def masks_at_first(run, tmp_path, folder, *options):
    """Return what a run removes before any score has moved."""
    run(MASK, folder, *MASKED, "--freeze_updates=6", *options)
    return read_entry(tmp_path / folder / "en.safetensors").masks


def test_scores_begin_with_the_mask_of_another_run(run, tmp_path):
    run(MASK, "other", *MASKED, "--init=kaiming_uniform")
    file = f"--mask_file={tmp_path / 'other' / 'en.safetensors'}"
    other = read_entry(tmp_path / "other" / "en.safetensors").masks
    plain, warm = masks_at_first(run, tmp_path, "plain"), masks_at_first(run, tmp_path, "warm", file)
    assert all(torch.equal(warm[name], other[name]) for name in other)
    assert not any(torch.equal(plain[name], other[name]) for name in other)
    told = json.loads((tmp_path / "warm" / "metrics.json").read_text())
    assert told["method"] == "mask_warm"
    assert told["config"]["mask_source"] == {"language": "en", "method": "mask", "seed": 1}


def test_a_dense_teacher_changes_what_is_learned_and_counts_in_the_cost(run, tmp_path):
    run(DENSE, "dense", "--method=dense")
    alone = run(MASK, "alone", *MASKED)
    taught = run(MASK, "taught", *MASKED, f"--teacher_run={tmp_path / 'dense'}")
    assert (alone["method"], taught["method"]) == ("mask", "mask_taught")
    assert (taught["config"]["distil"], taught["config"]["teacher_run_seed"]) == (1.0, 1)
    assert (alone["cost"]["updates"], taught["cost"]["updates"], taught["cost"]["own_updates"]) == (6, 12, 6)
    assert alone["history"][0]["train_loss"] < taught["history"][0]["train_loss"]  # the divergence is added


def test_a_ranking_of_all_matrices_has_its_own_name(run):
    assert run(MASK, "run", *MASKED, "--scope=global")["method"] == "mask_by_global"


def test_sparsities_by_group_or_layer_have_their_own_name(run):
    by_group = ("--sparsity={ffn: 0.5, attention: 0.25}", "--groups=[ffn, attention]")
    assert run(MASK, "groups", *by_group)["method"] == "mask_allotted"
    assert run(MASK, "layers", "--layer_sparsity=[0.5, 0.25]")["method"] == "mask_allotted"


def test_thresholds_train_and_move_the_sparsity_between_matrices(run, tmp_path):
    plain = run(MASK, "plain", *MASKED)
    told = run(MASK, "run", *MASKED, "--scope=threshold")
    assert told["method"] == "mask_by_threshold"
    assert told["sparsity"] == plain["sparsity"]
    assert told["per_layer_sparsity"] != plain["per_layer_sparsity"]
    for key in (
        "parameters",
        "bytes_per_language",
    ):  # thresholds are not stored: the mask is all that they leave
        assert told["size"][key] == plain["size"][key]
    assert read_entry(tmp_path / "run" / "en.safetensors").masks


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mask_file=nowhere"], "nowhere is refused: No such file"),
        (["--teacher_run=nowhere"], "teacher_run nowhere is no finished run"),
        (["--teacher_run=nowhere", "--distil=0"], "give a weight above 0"),
    ],
)
def test_wrong_options_are_one_line(arguments, capsys, options, message):
    with pytest.raises(SystemExit):
        load_recipe(MASK).main(arguments(MASK, "run", *MASKED, *options))
    assert message in capsys.readouterr().err


def test_masks_of_another_backbone_are_refused(run, arguments, capsys, tmp_path):
    run(MASK, "other", *MASKED, "--pretrained=False", "--seed=2")
    left = list((tmp_path / "other").glob("en.safetensors"))
    assert not left  # a random backbone has no masks to pass on
    run(MASK, "own", *MASKED)
    options = [f"--mask_file={tmp_path / 'own' / 'en.safetensors'}", "--pretrained=False", "--seed=2"]
    with pytest.raises(SystemExit):
        load_recipe(MASK).main(arguments(MASK, "run", *MASKED, *options))
    assert "masks do not carry over" in capsys.readouterr().err
