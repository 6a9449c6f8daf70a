"""Checkpoints are whole or absent, hold what is trained, and bring a run back exactly."""

import os
import random
import shutil

import numpy as np
import pytest
import torch
from speechbrain.utils import checkpoints as speechbrain_checkpoints
from torch import nn
from torch.nn.utils import parametrize

from s3_speechbrain.brains.checkpoints import AtomicCheckpointer
from s3_speechbrain.brains.state import History, RandomState, TrainedState, trained_tensors
from s3_speechbrain.errors import UserError


class Killed(BaseException):
    """Stands for a process that ends here."""


def checkpointer(folder):
    parts = {f"part{number}": nn.Linear(2, 2) for number in range(3)}
    return AtomicCheckpointer(folder, recoverables=parts)


@pytest.mark.parametrize("point", range(12))
@pytest.mark.parametrize("place", ["save", "fsync", "replace", "rmtree"])
def test_a_kill_at_any_point_leaves_only_checkpoints_that_load(tmp_path, monkeypatch, place, point):
    first = checkpointer(tmp_path)
    first.save_and_keep_only(meta={"CER": 2.0}, min_keys=["CER"], importance_keys=[])
    calls = 0

    def kill_at(original):
        def wrapped(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == point + 1:
                if original is shutil.rmtree:  # a deletion that got as far as one file
                    next(path for path in args[0].iterdir() if path.suffix == ".ckpt").unlink()
                raise Killed
            return original(*args, **kwargs)

        return wrapped

    owner, name = {
        "save": (speechbrain_checkpoints.torch, "save"),
        "fsync": (os, "fsync"),
        "replace": (os, "replace"),
        "rmtree": (shutil, "rmtree"),
    }[place]
    monkeypatch.setattr(owner, name, kill_at(getattr(owner, name)))
    with pytest.raises(Killed) if point < killable(place) else nothing():
        first.save_and_keep_only(meta={"CER": 1.0}, min_keys=["CER"], importance_keys=[])
    monkeypatch.undo()

    again = checkpointer(tmp_path)
    found = again.list_checkpoints()
    assert found
    for checkpoint in found:
        again.load_checkpoint(checkpoint)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("CKPT")]


def killable(place: str) -> int:
    """How often a place is passed when the second checkpoint replaces the first: 3 files, meta, two folders."""
    return {"save": 3, "fsync": 6, "replace": 2, "rmtree": 1}[place]


class nothing:  # noqa: N801
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False


def test_the_best_and_the_latest_are_kept(tmp_path):
    saver = checkpointer(tmp_path)
    for rate in (5.0, 3.0, 4.0, 6.0):
        saver.save_and_keep_only(meta={"CER": rate}, min_keys=["CER"], importance_keys=[])
    assert sorted(found.meta["CER"] for found in saver.list_checkpoints()) == [3.0, 6.0]


def test_a_damaged_file_is_told_in_one_line(tmp_path):
    saver = checkpointer(tmp_path)
    saved = saver.save_checkpoint()
    (saved.path / "part1.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"cannot load .*delete it to go on"):
        saver.load_checkpoint(saved)


class Mask(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("keep", torch.tensor([[True, False]]))
        self.score = nn.Parameter(torch.ones(1, 2))

    def forward(self, weight):
        return weight * self.keep


def masked_model() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1)).requires_grad_(False)
    parametrize.register_parametrization(model[0], "weight", Mask())
    model[1].requires_grad_(True)
    return model


def test_only_what_is_trained_is_saved_masks_included(tmp_path):
    model = masked_model()
    names = {
        "0.parametrizations.weight.0.keep",
        "0.parametrizations.weight.0.score",
        "1.weight",
        "1.bias",
    }
    assert set(trained_tensors(model)) == names
    TrainedState(model).save(tmp_path / "trained.ckpt")
    other = masked_model()
    frozen = other[0].parametrizations.weight.original.clone()
    other[0].parametrizations.weight[0].keep.fill_(True)
    TrainedState(other).load(tmp_path / "trained.ckpt")
    assert torch.equal(other[1].weight, model[1].weight)
    assert other[0].parametrizations.weight[0].keep.tolist() == [[True, False]]
    assert torch.equal(other[0].parametrizations.weight.original, frozen)


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_a_state_of_another_model_is_refused(tmp_path, change):
    TrainedState(nn.Linear(2, 2)).save(tmp_path / "trained.ckpt")
    model = {"missing": nn.Sequential(nn.Linear(2, 2)), "unexpected": nn.Linear(2, 2, bias=False)}
    with pytest.raises(UserError, match="another method, backbone or vocabulary"):
        TrainedState(model.get(change, nn.Linear(2, 3))).load(tmp_path / "trained.ckpt")


def test_random_generators_go_on_where_they_were(tmp_path):
    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()

    RandomState().save(tmp_path / "random.ckpt")
    drawn = draw()
    draw()
    RandomState().load(tmp_path / "random.ckpt")
    assert draw() == drawn


def test_history_round_trips(tmp_path):
    history = History()
    history.rounds.append({"epoch": 1, "valid_CER": 12.5})
    assert history.count("clips_skipped", 2) == 2
    history.save(tmp_path / "history.ckpt")
    again = History()
    again.load(tmp_path / "history.ckpt")
    assert vars(again) == vars(history)
