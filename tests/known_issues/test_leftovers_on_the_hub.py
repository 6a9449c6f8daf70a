"""A second upload left the files of the first on the hub: loaders took the old model, or the old bank."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bank_entries import make_entry
from hub_server import serve
from model_folders import write_toy_model

import s3_speechbrain
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.modelfolder import write_backbone
from s3_speechbrain.publish import publish, upload

SCRIPT = """
import sys
from s3_speechbrain.publish import upload

for folder in sys.argv[1:]:
    print(upload(folder, "me/toy"))
    print(upload(folder, "me/toy", dry_run=False))
"""
FOREIGN = {"notes.md": b"mine", "sub/notes.json": b"{}", "fr.wav": b"mine", "other.safetensors": b"mine"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Published: a model that SpeechBrain can load too, and one that it cannot."""
    place = tmp_path_factory.mktemp("models")
    for name, options in (("dense", {}), ("detector", {"selector": "salad"})):
        folder = write_toy_model(place / name, place / f"{name}_encoder", **options)
        publish(folder, place / f"{name}_out", clips=0)
    return place / "dense_out", place / "detector_out"


def published_bank(folder, encoder_folder):
    """Make a bank that carries its backbone, as `publish` leaves it."""
    encoder = SpeechEncoder(str(encoder_folder), freeze=True)
    MaskBank(folder).add(make_entry(encoder))
    write_backbone(folder / "backbone", encoder)
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    return folder


def send(tmp_path, *folders):
    """Upload folders one after the other; return the files after the first and after the last, and what was said."""
    (tmp_path / "script.py").write_text(SCRIPT)
    with serve({"secret": "me"}) as hub:
        env = {
            **os.environ,
            **{"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret", "HF_HOME": str(tmp_path / "home")},
            **{"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
            "PYTHONPATH": str(Path(s3_speechbrain.__file__).parent.parent),
        }
        command = [sys.executable, str(tmp_path / "script.py")]

        def go(folder):
            done = subprocess.run(
                [*command, str(folder)], env=env, capture_output=True, text=True, timeout=500, check=False
            )
            assert done.returncode == 0, done.stderr[-2000:]
            repository = hub.repositories["me/toy"]
            return done.stdout, repository

        _, repository = go(folders[0])
        first = {**repository.commits[repository.refs["main"]], **FOREIGN}
        repository.commit(first)
        said, repository = go(folders[1])
        return set(first), set(repository.commits[repository.refs["main"]]), said


def names_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_model_without_a_stock_form_replaces_one_that_had_it(models, tmp_path):
    before, after, said = send(tmp_path, *models)
    assert {"hyperparams.yaml", "model.ckpt", "vocab.json"} <= before
    assert after == names_of(models[1]) | FOREIGN.keys() | {".gitattributes"}
    dry = said.split("dry run: nothing was sent")[0]
    gone = {line.split()[1] for line in dry.splitlines() if line.split()[:1] == ["deleted"]}
    assert gone == names_of(models[0]) - names_of(models[1])


def test_a_model_replaces_a_bank(models, tiny_encoder, tmp_path):
    bank = published_bank(tmp_path / "bank", tiny_encoder)
    before, after, _ = send(tmp_path, bank, models[0])
    assert {"bank.json", "fr.safetensors", "backbone/model.safetensors"} <= before
    kept = FOREIGN.keys() - {"other.safetensors"}  # which a bank takes for one of its languages
    assert after == names_of(models[0]) | kept | {".gitattributes"}


def test_without_a_hub_the_dry_run_says_that_it_does_not_know(models):
    plan = upload(models[0], "me/toy")
    assert plan.deletions is None
    assert "could not be asked" in str(plan)
