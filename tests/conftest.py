"""What all tests share."""

import os
import sys

import pytest
import torch
from speechbrain.utils.importutils import LazyModule

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network is a mistake
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Let hypothesis look at SpeechBrain's lazy modules.

    It reads ``__file__`` of every loaded module, at which the lazy ones import integrations that are not installed.
    """
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            module.__dict__.setdefault("__file__", None)
