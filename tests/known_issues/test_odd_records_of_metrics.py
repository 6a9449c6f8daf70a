"""Metrics that were no table, too deep or without a field ended in tracebacks when published or inspected."""

import json
import shutil

import pytest
from bank_entries import make_entry
from model_folders import write_toy_model

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.contents import describe
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.publish import bake, publish

RECORD = {"language": "fr", "recipe": "finetuning", "method": "dense", "data": {"name": "prompts"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole")
    return write_toy_model(place / "model", place / "encoder")


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def deep(levels):
    return '{"a": ' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "is not a table"),
        ("{", "is not JSON"),
        (deep(900), "nested too deeply"),
        (deep(100_000), "is not JSON"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": 1, "a": 2}', "a field twice"),
    ],
)
def test_a_file_that_is_no_table(model, tmp_path, text, reason):
    (model / "metrics.json").write_text(text)
    for action in (lambda: publish(model, tmp_path / "out", clips=0), lambda: describe(model)):
        with pytest.raises(UserError, match=reason) as caught:
            action()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"a": 1}, "neither the record of a language nor a table"),
        ({"language": ["fr"]}, "neither the record of a language nor a table"),
        ({"language": "fr"}, "has no recipe"),
        ({**RECORD, "recipe": " "}, "has an unusual recipe"),
        ({**RECORD, "data": "prompts"}, r"has no data\.name"),
        ({**RECORD, "data": {"name": "prompts", "train_minutes": "10"}}, r"an unusual data\.train_minutes"),
        ({**RECORD, "test": {"WER": "low"}}, "an unusual test"),
        ({**RECORD, "extra_tests": {"other": 3}}, "an unusual extra_tests"),
        ({**RECORD, "sparsity": [0.5]}, "an unusual sparsity"),
        ({"fr": {**RECORD, "language": "it"}}, "is of 'it'"),
    ],
)
def test_a_record_without_what_a_card_tells(model, tmp_path, record, reason):
    (model / "metrics.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=reason):
        publish(model, tmp_path / "out", clips=0)
    assert not (tmp_path / "out").exists()


def test_languages_of_a_bank_without_records(tmp_path, tiny_encoder):
    encoder = SpeechEncoder(str(tiny_encoder), freeze=True)
    bank = MaskBank(tmp_path / "bank")
    bank.add(make_entry(encoder, metrics={}))
    for action in (
        lambda: publish(bank.folder, tmp_path / "out", clips=0, licence="cc0-1.0", with_backbone=True),
        lambda: publish(bank.folder, tmp_path / "out", clips=0, licence="cc0-1.0", language="fr"),
        lambda: bake(bank.folder, "fr", tmp_path / "out"),
    ):
        with pytest.raises(UserError, match=r"the record of fr in .* has no recipe"):
            action()
    bank.remove("fr")
    with pytest.raises(UserError, match="has no languages"):
        publish(bank.folder, tmp_path / "out", clips=0, licence="cc0-1.0", with_backbone=True)
    assert not (tmp_path / "out").exists()
