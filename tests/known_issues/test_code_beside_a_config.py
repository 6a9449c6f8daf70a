"""A folder whose config names Python code of its own was offered to run it."""

import io
import json

import pytest

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.text.model import load_text_encoder


@pytest.mark.parametrize("load", [SpeechEncoder, load_text_encoder])
def test_the_code_is_not_run_whatever_the_user_would_answer(tmp_path, monkeypatch, load):
    auto = {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto}))
    (tmp_path / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "from transformers import PretrainedConfig\n"
        "class EvilConfig(PretrainedConfig):\n    model_type = 'evil'\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UserError):
        load(str(tmp_path))
    assert not (tmp_path / "ran").exists()
