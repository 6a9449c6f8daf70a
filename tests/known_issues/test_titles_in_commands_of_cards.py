"""A card's commands loaded the free text of its title, unquoted; and zero clips counted as a test."""

import shlex

import pytest
from model_folders import write_toy_model

from s3_speechbrain.publish import publish
from s3_speechbrain.publish.card import CardFacts, make_card
from s3_speechbrain.publish.selftest import Check


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"name": "My French model"}, "my folder"),
        ({"name": "My French model", "hub": "me/toy"}, "me/toy"),
        ({"name": "me/toy"}, "me/toy"),
        ({}, "my folder"),
    ],
)
def test_commands_name_what_can_be_loaded(tmp_path, options, address):
    model = write_toy_model(tmp_path / "model", tmp_path / "encoder")
    made = publish(model, tmp_path / "my folder", clips=0, **options)
    card = (made.folder / "README.md").read_text()
    assert f"# {options.get('name', 'my folder')}\n" in card
    (line,) = [line for line in card.splitlines() if line.startswith("s3sb transcribe")]
    assert shlex.split(line)[3:5] == ["--model", address]
    for start in ("asr = ", "recognise = "):
        (line,) = [line for line in card.splitlines() if line.startswith(start)]
        assert f'"{address}"' in line
        compile(line, "card", "exec")


def test_a_test_without_clips_is_none():
    facts = CardFacts("t", "k", {}, "cc0-1.0", "builtin", None, "speechbrain", [], [])
    tried = CardFacts(**{**vars(facts), "checks": [Check("model", "fr", 0, 0, 0.0, 1.0)]})
    assert make_card(tried) == make_card(facts)
