import pytest
from text_corpus import write_text_encoder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return write_text_encoder(tmp_path_factory.mktemp("bert"))
