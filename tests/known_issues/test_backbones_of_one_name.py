"""Masks and runs of another backbone were taken where the last folder of its path had the same name."""

import json
import shutil
from functools import partial

import pytest
import torch
from recipe_tools import RECIPES, load_recipe
from safetensors.torch import load_file, save_file
from toy_encoders import write_encoder

from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.encoders import SpeechEncoder

PARP, DENSE = "CommonVoice/parp", "CommonVoice/finetuning"


@pytest.fixture
def run(tiny_corpus, tmp_path):
    def go(recipe, encoder, folder, *options):
        load_recipe(recipe).main(
            [
                str(RECIPES / recipe / "hparams" / "demo.yaml"),
                *(
                    f"--data_folder={tiny_corpus}",
                    f"--source={encoder}",
                    f"--output_folder={tmp_path / folder}",
                ),
                *("--language=en", "--updates=2", "--valid_every=2", "--batch_seconds=6", "--noprogressbar"),
                *options,
            ]
        )
        return tmp_path / folder

    return go


@pytest.fixture
def backbones(tmp_path):
    """Two folders with equal names, whose weights differ by one number."""
    first = write_encoder(tmp_path / "first" / "encoder")
    other = shutil.copytree(first, tmp_path / "other" / "encoder")
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    weights[name][0, 0] += 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    return first, other


def test_masks(run, backbones, capsys):
    file = run(PARP, backbones[0], "mpi", "--method=mpi", "--sparsity=0.5") / "mask.safetensors"
    options = ("--method=foreign", "--sparsity=0.5", f"--mask_file={file}")
    with pytest.raises(SystemExit):
        run(PARP, backbones[1], "foreign", *options)
    assert "a backbone PATH/encoder with other weights" in capsys.readouterr().err
    run(PARP, backbones[0], "same", *options)


@pytest.mark.parametrize("old", [False, True])
def test_dense_runs(run, backbones, capsys, old):
    dense = run(DENSE, backbones[0], "dense", "--method=dense")
    if old:  # records of older runs name their backbone, and do not tell its weights
        told = json.loads((dense / "metrics.json").read_text())
        del told["backbone_sha256"]
        (dense / "metrics.json").write_text(json.dumps(told))
    options = ("--method=omp", "--sparsity=0.5", f"--dense_run={dense}")
    if old:
        run(PARP, backbones[1], "omp", *options)
    else:
        with pytest.raises(SystemExit):
            run(PARP, backbones[1], "omp", *options)
        assert "has backbone_sha256" in capsys.readouterr().err
    run(PARP, backbones[0], "same", *options)


def test_asking_for_it_draws_nothing(backbones):
    build = partial(SpeechEncoder, str(backbones[0]))
    torch.manual_seed(3)
    told = backbone_sha256({"encoder": {"build": build}, "pretrained": True})
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.rand(1) == drawn
    assert len(told) == 64
    assert backbone_sha256({"encoder": {"build": build}, "pretrained": False}) is None
    assert backbone_sha256({}) is None
