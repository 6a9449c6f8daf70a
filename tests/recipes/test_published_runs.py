"""From a finished run to folders that other toolkits load, each tried in a process of its own."""

import json
import shlex

import pytest
import torch
from huggingface_hub import ModelCard

from s3_speechbrain.cli.main import parser
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import SharedRecogniser
from s3_speechbrain.maskbank import MaskBank, read_entry
from s3_speechbrain.modelfolder import read_model
from s3_speechbrain.publish import bake, publish
from s3_speechbrain.publish.hub import publishable_files
from s3_speechbrain.publish.source import test_clips as clips_of


@pytest.fixture
def masked(run, tmp_path):
    """Folder of a mask run that has learned something to say, with a bank of its one language."""
    run(
        "CommonVoice/mask_finetuning",
        "run",
        "--updates=40",
        "--valid_every=20",
        "--lr=0.05",
        "--head_lr=0.05",
        "--corpus_name=prompts",
    )
    MaskBank(tmp_path / "run" / "bank").add(read_entry(tmp_path / "run" / "en.safetensors"))
    return tmp_path / "run"


def command_of(card):
    """Let ``s3sb`` read the command that a card gives."""
    (line,) = [line for line in card.read_text().splitlines() if line.startswith("s3sb transcribe")]
    return parser().parse_args(shlex.split(line)[1:])


def test_a_run_becomes_a_folder_that_three_toolkits_load(masked, tmp_path):
    with pytest.raises(UserError, match="under which licence"):
        publish(masked, tmp_path / "out")
    made = publish(masked, tmp_path / "out", name="me/toy", licence="cc0-1.0", clips=2)
    assert [(one.way, one.equal, one.clips) for one in made.checks] == [
        ("model", 2, 2),
        ("speechbrain", 2, 2),
        ("transformers", 2, 2),
    ]
    data = ModelCard.load(tmp_path / "out" / "README.md").data
    metrics = json.loads((masked / "metrics.json").read_text())
    assert (data.language, data.license, data.library_name) == (["en"], "cc0-1.0", "speechbrain")
    assert data.pipeline_tag == "automatic-speech-recognition"
    found = {result.metric_type: result.metric_value for result in data.eval_results}
    assert found == {name.lower(): round(value, 2) for name, value in metrics["test"].items()}
    assert not list((tmp_path / "out").glob("example*"))  # called prompts, but it is another corpus
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in (tmp_path / "out" / "metrics.json").read_text()
    assert dict(publishable_files(tmp_path / "out")) == dict(made.files)
    given = command_of(tmp_path / "out" / "README.md")
    assert (given.model, given.files, given.language) == ("me/toy", ["clip.wav"], None)


def test_a_bank_names_its_backbone_or_carries_it_and_can_be_baked(masked, tmp_path, monkeypatch):
    bank = masked / "bank"
    with pytest.raises(UserError, match="name it for others"):
        publish(bank, tmp_path / "none")
    made = publish(bank, tmp_path / "carried", licence="cc0-1.0", with_backbone=True, clips=2)
    assert [(one.way, one.language, one.equal) for one in made.checks] == [("bank", "en", 2)]
    assert command_of(made.folder / "README.md").language == "en"
    named = publish(
        bank, tmp_path / "named", licence="cc0-1.0", backbone="me/encoder", revision="abc", clips=0
    )
    about = json.loads((named.folder / "bank.json").read_text())["backbone"]
    assert (about["source"], about["revision"]) == ("me/encoder", "abc")
    for folder in (made.folder, named.folder):
        for path in folder.rglob("*"):
            assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path
    baked = bake(bank, "en", tmp_path / "baked")
    clips = clips_of(masked, "en", 4)
    shared = SharedRecogniser.from_bank(made.folder)
    wave = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(1))
    shared.set_language("en")
    own = read_model(masked / "model").recogniser(wave[None], torch.ones(1))[0]
    torch.testing.assert_close(baked.recogniser(wave[None], torch.ones(1))[0], own, rtol=1e-5, atol=1e-5)
    assert len(clips) == 4


def test_a_folder_that_says_something_else_is_not_published(masked, tmp_path):
    rows = (masked / "test_transcripts.tsv").read_text().splitlines()
    spoilt = [rows[0], *(f"{row}zzzzzzzzzz" for row in rows[1:])]
    (masked / "test_transcripts.tsv").write_text("\n".join(spoilt) + "\n")
    with pytest.raises(UserError, match="do not publish it"):
        publish(masked, tmp_path / "out", licence="cc0-1.0", clips=2)
    assert not list(tmp_path.glob("*out*"))
