"""``--output`` emptied the recording that it named, before it was read."""

import soundfile
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.cli.main import main
from s3_speechbrain.modelfolder import write_model


def test_it_is_refused(tmp_path, capsys):
    write_model(tmp_path / "model", make_model(tmp_path / "encoder"), tokenizer(), FACTS)
    file = tmp_path / "own.wav"
    soundfile.write(file, [0.0, 0.1] * 8000, 16000)
    before = file.read_bytes()
    assert main(["transcribe", str(file), "--model", str(tmp_path / "model"), "--output", str(file)]) == 1
    assert "own.wav is the recording" in capsys.readouterr().err
    assert file.read_bytes() == before
