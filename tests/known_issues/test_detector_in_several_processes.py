"""In several processes SALAD's detector came back as the wrapper around it, and could not be saved."""

from types import SimpleNamespace

import torch
from torch import nn

from s3_speechbrain.brains.detecting import DetectorBrain
from s3_speechbrain.brains.updates import UpdateBrain


class Wrapper(nn.Module):
    """What DistributedDataParallel is to the module inside."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_the_detector_itself_is_returned(monkeypatch):
    detector, teacher = nn.Linear(2, 1), nn.Identity()

    def init(brain, model, hparams, run_opts):
        brain.device, brain.noprogressbar, brain.rounds = torch.device("cpu"), True, []
        brain.modules = SimpleNamespace(model=Wrapper(model))
        brain.checkpointer = SimpleNamespace(find_checkpoint=lambda min_key: None, load_only=lambda *_: None)

    monkeypatch.setattr(UpdateBrain, "__init__", init)
    for name in ("keep_in_memory", "fit", "loader", "make_stream"):
        monkeypatch.setattr(DetectorBrain, name, lambda *_, **__: None)
    monkeypatch.setattr("s3_speechbrain.brains.detecting.teacher_targets", lambda *_: {})
    brain = DetectorBrain(detector, teacher, None, {})
    assert brain.train(SimpleNamespace(durations=[]), SimpleNamespace()) is detector
