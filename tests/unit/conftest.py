"""Fixtures that tests of several rooms share."""

import pytest
from toy_encoders import toy_wav2vec2


@pytest.fixture
def encoder():
    """A frozen toy wav2vec2."""
    return toy_wav2vec2()


@pytest.fixture
def make_run():
    """Build valid metrics; keyword arguments replace fields, nested ones with two underscores for the dot."""

    def build(**changes):
        run = {
            "recipe": "mask_finetuning",
            "method": "mask",
            "backbone": "builtin",
            "language": "fr",
            "seed": 1,
            "data": {"name": "prompts", "train_minutes": 10, "manifest_sha256": "ab12"},
            "sparsity": {"masked": 0.08, "linears": 0.05, "model": 0.04},
            "dev": {"CER": 12.0, "WER": 30.0},
            "test": {"CER": 13.0, "WER": 31.0},
            "cost": {"wall_s": 300.0, "updates": 2000, "peak_rss_mb": 900.0, "trainable": 3_100_000},
            "size": {"parameters": 8_000_000, "bytes_per_language": 180_000},
            "speed": {"rtf": 0.01, "threads": 2, "dtype": "float32"},
            "versions": {"torch": "2.14.1", "speechbrain": "1.1.2"},
            "command": "python train.py hparams/demo.yaml --language fr",
        }
        for name, value in changes.items():
            *outer, last = name.split("__")
            place = run
            for key in outer:
                place = place[key]
            place[last] = value
        return run

    return build
