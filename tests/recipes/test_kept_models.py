"""Every finished run leaves the recogniser that it tested, as a folder that needs nothing else."""

import csv
import json

import pytest
import torch

from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.brains.errors import greedy_decode
from s3_speechbrain.modelfolder import read_model
from s3_speechbrain.report.metrics import metric_files


def texts_of(folder, clips):
    """Recognise clips (id to path) with a model folder."""
    model = read_model(folder)
    texts = {}
    for name, path in clips.items():
        logits, frames = model.recogniser(read_audio(path)[None], torch.ones(1))
        texts[name] = model.tokenizer.decode(greedy_decode(logits, frames, 0)[0])
    return texts


@pytest.mark.parametrize(
    "options",
    [
        ("finetuning", "--method=lora", "--lr=0.05", "--head={layers: 3, hidden: [8]}"),
        ("mask_finetuning", "--sparsity=0.3"),
        ("parp", "--sparsity=0.5", "--interval=3"),
    ],
    ids=lambda options: options[0],
)
def test_the_model_folder_gives_the_texts_of_the_test(run, tmp_path, tiny_corpus, options):
    recipe, *others = options
    metrics = run(f"CommonVoice/{recipe}", "run", "--updates=30", "--valid_every=15", "--lr=0.003", *others)
    with (tmp_path / "run" / "test_transcripts.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    manifest = next((tmp_path / "run" / "manifests").rglob("test.csv"))
    with manifest.open(encoding="utf-8") as file:
        clips = {
            row["ID"]: row["wav"].replace("$data_root", str(tiny_corpus)) for row in csv.DictReader(file)
        }
    found = texts_of(tmp_path / "run" / "model", clips)
    assert found == {row["id"]: row["hypothesis"] for row in rows}
    kept = json.loads((tmp_path / "run" / "model" / "metrics.json").read_text())
    assert kept["test"] == metrics["test"]
    assert metric_files(tmp_path) == [tmp_path / "run" / "metrics.json"]


def test_no_model_is_kept_when_none_is_wanted(run, tmp_path):
    run("CommonVoice/finetuning", "run", "--save_model=False")
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert not (tmp_path / "run" / "model").exists()
