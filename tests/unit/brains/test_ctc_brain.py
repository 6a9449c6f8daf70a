"""The training step and the loss of the CTC Brain, on numbers."""

from functools import partial
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from torch import nn

from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.schedules import tri_stage


class Toy(nn.Module):
    """Stands for a recogniser: two groups of parameters, logits are the inputs plus a bias."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(1, 1, bias=False)
        self.encoder.mask_vector = None
        self.head = nn.Linear(1, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(3))
        self.selector = None

    def forward(self, inputs, lengths, stage, hold, needed):
        return inputs + self.bias, lengths


@pytest.fixture
def brain(tmp_path):
    hparams = {
        "updates": 10,
        "valid_every": 5,
        "lr": 0.5,
        "head_lr": 0.25,
        "head_only_updates": 0,
        "output_folder": str(tmp_path),
        "max_grad_norm": 1.0,
        "training": {
            "optimizer": torch.optim.SGD,
            "schedule": partial(tri_stage, warmup=0.2, hold=0.3, initial=0.0),
        },
    }
    tokenizer = SimpleNamespace(
        labels=["", "a", "b"], decode=lambda row: "".join(" ab"[index] for index in row)
    )
    brain = CTCBrain(Toy(), SimpleNamespace(tokenizer=tokenizer), hparams)
    brain.init_optimizers()
    return brain


def batch(inputs, targets, frames):
    sizes = torch.tensor([len(target) for target in targets])
    padded = nn.utils.rnn.pad_sequence([torch.tensor(t, dtype=torch.long) for t in targets], batch_first=True)
    ids = [f"clip{number}" for number in range(len(targets))]
    return SpeechBatch(ids, ["ab"] * len(ids), inputs, torch.tensor(frames), padded, sizes, "features", [])


def test_one_norm_clips_all_groups_and_each_group_has_its_rate(brain):
    encoder, head = brain.recogniser.encoder.weight, brain.recogniser.head.weight
    before = encoder.item(), head.item()
    encoder.grad, head.grad = (
        torch.tensor([[3.0]]),
        torch.tensor([[4.0]]),
    )  # together of norm 5: scaled by 1/5
    brain.optimizer_step = 1  # half-way through a warm-up of two updates from 0
    brain.optimizers_step()
    assert encoder.item() == pytest.approx(before[0] - 0.5 * 0.5 * 3 / 5, abs=1e-5)
    assert head.item() == pytest.approx(before[1] - 0.5 * 0.25 * 4 / 5, abs=1e-5)
    assert brain.optimizer_step == 2
    assert encoder.grad is None


def test_gradients_that_are_not_finite_leave_the_weights_alone(brain):
    weight = brain.recogniser.encoder.weight
    before = weight.item()
    weight.grad = torch.tensor([[float("inf")]])
    brain.optimizers_step()
    assert weight.item() == before
    assert brain.history.counts == {"nonfinite_gradients": 1}


def test_the_loss_is_per_label_over_usable_targets_only(brain):
    logits = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0))
    # The second target needs 5 frames (a blank between equal labels) and has 4; the third is empty.
    data = batch(logits, [[1, 2, 1], [1, 1, 1], []], [6, 4, 6])
    loss = brain.compute_objectives((logits, data.lengths), data, sb.Stage.TRAIN)
    alone = nn.functional.ctc_loss(
        logits[:1].log_softmax(-1).transpose(0, 1),
        torch.tensor([[1, 2, 1]]),
        torch.tensor([6]),
        torch.tensor([3]),
        reduction="sum",
    )
    assert loss.item() == pytest.approx(alone.item() / 3, rel=1e-5)
    assert brain.history.counts == {"clips_skipped": 2}


def test_a_batch_without_usable_targets_has_no_loss_and_no_gradient(brain):
    logits = torch.randn(1, 2, 3, requires_grad=True)
    data = batch(logits, [[1, 1]], [2])
    loss = brain.compute_objectives((logits, data.lengths), data, sb.Stage.TRAIN)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_half_precision_logits_give_a_float32_loss(brain):
    logits = torch.randn(1, 5, 3)
    data = batch(logits, [[1, 2]], [5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = brain.compute_objectives((logits.bfloat16(), data.lengths), data, sb.Stage.TRAIN)
    assert loss.dtype == torch.float32


def test_the_rounds_cover_the_updates_and_the_last_may_be_shorter(brain):
    brain.hparams.updates, brain.grad_accumulation_factor = 7, 3
    brain.stream = SimpleNamespace(window=lambda first, count: windows.append((first, count)))
    windows: list = []
    brain.hparams.valid_every = 5
    brain.on_stage_start(sb.Stage.TRAIN, 1)
    brain.optimizer_step = 2  # resumed within the first round
    brain.on_stage_start(sb.Stage.TRAIN, 1)
    brain.optimizer_step = 5
    brain.on_stage_start(sb.Stage.TRAIN, 2)
    assert windows == [(0, 15), (6, 9), (15, 6)]
