"""Up to a hub on this machine and down again, through the unmodified client, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import serve
from model_folders import FACTS, logits_of, make_model, tokenizer

import s3_speechbrain
from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import fetch, read_model, write_model
from s3_speechbrain.publish import upload
from s3_speechbrain.publish.models import fill_model_folder, model_card

SECRET = "hf_secretsecretsecret"
METRICS = {
    "fr": {
        **{"recipe": "finetuning", "method": "dense", "language": "fr", "seed": 1},
        "data": {"name": "prompts", "train_minutes": 10.0},
        **{"dev": {"CER": 1.0, "WER": 2.0}, "test": {"CER": 3.0, "WER": 4.0}},
    }
}
SCRIPT = """
import json, os, sys
from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import fetch, read_model
from s3_speechbrain.publish import upload

folder, place = sys.argv[1:3]

def told(action, *arguments, **options):
    try:
        return str(action(*arguments, **options))
    except UserError as error:
        return f"error: {error}"

found = {"dry": told(upload, folder, "me/toy", private=True, tag="v1")}
found["before"] = told(fetch, "me/toy", cache=f"{place}/0")
made = upload(folder, "me/toy", private=True, tag="v1", dry_run=False)
found["made"], found["commit"] = str(made), made.commit
with open(f"{folder}/README.md", "a") as card:
    card.write("not sent")
found["again"] = told(upload, folder, "me/toy", tag="v1", dry_run=False)
found["theirs"] = told(upload, folder, "them/toy", dry_run=False)
fetched = fetch("me/toy", "v1", cache=f"{place}/1")
found["files"] = sorted(p.relative_to(fetched).as_posix() for p in fetched.rglob("*"))
found["model"] = str(fetched)
read_model(fetched)
with open(f"{folder}/README.md", "a") as card:
    card.write("changed")
newer = upload(folder, "me/toy", dry_run=False)
pinned = fetch("me/toy", made.commit, cache=f"{place}/1")
main = fetch("me/toy", cache=f"{place}/1")
found["pinned"], found["main"] = pinned.name, main.name
found["cards"] = [p.joinpath("README.md").read_text().endswith("changed") for p in (pinned, main)]
found["revision"] = told(fetch, "me/toy", "v9", cache=f"{place}/2")
found["absent"] = told(fetch, "me/nothing", cache=f"{place}/2")
found["name"] = told(fetch, "not a name", cache=f"{place}/2")

from speechbrain.inference.ASR import EncoderASR
from speechbrain.utils.fetching import FetchConfig
from transformers import pipeline
ours = FetchConfig(token=True)  # without it, SpeechBrain asks as a stranger
EncoderASR.from_hparams(source="me/toy", savedir=f"{place}/stock", fetch_config=ours)
pipeline("automatic-speech-recognition", model="me/toy", revision="v1")

del os.environ["HF_TOKEN"]
found["stranger"] = told(fetch, "me/toy", cache=f"{place}/3")
found["anonymous"] = told(upload, folder, "me/toy", dry_run=False)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folder of a small published model."""
    place = tmp_path_factory.mktemp("published")
    write_model(place / "model", make_model(place / "encoder"), tokenizer(), FACTS)
    model, folder = read_model(place / "model"), place / "toy"
    fill_model_folder(folder, model, METRICS["fr"], "float32")
    (folder / "README.md").write_text(model_card(folder, "me/toy", model, METRICS, "cc0-1.0", [], []))
    return folder


def test_a_model_goes_up_and_comes_down_through_the_unmodified_client(published, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    with serve({SECRET: "me"}) as hub:
        env = {
            **os.environ,
            **{"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": SECRET, "HF_HOME": str(tmp_path / "home")},
            **{"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
            "PYTHONPATH": str(Path(s3_speechbrain.__file__).parent.parent),
        }
        command = [sys.executable, str(tmp_path / "script.py"), str(published), str(tmp_path)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        repository = hub.repositories["me/toy"]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert SECRET not in done.stdout + done.stderr + found["made"]
    assert "dry run: nothing was sent" in found["dry"]
    assert "check the name" in found["before"]  # the dry run has made nothing
    assert repository.private
    assert repository.refs["v1"] == found["commit"] == found["pinned"] != found["main"]
    assert found["cards"] == [False, True]
    assert "has the tag v1 already, and nothing was sent" in found["again"]
    assert len(repository.commits) == 3  # the first one of the hub, and two that were sent
    assert "does not let you write" in found["theirs"]
    kept = ["README.md", "config.json", "metrics.json", "model.safetensors", "preprocessor_config.json"]
    assert found["files"] == [*kept, "tokenizer_config.json", "vocab.json"]  # no YAML, no .ckpt
    assert "no such revision" in found["revision"]
    assert "does not exist, or is private" in found["absent"]
    assert "no name of the hub" in found["name"]
    assert "is private" in found["stranger"]
    assert "log in" in found["anonymous"]
    ours = logits_of(read_model(published).recogniser)
    assert (logits_of(read_model(found["model"]).recogniser) == ours).all()
    assert set(repository.commits[found["commit"]]) >= {path.name for path in published.iterdir()}


def test_what_is_not_ready_is_not_uploaded(published, tmp_path):
    write_model(tmp_path / "bare", make_model(tmp_path / "encoder"), tokenizer(), FACTS)
    with pytest.raises(UserError, match="publish a run into a folder first"):
        upload(tmp_path / "bare", "me/toy")
    for name in ("toy", "me/toy/more", "me/to y"):
        with pytest.raises(UserError, match="give owner/name"):
            upload(published, name)
    plan = upload(published, "me/toy")
    assert dict(plan.files)["model.safetensors"] == (published / "model.safetensors").stat().st_size
    assert plan.url is None


def test_hidden_files_and_links_out_of_the_folder_stay_here(published, tmp_path):
    (published / ".env").write_text("HF_TOKEN=secret")
    (tmp_path / "key").write_text("secret")
    (published / "key.txt").symlink_to(tmp_path / "key")
    try:
        names = {name for name, _ in upload(published, "me/toy").files}
    finally:
        (published / ".env").unlink()
        (published / "key.txt").unlink()
    assert not names & {".env", "key.txt"}


def test_without_a_network_a_fetch_says_so(tmp_path):
    with pytest.raises(UserError, match="not in the cache"):
        fetch("me/toy", cache=tmp_path)
