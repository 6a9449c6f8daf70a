"""Pretraining made whole rounds of `updates_per_epoch`: with 100 updates in rounds of 250 it made 250."""

import json

import numpy as np
import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from torch import nn

from s3_speechbrain.brains.checkpoints import AtomicCheckpointer
from s3_speechbrain.pretraining.corpus import Clips
from s3_speechbrain.pretraining.run import PretrainingBrain, loaders

GENERATOR = np.random.default_rng(0)
CLIPS = Clips(
    [str(i) for i in range(5)], [GENERATOR.integers(-900, 900, 1600).astype(np.int16) for _ in range(5)]
)


class Objective(nn.Module):
    """A weight to learn; remembers which clips it saw in training."""

    def __init__(self, seen):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.ones(())), seen

    def forward(self, student, wavs, wav_lens, names):
        if self.training:
            self.seen += names
        return {"loss": self.weight.square()}


def run(folder, updates, per_epoch, kill_at=None):
    """Train, or go on training; return the clips seen, the rounds in the curve, and the rate of the last update."""
    torch.manual_seed(0)
    seen, counter = [], EpochCounter(1)
    modules = {"student": nn.Linear(1, 1), "objective": Objective(seen)}
    hparams = {"updates": updates, "updates_per_epoch": per_epoch, "epoch_counter": counter, "lr": 0.5}
    hparams |= {"lr_stages": {"warmup": 0, "hold": 0.5, "final": 0.01}, "output_folder": str(folder)}
    folder.mkdir(exist_ok=True)
    brain = PretrainingBrain(
        modules,
        lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        hparams | {"batch_seconds": 0.1, "seed": 1},
        {"device": "cpu", "noprogressbar": True},
        AtomicCheckpointer(folder / "checkpoints", recoverables={**modules, "counter": counter}),
    )
    if kill_at is not None:

        def stop(*_):
            if brain.optimizer_step == kill_at:
                raise KeyboardInterrupt

        brain.on_fit_batch_end = stop
    try:
        brain.fit(counter, *loaders(CLIPS, CLIPS, brain))
    except KeyboardInterrupt:
        return seen, None, None
    curve = [json.loads(line)["updates"] for line in (folder / "curve.jsonl").read_text().splitlines()]
    return seen, curve, brain.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("updates", "per_epoch", "rounds"), [(3, 10, [3]), (5, 2, [2, 4, 5]), (4, 2, [2, 4]), (1, 1, [1])]
)
def test_as_many_updates_are_made_as_were_asked_for(tmp_path, updates, per_epoch, rounds):
    seen, curve, rate = run(tmp_path / "run", updates, per_epoch)
    assert (len(seen), curve) == (updates, rounds)
    assert rate == pytest.approx(0.5 * 0.01 ** (1 - 2 / updates) if updates > 2 else 0.5)
    assert run(tmp_path / "run", updates, per_epoch)[:2] == ([], rounds)  # finished: nothing is added


def test_a_resumed_run_makes_what_was_left(tmp_path):
    whole, curve, _ = run(tmp_path / "whole", 7, 3)
    assert curve == [3, 6, 7]
    before, _, _ = run(tmp_path / "parts", 7, 3, kill_at=5)
    after, again, _ = run(tmp_path / "parts", 7, 3)
    assert before[:3] + after == whole  # two updates of the second round were lost with the process
    assert again == curve


def test_a_finished_run_goes_on_with_more_updates(tmp_path):
    whole, _, _ = run(tmp_path / "whole", 9, 4)
    first, _, _ = run(tmp_path / "parts", 5, 4)
    second, curve, _ = run(tmp_path / "parts", 9, 4)
    assert first + second == whole
    assert curve == [4, 5, 9]
