"""Recipes trained in bfloat16 on every machine: on a CPU without such units 40 times slower than in float32."""

import pytest
import torch
from recipe_tools import RECIPES

from s3_speechbrain.brains import precision
from s3_speechbrain.brains.experiment import start


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
        ({}, "fp32"),
    ],
)
def test_auto_asks_the_processor(monkeypatch, units, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert precision.settle_precision("auto", "cpu") == expected
    assert precision.settle_precision("bf16", "cpu") == "bf16"
    assert precision.settle_precision("fp16", "cuda:0") == "fp16"


@pytest.mark.parametrize("given", [None, "bf16", "fp32"])
def test_a_recipe_starts_with_what_the_machine_is_fast_at(monkeypatch, tmp_path, given):
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)
    hparams, run_opts = start(
        [
            str(RECIPES / "CommonVoice" / "finetuning" / "hparams" / "demo.yaml"),
            f"--data_folder={tmp_path}",
            f"--output_folder={tmp_path / 'run'}",
            "--device=cpu",
            *([] if given is None else [f"--precision={given}"]),
        ]
    )
    trained_in = run_opts.precision if "precision" in run_opts.overridden_args else hparams["precision"]
    assert trained_in == (given or "fp32")
