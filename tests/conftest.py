"""What all tests share."""

import os

import hypothesis
import pytest
import torch
from speech_corpus import write_corpus
from speechbrain.utils.importutils import LazyModule
from toy_encoders import write_encoder

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network is a mistake
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))

# hypothesis asks every loaded module for its file; SpeechBrain's lazy modules answer by importing optional
# packages and fail if one is not installed. A class attribute answers first.
LazyModule.__file__ = None


# a busy machine is no failure: examples have no deadline, however slow the first one is
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """Folder of the toy encoder."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    """Folder of a tiny corpus in Common Voice layout."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))
