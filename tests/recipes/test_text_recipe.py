"""The pruning recipe for text encoders, end to end."""

import json

import pytest
import torch
from recipe_tools import RECIPES, load_recipe
from text_corpus import write_text_encoder, write_texts

from s3_speechbrain.analysis import read_masks
from s3_speechbrain.report import read_metrics
from s3_speechbrain.text import load_text_encoder

RECIPE = "Text/parp"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    return write_text_encoder(folder / "encoder"), write_texts(folder / "data")


@pytest.fixture
def run(tiny, tmp_path):
    def go(folder, *options):
        encoder, data = tiny
        arguments = [f"--data_folder={data}", f"--source={encoder}", f"--output_folder={tmp_path / folder}"]
        arguments += [
            "--updates=12",
            "--valid_every=6",
            "--interval=3",
            "--batch_tokens=64",
            "--noprogressbar",
        ]
        load_recipe(RECIPE).main(
            [str(RECIPES / RECIPE / "hparams" / "demo.yaml"), *arguments, "--lr=0.01", *options]
        )
        return json.loads((tmp_path / folder / "metrics.json").read_text())

    return go


def best(folder):
    newest = min((folder / "checkpoints").glob("CKPT*"), key=lambda path: path.stat().st_mtime_ns)
    return torch.load(newest / "trained.ckpt")


@pytest.mark.parametrize("method", ["dense", "rp_uniform", "mpi", "parp", "parp_p"])
def test_every_method_runs_to_its_metrics(run, tmp_path, method):
    metrics = run("run", f"--method={method}", "--sparsity=0.5")
    assert read_metrics(tmp_path / "run")["task"] == "text"
    assert list(metrics["dev"]) == list(metrics["test"]) == ["ERR"]
    assert metrics["data"]["train_examples"] == 40
    assert metrics["cost"]["updates"] == 12
    told = [list(map(int, metrics["utterances"][key].split())) for key in ("edits", "lengths")]
    assert 100 * sum(told[0]) / sum(told[1]) == pytest.approx(metrics["test"]["ERR"])
    if method == "dense":
        assert metrics["sparsity"]["masked"] == 0
        assert not (tmp_path / "run" / "mask.safetensors").exists()
    else:
        assert metrics["sparsity"]["masked"] == pytest.approx(0.5, abs=1e-3)
        (masks,) = read_masks(tmp_path / "run")
        assert masks.kept == pytest.approx(masks.entries / 2, abs=1)


def test_parp_changes_which_weights_are_kept_and_tests_re_pruned_ones(run, tmp_path):
    run("mpi", "--method=mpi")
    run("parp", "--method=parp")
    before, after = (read_masks(tmp_path / name)[0] for name in ("mpi", "parp"))
    assert any((before.masks[name].bits != after.masks[name].bits).any() for name in before.masks)
    state = best(tmp_path / "parp")
    pruned = [value for name, value in state.items() if ".layer." in name and "LayerNorm" not in name]
    share = sum(int((value == 0).sum()) for value in pruned) / sum(value.numel() for value in pruned)
    assert share == pytest.approx(0.5, abs=0.01)


def test_masks_carry_over_from_a_dense_run_and_from_another_task(run, tmp_path, tiny):
    run("dense", "--method=dense")
    pruned = run("omp", "--method=omp", f"--dense_run={tmp_path / 'dense'}")
    assert pruned["cost"]["updates"] == 24  # both trainings
    assert pruned["config"]["dense_run_seed"] == 1
    told = run("foreign", "--method=foreign", f"--mask_file={tmp_path / 'omp' / 'mask.safetensors'}")
    origin = {"language": "en", "task": "movie", "method": "omp", "sparsity": 0.5, "seed": 1}
    assert told["config"]["mask_source"] == origin
    omp, foreign = (read_masks(tmp_path / name)[0] for name in ("omp", "foreign"))
    assert all((omp.masks[name].bits == foreign.masks[name].bits).all() for name in omp.masks)
    state = best(tmp_path / "dense")
    name = "encoder.layer.0.output.dense.weight"
    pretrained = load_text_encoder(str(tiny[0]))[0].state_dict()[name]
    assert not torch.equal(state[f"encoder.{name}"], pretrained)


def test_it_learns_the_toy_task(run):
    metrics = run("run", "--method=parp", "--updates=60", "--valid_every=30")
    assert metrics["test"]["ERR"] < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method=lottery"], "choose one of dense"),
        (["--method=foreign"], "missing --mask_file"),
        (["--method=dense", "--mask_file=nowhere"], "method dense takes no mask_file"),
        (["--method=omp"], "give the output folder of a run of method dense"),
        (["--valid_every=4"], "valid_every 4 is no multiple of interval 3"),
    ],
)
def test_mistakes_are_told_in_one_line(run, capsys, options, message):
    with pytest.raises(SystemExit):
        run("run", *options)
    assert message in capsys.readouterr().err.splitlines()[-1]
