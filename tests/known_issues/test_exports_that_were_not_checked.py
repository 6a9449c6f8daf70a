"""An export that was stopped left files under their final names that had not passed the checks."""

import dataclasses

import pytest
from model_folders import FACTS, make_model, tokenizer

from s3_speechbrain.export import comparison
from s3_speechbrain.export.command import RECORD, run
from s3_speechbrain.modelfolder import write_model


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError])
def test_nothing_stays(tiny_corpus, tmp_path, monkeypatch, end):
    facts = dataclasses.replace(FACTS, languages={"en": "en/1-0123abcd"})
    recogniser = make_model(tmp_path / "encoder")
    folder = write_model(tmp_path / "run" / "model", recogniser, tokenizer(), facts).parent
    out = tmp_path / "out"
    out.mkdir()
    (out / RECORD).write_text("{}")  # of an earlier export

    def stop(*_, **__):
        assert (out / "model.fp32.onnx").is_file()
        raise end

    monkeypatch.setattr(comparison, "measure", stop)
    with pytest.raises(end):
        run(
            [
                str(folder),
                f"--data_folder={tiny_corpus}",
                f"--output_folder={out}",
                "--noprogressbar",
                "--threads=1",
            ]
        )
    assert not [path.name for path in out.iterdir() if path.suffix in (".onnx", ".json")]
