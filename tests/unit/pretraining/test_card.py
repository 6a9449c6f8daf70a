import json

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.card import write_card


@pytest.fixture
def folder(tmp_path):
    run = {
        "parameters": 8_500_000,
        "hours": 1.25,
        "folders": {"prompts": {"found": 10, "kept": 9, "hours": 1.25}},
        "updates": 500,
        "audio_heard_h": 3.0,
        "wall_s": 1800,
        "target": "regression",
        "teacher": "openai/whisper-base",
        "pairs": [[4, 4]],
        "seed": 1,
        "lr": 0.001,
        "batch_seconds": 24,
        "first_valid": {"loss": 1.2},
        "last_valid": {"loss": 0.9},
        "command": "python train.py hparams/distil_whisper.yaml",
    }
    (tmp_path / "pretraining.json").write_text(json.dumps(run))
    rows = [{"updates": u, "train": {"loss": v}, "valid": {"loss": v}} for u, v in ((250, 1.2), (500, 0.9))]
    (tmp_path / "curve.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sources.json").write_text(
        json.dumps([{"folder": "prompts", "what": "telephone prompts", "licence": "CC BY-SA 3.0"}])
    )
    (tmp_path / "model.safetensors").write_bytes(bytes(17_000_000))
    return tmp_path


def test_the_card_says_what_the_run_left_behind(folder):
    text = write_card(folder).read_text()
    assert "8.5 M parameters" in text
    assert "17.0 MB" in text
    assert "| telephone prompts | 9 of 10 | 1.25 | CC BY-SA 3.0 |" in text
    assert "| 500 | 0.900 | 0.900 |" in text
    assert "0.5 h on two CPU cores" in text
    assert text.startswith("---\nlicense: apache-2.0")


def test_a_missing_file_or_licence_is_told(folder):
    (folder / "sources.json").write_text("[]")
    with pytest.raises(UserError, match="says nothing of prompts"):
        write_card(folder)
    (folder / "curve.jsonl").unlink()
    with pytest.raises(UserError, match=r"no curve\.jsonl"):
        write_card(folder)
