"""What one more language takes over from a bank, and what is refused."""

from dataclasses import replace

import pytest
import torch
from bank_entries import make_entry
from toy_encoders import write_encoder

from s3_speechbrain.brains.addition import add_to_bank, as_options, check_backbone, open_bank, settings_of
from s3_speechbrain.brains.banking import deposit, entry_file
from s3_speechbrain.brains.experiment import compose
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank, write_entry


@pytest.fixture
def encoder(tiny_encoder):
    return SpeechEncoder(str(tiny_encoder), freeze=True)


@pytest.fixture
def entry(encoder):
    return make_entry(encoder)


@pytest.fixture
def bank(tmp_path, entry):
    """A bank of French and Italian, trained alike but for the length of the training."""
    bank = MaskBank(tmp_path / "bank")
    for language, updates in (("fr", 400), ("it", 300)):
        config = {
            "sparsity": 0.2,
            "groups": ["ffn"],
            "lr": 5e-05,
            "head_lr": None,
            "updates": updates,
            "seed": 3,
        }
        bank.add(replace(entry, language=language, metrics={"config": {**config, "precision": "bf16"}}))
    return bank


def test_settings_that_all_languages_share_are_taken_over(bank, entry):
    shared, differing = settings_of(bank)
    assert differing == ["updates"]
    head = {name: entry.head_options[name] for name in ("hidden", "layers")}
    unrecorded = {"structure": "element", "layer_sparsity": None, "ste": "identity", "dropout": 0.0}
    assert shared == {
        **unrecorded,
        **{"pieces": 200, "max_grad_norm": 5.0},
        **{"sparsity": 0.2, "groups": ["ffn"], "lr": 5e-05, "head_lr": None, "head": head},
        "source": entry.backbone.source,
        "encoder": {"revision": entry.backbone.revision},
    }


def test_an_empty_bank_tells_its_backbone_alone(bank, entry):
    for language in ("fr", "it"):
        bank.remove(language)
    assert settings_of(bank)[0].keys() == {"source", "encoder"}


def test_options_are_read_back_as_they_were(tmp_path):
    settings = {
        "a": 5e-05,
        "b": [1, "x"],
        "c": None,
        "d": "text: with #",
        "e": {"f": 1.5e-07},
        "g": True,
        "h": 1e-3,
    }
    (tmp_path / "full.yaml").write_text("".join(f"{name}: word\n" for name in settings))
    written = "\n".join(option.removeprefix("--").replace("=", ": ", 1) for option in as_options(settings))
    assert compose(tmp_path / "full.yaml", written).getvalue().count("\n") >= len(settings)
    from hyperpyyaml import load_hyperpyyaml

    assert load_hyperpyyaml(compose(tmp_path / "full.yaml", written)) == settings


def test_a_language_that_is_there_already_is_refused_unless_it_is_this_run(bank, entry, tmp_path):
    with pytest.raises(UserError, match="has 'fr' already: remove"):
        open_bank(bank.folder, "fr", tmp_path)
    (tmp_path / "fr.safetensors").write_bytes(bank.path("fr").read_bytes())
    assert open_bank(bank.folder, "fr", tmp_path).languages == ["fr", "it"]
    with pytest.raises(UserError, match="is no mask bank"):
        open_bank(tmp_path / "nowhere", "de", tmp_path)


def test_another_backbone_is_refused_before_training_without_drawing_numbers(bank, tiny_encoder, tmp_path):
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    check_backbone(bank, lambda: SpeechEncoder(str(tiny_encoder)))
    assert torch.equal(torch.rand(1), wanted)
    other = write_encoder(tmp_path / "other", intermediate_size=36)
    with pytest.raises(UserError, match="is not the backbone of"):
        check_backbone(bank, lambda: SpeechEncoder(str(other)))


def test_another_file_that_changes_meanwhile_is_found(bank, entry, tmp_path, monkeypatch):
    write_entry(entry_file(tmp_path, "de"), replace(entry, language="de"))

    def disturb(folder, file):
        bank.path("it").write_bytes(b"something else")

    monkeypatch.setattr("s3_speechbrain.brains.addition.deposit_file", disturb)
    with pytest.raises(UserError, match=r"it\.safetensors in .* changed meanwhile"):
        add_to_bank(bank, tmp_path, "de")


def test_a_deposit_is_made_once_and_needs_a_finished_run(bank, entry, tmp_path):
    (tmp_path / "de").mkdir()
    with pytest.raises(UserError, match=r"de\.safetensors is missing: delete"):
        deposit(bank.folder, tmp_path, ["de"])
    write_entry(entry_file(tmp_path / "de", "de"), replace(entry, language="de"))
    deposit(bank.folder, tmp_path, ["de"])
    before = bank.path("de").stat().st_mtime_ns
    deposit(bank.folder, tmp_path, ["de"])
    assert bank.path("de").stat().st_mtime_ns == before
    deposit(None, tmp_path, ["de"])  # a method without a bank
