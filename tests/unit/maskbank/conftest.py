import pytest
from bank_entries import make_entry

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank.writing import serialise


@pytest.fixture
def encoder(tiny_encoder):
    """A frozen wav2vec2 of width 16: 2,048 FFN weights."""
    return SpeechEncoder(str(tiny_encoder), freeze=True)


@pytest.fixture(scope="session")
def entry(tiny_encoder):
    return make_entry(SpeechEncoder(str(tiny_encoder), freeze=True))


@pytest.fixture(scope="session")
def entry_content(entry):
    return serialise(entry)


@pytest.fixture
def entry_file(entry_content, tmp_path):
    path = tmp_path / "fr.safetensors"
    path.write_bytes(entry_content)
    return path
