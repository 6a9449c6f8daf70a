"""Going on from another's checkpoint ran what its file of random generators held."""

import os
import random

import numpy as np
import pytest
import torch

from s3_speechbrain.brains.state import RandomState


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_runs(tmp_path):
    torch.save({"torch": torch.get_rng_state(), "numpy": Hostile(tmp_path / "ran")}, tmp_path / "random.ckpt")
    with pytest.raises(Exception, match=r"Unsupported|weights_only|WeightsUnpickler"):
        RandomState().load(tmp_path / "random.ckpt")
    assert not (tmp_path / "ran").exists()


def test_all_generators_go_on(tmp_path):
    random.gauss(0, 1)  # Python keeps the second of a pair
    np.random.normal()
    RandomState().save(tmp_path / "random.ckpt")

    def drawn():
        return [
            random.gauss(0, 1),
            random.random(),
            np.random.normal(),
            np.random.random(),
            torch.rand(1).item(),
        ]

    first = drawn()
    RandomState().load(tmp_path / "random.ckpt")
    assert drawn() == first
