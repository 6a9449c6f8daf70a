"""A bank is a folder of files that know nothing of each other, over one backbone."""

import dataclasses
import json
import shutil

import pytest
import torch
from bank_entries import make_entry

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import Backbone, MaskBank

OTHER = Backbone("elsewhere", None, "0" * 64)


@pytest.fixture
def bank(encoder, tmp_path):
    bank = MaskBank(tmp_path / "bank")
    for seed, language in enumerate(("fr", "sv-SE")):
        bank.add(make_entry(encoder, language, seed))
    return bank


def contents(bank):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in bank.folder.iterdir()}


def test_an_empty_bank_has_no_languages_and_no_backbone(tmp_path):
    bank = MaskBank(tmp_path / "new")
    assert bank.languages == []
    assert bank.backbone is None
    assert not bank.folder.exists()
    with pytest.raises(UserError, match="no language 'fr': choose one of none"):
        bank.read("fr")


def test_what_was_added_is_read_by_another_process_of_mind(bank, encoder):
    again = MaskBank(bank.folder)
    assert again.languages == ["fr", "sv-SE"]
    entry = make_entry(encoder, "sv-SE", 1)
    assert again.backbone == entry.backbone
    found = again.read("sv-SE")
    assert all(torch.equal(found.masks[name], mask) for name, mask in entry.masks.items())


def test_adding_replacing_and_removing_leave_all_other_files_alone(bank, encoder):
    before = contents(bank)
    assert bank.add(make_entry(encoder, "it", 2)) == bank.path("it").stat().st_size
    after = contents(bank)
    assert after.keys() - before.keys() == {"it.safetensors"}
    assert {name: after[name] for name in before} == before
    bank.add(make_entry(encoder, "it", 3), replace=True)
    replaced = contents(bank)
    assert replaced["it.safetensors"] != after["it.safetensors"]
    bank.remove("it")
    assert {name: replaced[name] for name in before} == contents(bank) == before


def test_a_language_is_not_overwritten_by_accident(bank, encoder):
    before = contents(bank)
    with pytest.raises(UserError, match="pass replace=True"):
        bank.add(make_entry(encoder, "fr", 5))
    assert contents(bank) == before


def test_a_file_can_be_copied_to_another_bank_over_the_same_backbone(bank, encoder, tmp_path):
    other = MaskBank(tmp_path / "other")
    other.add(make_entry(encoder, "it", 2))
    shutil.copy(bank.path("fr"), other.folder)
    assert other.languages == ["fr", "it"]
    other.read("fr")


def test_another_backbone_is_refused(bank, encoder):
    before = contents(bank)
    with pytest.raises(UserError, match="made for another backbone"):
        bank.add(make_entry(encoder, "it", backbone=OTHER))
    assert contents(bank) == before


def test_a_file_of_another_backbone_is_refused(bank, encoder, tmp_path):
    other = MaskBank(tmp_path / "other")
    other.add(make_entry(encoder, "it", backbone=OTHER))
    shutil.copy(other.path("it"), bank.folder)
    with pytest.raises(UserError, match="made for another backbone"):
        bank.read("it")


def test_the_place_of_the_backbone_may_differ(bank, encoder):
    entry = make_entry(encoder, "it")
    moved = dataclasses.replace(entry.backbone, source="here", revision="main")
    bank.add(dataclasses.replace(entry, backbone=moved))
    assert bank.read("it").backbone == moved


def test_a_renamed_file_is_refused(bank):
    bank.path("fr").rename(bank.path("it"))
    with pytest.raises(UserError, match="holds 'fr', not 'it'"):
        bank.read("it")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../fr", "/etc/passwd", "a/b", "a\\b", "fr\n", "fr.x", "-x", "é", "x" * 40, 7]
)
def test_names_that_are_no_languages_are_refused(bank, name):
    for action in (bank.path, bank.read, bank.remove):
        with pytest.raises(UserError, match="is not a language code"):
            action(name)


def test_links_that_lead_out_are_refused(bank, tmp_path):
    outside = tmp_path / "outside.safetensors"
    bank.path("fr").rename(outside)
    bank.path("fr").symlink_to(outside)
    for action in (bank.path, bank.read, bank.remove):
        with pytest.raises(UserError, match="leads out of the bank"):
            action("fr")
    assert outside.exists()


def test_links_within_the_bank_are_followed(bank):
    hidden = bank.folder / "store.bin"
    bank.path("fr").rename(hidden)
    bank.path("fr").symlink_to(hidden)
    assert bank.read("fr").language == "fr"


def test_other_files_are_no_languages(bank):
    for name in ("notes.txt", ".fr.safetensors.0011.part", "a.b.safetensors"):
        (bank.folder / name).write_text("x")
    assert bank.languages == ["fr", "sv-SE"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        MaskBank(tmp_path / "x")


BANKS = {
    "no JSON": "bank",
    "empty": "",
    "a list": "[]",
    "a newer format": json.dumps({"format": 2, "backbone": dataclasses.asdict(OTHER)}),
    "no backbone": json.dumps({"format": 1}),
    "no fingerprint": json.dumps({"format": 1, "backbone": {"source": "a", "revision": None}}),
    "a bomb": "[" * 50_000,
    "too large": " " * 100_000,
}


@pytest.mark.parametrize("case", BANKS)
def test_a_damaged_bank_is_refused(bank, case):
    (bank.folder / "bank.json").write_text(BANKS[case])
    with pytest.raises(UserError, match=r"bank\.json is refused") as caught:
        MaskBank(bank.folder)
    assert "\n" not in str(caught.value)


def test_a_bank_file_of_no_text_is_refused(bank):
    (bank.folder / "bank.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"bank\.json is refused"):
        MaskBank(bank.folder)


def test_an_unsound_entry_begins_no_bank(encoder, tmp_path):
    bank = MaskBank(tmp_path / "bank")
    with pytest.raises(UserError, match="no identifier"):
        bank.add(make_entry(encoder, normaliser="?"))
    assert not bank.folder.exists()


def test_of_two_processes_that_begin_a_bank_over_two_backbones_one_is_told(encoder, tmp_path):
    first, second = MaskBank(tmp_path / "bank"), MaskBank(tmp_path / "bank")
    first.add(make_entry(encoder, "fr"))
    with pytest.raises(UserError, match="made for another backbone"):
        second.add(make_entry(encoder, "it", backbone=OTHER))
    assert MaskBank(tmp_path / "bank").languages == ["fr"]
