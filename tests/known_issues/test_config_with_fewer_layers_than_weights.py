"""An encoder whose config names fewer layers than the weights hold was cut short without a word."""

import json

import pytest
from families import write_family

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError


def test_it_is_an_error(tmp_path):
    write_family("wav2vec2-layer", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(UserError, match=r"no place for 16 weights of the encoder, first encoder\.layers\.2"):
        SpeechEncoder(str(tmp_path))
