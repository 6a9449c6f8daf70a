"""`load` takes whatever holds a model: folder, bank, file of a language, run, name on the hub."""

import pytest
import torch
from bank_entries import make_entry
from toy_encoders import write_encoder
from toy_speech import sentence, spoken, toy_recogniser

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import Chunking, SharedRecogniser, find_source, load, sources
from s3_speechbrain.maskbank import MaskBank, write_entry
from s3_speechbrain.modelfolder import ModelFacts, write_model
from s3_speechbrain.report import write_metrics

TEXT = sentence(7, seed=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    encoder = write_encoder(folder / "encoder", num_hidden_layers=1, conv_dim=[32] * 7, hidden_size=64)
    facts = ModelFacts({"en": "en/1"}, "finetuning", "dense", "toy")
    return write_model(folder / "model", *toy_recogniser(str(encoder)), facts)


@pytest.fixture(scope="module")
def backbone(tiny_encoder):
    return SpeechEncoder(str(tiny_encoder), freeze=True)


@pytest.fixture
def bank(tmp_path, backbone):
    bank = MaskBank(tmp_path / "bank")
    for seed, language in enumerate(("fr", "it")):
        bank.add(make_entry(backbone, language, seed))
    return bank


def test_a_model_folder(model):
    asr = load(model)
    assert asr.language == "en"
    assert asr.transcribe_batch([spoken(TEXT)])[0].text == TEXT


def test_a_run_is_its_model(model, tmp_path, make_run):
    run = tmp_path / "run"
    write_metrics(run, make_run())
    (run / "model").symlink_to(model)
    assert find_source(run).kind == "model"
    assert load(str(run), "en", chunking=Chunking(2, 1)).transcribe_batch([spoken(TEXT)])[0].text == TEXT


def test_a_bank_and_one_file_of_it_say_the_same(bank, tmp_path, make_run):
    waves = [torch.randn(9000, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    wanted = SharedRecogniser.from_bank(bank.folder).transcribe(waves, "it")
    assert any(wanted)
    write_metrics(tmp_path / "it", make_run(language="it"))
    (tmp_path / "it" / "it.safetensors").write_bytes(bank.path("it").read_bytes())
    for source in (bank.folder, bank.path("it"), tmp_path / "it"):
        asr = load(source, "it")
        assert [found.text for found in asr.transcribe_batch(waves)] == wanted
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "bank").symlink_to(bank.folder)
    assert load(tmp_path / "demo").languages == ["fr", "it"]


def test_a_backbone_that_moved_is_named(bank, tiny_encoder, tmp_path):
    moved = tmp_path / "moved"
    moved.symlink_to(tiny_encoder)
    for source in (bank.folder, bank.path("fr")):
        assert load(source, "fr", backbone=str(moved)).language == "fr"
    other = str(write_encoder(tmp_path / "other", intermediate_size=48))
    for source in (bank.folder, bank.path("fr")):
        with pytest.raises(UserError, match="is not the backbone of"):
            load(source, "fr", backbone=other)


def test_a_hub_name_is_fetched_at_its_revision(model, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(sources, "fetch", lambda name, revision: (asked.append((name, revision)), model)[1])
    monkeypatch.chdir(tmp_path)
    assert load("owner/name", revision="abc").language == "en"
    assert asked == [("owner/name", "abc")]


@pytest.mark.parametrize(
    ("place", "options", "reason"),
    [
        ("absent", {}, "no folder .*absent: give a model folder"),
        ("../x/y", {}, "no folder"),
        ("empty", {}, "neither a model folder nor a mask bank nor a finished run"),
        ("run", {}, "kept no model"),
        ("model", {"revision": "v1"}, "has no revision"),
        ("model", {"backbone": "builtin"}, "needs no backbone"),
        ("model", {"language": "xx"}, "no language 'xx'"),
    ],
)
def test_what_cannot_be_loaded(model, tmp_path, make_run, monkeypatch, place, options, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_metrics(tmp_path / "run", make_run())
    (tmp_path / "model").symlink_to(model)
    with pytest.raises(UserError, match=reason):
        load(place, **options)


def test_masks_of_pruning_are_no_language(tmp_path, backbone, make_run):
    write_metrics(tmp_path / "run", make_run(method="parp"))
    write_entry(tmp_path / "run" / "mask.safetensors", make_entry(backbone))
    with pytest.raises(UserError, match="kept no model"):
        load(tmp_path / "run")
