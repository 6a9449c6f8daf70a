"""Mistakes that ended in a traceback, or in a message that led elsewhere."""

import pytest
import soundfile
from toy_encoders import write_encoder
from toy_speech import sentence, spoken, toy_recogniser

from s3_speechbrain.cli.main import main
from s3_speechbrain.inference import sources
from s3_speechbrain.modelfolder import ModelFacts, write_model
from s3_speechbrain.report.provenance import portable_command


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    sizes = {"num_hidden_layers": 1, "conv_dim": [32] * 7, "hidden_size": 64}
    encoder = write_encoder(folder / "encoder", **sizes)
    return write_model(
        folder / "model",
        *toy_recogniser(str(encoder)),
        ModelFacts({"en": "en/1"}, "finetuning", "dense", "toy"),
    )


def told(capsys, *arguments):
    assert main([str(word) for word in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_weights_that_are_a_pointer(model, capsys):
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        assert "is refused" in told(capsys, "inspect", model)
    finally:
        weights.write_bytes(whole)


def test_chunks_without_end(model, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", spoken(sentence(3, 1)).numpy(), 16000)
    assert "chunks of inf s" in told(
        capsys, "transcribe", tmp_path / "a.wav", "--model", model, "--chunk", "inf"
    )


def test_a_folder_that_is_not_here_is_named_before_the_hub(monkeypatch, capsys, tmp_path):
    def fetch(name, revision):
        raise sources.UserError(f"no repository {name}")

    monkeypatch.setattr(sources, "fetch", fetch)
    monkeypatch.chdir(tmp_path)  # the project's folder has results/demo, once ./demo.sh was run
    assert "no folder results/demo here, and on the hub" in told(capsys, "inspect", "results/demo")


def test_folders_with_blanks_in_their_names_stay_private():
    command = portable_command(
        "python train.py --data_folder '/home/jo smith/private project/cv-tr' --seed=1"
    )
    assert command == "python train.py --data_folder PATH/cv-tr --seed=1"
