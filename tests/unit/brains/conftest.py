"""A tiny encoder and corpus."""

import pytest
from speech_corpus import write_corpus, write_encoder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))
