"""Masks and dense runs of another text encoder were taken where its folder had the same name.

Records of dense runs also named settings of pruning, which no dense run uses: two equal runs then counted as two.
"""

import json
import shutil

import pytest
import torch
from recipe_tools import RECIPES, load_recipe
from safetensors.torch import load_file, save_file
from text_corpus import write_text_encoder, write_texts

from s3_speechbrain.brains.backbone import backbone_sha256

RECIPE = "Text/parp"


@pytest.fixture
def encoders(tmp_path):
    """Two folders with equal names, whose weights differ by one number."""
    first = write_text_encoder(tmp_path / "first" / "encoder")
    other = shutil.copytree(first, tmp_path / "other" / "encoder")
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("query.weight"))
    weights[name][0, 0] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    return first, other


@pytest.fixture
def run(tmp_path):
    data = write_texts(tmp_path / "data")

    def go(folder, encoder, *options):
        load_recipe(RECIPE).main(
            [
                str(RECIPES / RECIPE / "hparams" / "demo.yaml"),
                *(f"--data_folder={data}", f"--source={encoder}", f"--output_folder={tmp_path / folder}"),
                *("--updates=2", "--valid_every=2", "--interval=2", "--batch_tokens=64", "--noprogressbar"),
                *options,
            ]
        )
        return tmp_path / folder

    return go


def test_masks(run, encoders, capsys):
    file = run("mpi", encoders[0], "--method=mpi") / "mask.safetensors"
    options = ("--method=foreign", f"--mask_file={file}")
    with pytest.raises(SystemExit):
        run("foreign", encoders[1], *options)
    assert "of a backbone PATH/encoder with other weights" in capsys.readouterr().err
    run("same", encoders[0], *options)


def test_asking_for_it_draws_nothing(encoders):
    torch.manual_seed(3)
    assert backbone_sha256({"source": str(encoders[0]), "pretrained": True, "max_tokens": 8})
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.rand(1) == drawn


def test_dense_runs(run, encoders, capsys):
    options = ("--method=omp", f"--dense_run={run('dense', encoders[0], '--method=dense')}")
    with pytest.raises(SystemExit):
        run("omp", encoders[1], *options)
    assert "has backbone_sha256" in capsys.readouterr().err
    run("same", encoders[0], *options)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("dense", set()),
        ("mpi", {"sparsity", "scope"}),
        ("parp", {"sparsity", "scope", "interval"}),
        ("parp_p", {"sparsity", "scope", "interval", "growth", "start_sparsity"}),
    ],
)
def test_records_name_the_settings_of_their_method_alone(run, encoders, method, told):
    record = json.loads((run(method, encoders[0], f"--method={method}") / "metrics.json").read_text())
    assert record["config"].keys() - {"lr", "head_lr", "updates", "batch_tokens", "train_rows"} == told


def test_a_dense_run_has_no_pruned_set(run, encoders):
    folder = run("dense", encoders[0], "--method=dense", "--groups=[ffn]", "--biases=False")
    assert not {"groups", "biases"} & json.loads((folder / "metrics.json").read_text())["config"].keys()
