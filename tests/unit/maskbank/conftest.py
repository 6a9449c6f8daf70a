import pytest
from bank_entries import make_entry
from speech_corpus import write_encoder

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank import write_entry


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(encoder_folder):
    """A frozen wav2vec2 of width 16: 2,048 FFN weights."""
    return SpeechEncoder(str(encoder_folder), freeze=True)


@pytest.fixture
def entry(encoder):
    return make_entry(encoder)


@pytest.fixture
def entry_file(entry, tmp_path):
    path = tmp_path / "fr.safetensors"
    write_entry(path, entry)
    return path
