"""What all tests share."""

import os

import torch
from speechbrain.utils.importutils import LazyModule

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network is a mistake
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

# hypothesis asks every loaded module for its file; SpeechBrain's lazy modules answer by importing optional
# packages and fail if one is not installed. A class attribute answers first.
LazyModule.__file__ = None
