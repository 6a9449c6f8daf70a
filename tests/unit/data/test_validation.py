"""Every fault class: found at its file and line, counted, and the run goes on with the rest."""

import json
from pathlib import Path

import pytest
from cv_corpus import line, small, write_clip, write_locale, write_table
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.data.validation import (
    FAULTS,
    Limits,
    ctc_frames_needed,
    encoder_frames,
    read_durations,
    read_table,
)
from s3_speechbrain.errors import UserError

GOOD = [
    line("cv_en_train_0.wav", "alpha"),
    line("cv_en_train_1.wav", "beta"),
    line("cv_en_train_2.wav", "gamma"),
]


def prepare_with(tmp_path: Path, extra: list[str | bytes]):
    """Prepare the corpus in tmp_path/en with more lines in its train.tsv, from line 5 on."""
    write_table(tmp_path / "en" / "train.tsv", [*GOOD, *extra])
    return prepare_common_voice(tmp_path, tmp_path / "save", "en", progress=False)["en"]


def assert_dropped(prepared, reason: str, number: int = 5, split: str = "train") -> None:
    """One row was dropped, for this reason, at this line; the good rows are all there."""
    dropped = prepared.report["dropped"]
    assert [(row["reason"], row["split"]) for row in dropped] == [(reason, split)]
    assert dropped[0]["where"].endswith(f"en/{split}.tsv:{number}")
    assert dropped[0]["detail"]
    assert prepared.report["splits"][split]["dropped"] == {reason: 1}
    assert len(read_manifest(prepared.csvs["train"])) == 3
    assert json.loads((prepared.folder / "report.json").read_text()) == prepared.report


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        ("missing_audio", line("nowhere.wav", "omega")),
        ("empty_text", line("x.wav", "  ")),
        ("empty_after_normalisation", line("x.wav", "?! …")),
        ("unknown_characters", line("x.wav", "hello мир")),
        ("unread_symbol", line("x.wav", "only $ five")),
        ("wrong_language", line("x.wav", "delta", locale="de")),
        ("wrong_field_count", line("x.wav", "a\tb")),
        ("wrong_field_count", "s1\tx.wav"),
        ("invalid_utf8", line("x.wav", "caf").encode().replace(b"caf", b"caf\xe9")),
        ("bad_clip_name", line("../../secret.wav", "delta")),
        ("bad_clip_name", line("/etc/secret.wav", "delta")),
        ("bad_clip_name", line("x$y.wav", "delta")),
        ("bad_clip_name", line("", "delta")),
        ("duplicate_clip", line("cv_en_train_0.wav", "another")),
        ("sentence_in_other_split", line("x.wav", "DELTA!")),
    ],
)
def test_a_faulty_row_is_found_at_its_line(tmp_path, reason, row):
    write_locale(tmp_path / "en", small())
    write_clip(tmp_path / "en" / "clips" / "x.wav")
    assert_dropped(prepare_with(tmp_path, [row]), reason)


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [("zero_length_audio", 0.0), ("too_short", 0.1), ("too_long", 21.0)],
)
def test_clips_of_impossible_length_are_found(tmp_path, reason, seconds):
    write_locale(tmp_path / "en", small())
    write_clip(tmp_path / "en" / "clips" / "x.wav", seconds)
    assert_dropped(prepare_with(tmp_path, [line("x.wav", "a")]), reason)


@pytest.mark.parametrize(
    ("reason", "content"), [("zero_length_audio", b""), ("unreadable_audio", b"<html>not found</html>")]
)
def test_files_that_are_no_audio_are_found(tmp_path, reason, content):
    write_locale(tmp_path / "en", small())
    (tmp_path / "en" / "clips" / "x.wav").write_bytes(content)
    assert_dropped(prepare_with(tmp_path, [line("x.wav", "a")]), reason)


def test_text_that_ctc_cannot_align_is_found(tmp_path):
    # 0.5 s are 8000 samples, 8000 // 320 - 1 = 24 frames; 13 equal letters need 13 + 12 = 25 of them.
    write_locale(tmp_path / "en", small())
    write_clip(tmp_path / "en" / "clips" / "x.wav", 0.5)
    assert_dropped(prepare_with(tmp_path, [line("x.wav", "a" * 13)]), "text_longer_than_frames")


def test_text_that_just_fits_is_kept(tmp_path):
    # 12 equal letters and one other need 13 + 11 = 24 of the 24 frames.
    write_locale(tmp_path / "en", small())
    write_clip(tmp_path / "en" / "clips" / "x.wav", 0.5)
    assert prepare_with(tmp_path, [line("x.wav", "a" * 12 + "b")]).report["dropped"] == []


def test_numbers_that_num2words_cannot_spell_are_found(tmp_path):
    sentences = {"train": "сан бар", "dev": "көн якты", "test": "су салкын"}
    rows = {split: [(f"{split}.wav", text)] for split, text in sentences.items()}
    rows["train"].append(("other.wav", "5 сан"))
    write_locale(tmp_path / "tt", rows, "tt")
    report = prepare_common_voice(tmp_path, tmp_path / "save", "tt", progress=False)["tt"].report
    assert [row["reason"] for row in report["dropped"]] == ["unspelled_number"]
    assert report["dropped"][0]["where"].endswith("tt/train.tsv:3")
    assert "num2words" in report["dropped"][0]["detail"]


def test_every_fault_class_is_tried_above():
    tried = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FAULTS if f'"{name}"' not in tried] == []


def test_unbalanced_quotes_swallow_nothing(tmp_path):
    write_locale(tmp_path / "en", small())
    prepared = prepare_with(tmp_path, [line("cv_en_train_3.wav", '"open quote'), line("nowhere.wav", "next")])
    assert [row["reason"] for row in prepared.report["dropped"]] == ["missing_audio"] * 2
    assert prepared.report["splits"]["train"]["rows"] == 5


def test_a_sentence_stays_in_test_and_leaves_dev_and_train(tmp_path):
    rows = {
        "train": [("a.wav", "same"), ("b.wav", "other")],
        "dev": [("c.wav", "Same."), ("d.wav", "third")],
        "test": [("e.wav", "same!"), ("f.wav", "same")],
    }
    write_locale(tmp_path / "en", rows)
    report = prepare_common_voice(tmp_path, tmp_path / "save", "en", progress=False)["en"].report
    assert {split: facts["kept"] for split, facts in report["splits"].items()} == {
        "train": 1,
        "dev": 1,
        "test": 2,
    }
    kept = prepare_common_voice(tmp_path, tmp_path / "save2", "en", disjoint_sentences=False, progress=False)[
        "en"
    ]
    assert {split: facts["kept"] for split, facts in kept.report["splits"].items()} == {
        "train": 2,
        "dev": 2,
        "test": 2,
    }


@pytest.mark.parametrize("gone", ["path", "sentence"])
def test_a_missing_column_is_told_with_the_file(tmp_path, gone):
    columns = tuple(name for name in ("path", "sentence", "locale") if name != gone)
    write_table(tmp_path / "train.tsv", [], columns)
    with pytest.raises(UserError, match=rf"train\.tsv:1: no column {gone}"):
        read_table(tmp_path / "train.tsv", ("path", "sentence"), "train")


def test_columns_are_read_by_name_in_any_order(tmp_path):
    write_table(tmp_path / "t.tsv", ["Hello\tx.mp3"], ("sentence", "path"))
    rows, drops = read_table(tmp_path / "t.tsv", ("path", "sentence"), "train")
    assert (rows[0].fields["path"], rows[0].fields["sentence"], drops) == ("x.mp3", "Hello", [])


def test_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    (tmp_path / "t.tsv").write_bytes("\ufeffpath\tsentence\r\nx.mp3\tHi\r\n".encode())
    rows, _ = read_table(tmp_path / "t.tsv", ("path", "sentence"), "train")
    assert rows[0].fields == {"path": "x.mp3", "sentence": "Hi"}


def test_durations_are_read_in_seconds_and_damaged_lines_left_out(tmp_path):
    (tmp_path / "d.tsv").write_text("clip\tduration[ms]\na.mp3\t2500\nb.mp3\tlong\nc.mp3\n")
    assert read_durations(tmp_path / "d.tsv") == {"a.mp3": 2.5}
    assert read_durations(tmp_path / "none.tsv") == {}


@pytest.mark.parametrize(("text", "frames"), [("", 0), ("a", 1), ("hello", 6), ("aaa", 5), ("a  b", 5)])
def test_ctc_needs_a_blank_between_repeats(text, frames):
    assert ctc_frames_needed(text) == frames


@settings(deadline=None)  # the machine may be busy
@given(st.text("ab ", max_size=30))
def test_ctc_needs_between_one_and_two_frames_a_character(text):
    assert len(text) <= ctc_frames_needed(text) <= max(0, 2 * len(text) - 1)


def test_frames_follow_from_samples():
    assert encoder_frames(1.0, Limits(0.1, 20)) == 49
