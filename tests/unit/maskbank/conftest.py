import pytest
from bank_entries import make_entry
from speech_corpus import write_encoder

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank.container import serialise


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(encoder_folder):
    """A frozen wav2vec2 of width 16: 2,048 FFN weights."""
    return SpeechEncoder(str(encoder_folder), freeze=True)


@pytest.fixture(scope="session")
def entry(encoder_folder):
    return make_entry(SpeechEncoder(str(encoder_folder), freeze=True))


@pytest.fixture(scope="session")
def entry_content(entry):
    return serialise(entry)


@pytest.fixture
def entry_file(entry_content, tmp_path):
    path = tmp_path / "fr.safetensors"
    path.write_bytes(entry_content)
    return path
