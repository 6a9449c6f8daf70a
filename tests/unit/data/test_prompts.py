import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from prompts_tree import ENGLISH, SPLITS, build_tree, g722, prepare

from s3_speechbrain.data import prompts_audio
from s3_speechbrain.data.prompts import format_report
from s3_speechbrain.errors import UserError

RECIPE = Path(__file__).parents[3] / "recipes" / "CommonVoice" / "prepare_prompts.py"


def rows_of(folder: Path, split: str) -> list[dict[str, str]]:
    with (folder / f"{split}.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_decoded_tone_has_its_pitch_and_length():
    samples = prompts_audio.decode_g722(g722(1.0, 440.0))
    assert (samples.shape, samples.dtype) == ((16000,), np.int16)
    # One second of sound: bin number equals frequency.
    assert np.abs(np.fft.rfft(samples)).argmax() == 440


def test_every_row_is_kept_or_dropped_with_its_reason(prepared):
    _, report = prepared
    reasons = {row["name"]: row["reason"] for row in report["dropped_rows"]}
    assert reasons == {
        "beep": "tone or silence",
        "menu": "longer than 2.5 s",
        "gone": "no recording",
        "is": "shorter than 0.1 s",
        "unlisted": "recording without text",
    }
    assert sum(report["splits"][split]["clips"] for split in SPLITS) == len(ENGLISH) - len(reasons)
    # The list has a comment first, so "beep", its 14th entry, is on line 15.
    assert next(row["line"] for row in report["dropped_rows"] if row["name"] == "beep") == 15


def test_layout_is_common_voice(prepared):
    folder, _ = prepared
    row = rows_of(folder, "train")[0]
    assert " ".join(row) == (
        "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant "
        "locale segment"
    )
    assert row["locale"] == "en"
    with (folder / "clip_durations.tsv").open() as stream:
        durations = {r["clip"]: int(r["duration[ms]"]) for r in csv.DictReader(stream, delimiter="\t")}
    clips = [row["path"] for split in SPLITS for row in rows_of(folder, split)]
    assert sorted(durations) == sorted(clips) == sorted(p.name for p in (folder / "clips").glob("prompts_*"))
    for clip, milliseconds in durations.items():
        info = soundfile.info(folder / "clips" / clip)
        assert (info.samplerate, info.channels, info.format) == (16000, 1, "FLAC")
        assert milliseconds == round(info.frames / 16)


def test_same_words_are_never_in_two_splits(prepared):
    folder, _ = prepared
    where = {row["path"]: split for split in SPLITS for row in rows_of(folder, split)}
    assert where["prompts_en_goodbye.flac"] == where["prompts_en_vm-goodbye.flac"]
    ids = [{row["sentence_id"] for row in rows_of(folder, split)} for split in SPLITS]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_capitals_of_file_names_do_not_matter(prepared):
    folder, _ = prepared
    assert (folder / "clips" / "prompts_en_digits__1F.flac").exists()


def test_licence_and_credit_lie_next_to_the_data(prepared):
    folder, _ = prepared
    attribution = (folder / "ATTRIBUTION.md").read_text()
    assert "Allison Smith" in attribution
    assert "CC BY-SA 3.0" in attribution
    assert (folder / "copyright").read_text() == "Recorded by Nobody\n"


def test_report_file_holds_what_is_returned_and_the_table_shows_it(prepared):
    folder, report = prepared
    assert json.loads((folder / "report.json").read_text()) == report
    table = format_report({"en": report})
    assert "tone or silence" in table
    assert f"{report['splits']['train']['clips']:>5} /" in table


def test_other_content_than_the_known_version_is_told(source, tmp_path, capsys):
    prepare(tmp_path, source)
    assert "warning: en: the files are not those of version 1.6.1-1" in capsys.readouterr().err


def refuse(*_):
    raise AssertionError("decoded again")


def test_finished_language_needs_no_source_and_no_decoding(source, tmp_path, monkeypatch):
    first = prepare(tmp_path, source)
    monkeypatch.setattr(prompts_audio, "decode_g722", refuse)
    assert prepare(tmp_path, tmp_path) == first


def test_interrupted_run_decodes_only_what_is_missing(source, tmp_path, monkeypatch):
    prepare(tmp_path, source)
    clips = tmp_path / "en" / "clips"
    (tmp_path / "en" / "report.json").unlink()
    (clips / "prompts_en_goodbye.flac").unlink()
    (clips / "prompts_en_digits__1F.flac").write_bytes(b"fLaC cut off")
    (clips / "prompts_en_vm-goodbye.part").write_bytes(b"half")
    decoded, decode = [], prompts_audio.decode_g722
    monkeypatch.setattr(prompts_audio, "decode_g722", lambda raw: decoded.append(len(raw)) or decode(raw))
    prepare(tmp_path, source)
    # 1 s and 1.5 s at 8000 bytes a second.
    assert sorted(decoded) == [8000, 12000]
    assert not list(clips.glob("*.part"))


def test_other_seed_splits_anew_without_decoding(source, tmp_path, monkeypatch):
    first = prepare(tmp_path, source)["en"]
    monkeypatch.setattr(prompts_audio, "decode_g722", refuse)
    assert prepare(tmp_path, source, seed=2)["en"]["files"] != first["files"]
    assert prepare(tmp_path, source, seed=1)["en"] == first


def test_shorter_limit_removes_clips_that_are_no_longer_listed(source, tmp_path):
    prepare(tmp_path, source)
    prepare(tmp_path, source, max_seconds=1.2)
    assert not (tmp_path / "en" / "clips" / "prompts_en_goodbye.flac").exists()


def test_another_source_replaces_the_clips(source, tmp_path):
    prepare(tmp_path / "save", source)
    other = build_tree(tmp_path / "other", hertz=1000.0)
    prepare(tmp_path / "save", other, again=True)
    samples, _ = soundfile.read(tmp_path / "save" / "en" / "clips" / "prompts_en_phonetic__a_p.flac")
    assert np.abs(np.fft.rfft(samples)).argmax() == 1000


def test_two_languages_side_by_side_are_told_apart(tmp_path):
    build_tree(tmp_path / "source", "en")
    spanish = {"uno": ("numero uno", 1.0), "dos": ("dos", 1.0), "tres": ("tres amigos", 1.0)}
    build_tree(tmp_path / "source", "es", spanish)
    reports = prepare(tmp_path / "save", tmp_path / "source", languages=["es", "en"])
    assert list(reports) == ["es", "en"]
    sentences = {row["sentence"] for s in SPLITS for row in rows_of(tmp_path / "save" / "es", s)}
    assert sentences == {"número uno", "dos", "tres amigos"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["de"]}, "no language de: choose from en es fr it ru"),
        ({"languages": []}, "choose from"),
        ({"train_minutes": 0}, "must be above 0"),
        ({"max_seconds": float("nan")}, "must be above 0"),
    ],
)
def test_impossible_options_are_refused(source, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        prepare(tmp_path, source, **options)


def test_list_without_a_usable_entry_is_refused(tmp_path):
    build_tree(tmp_path / "source", "en", {"beep": ("[tone]", 1.0)})
    with pytest.raises(UserError, match="nothing usable"):
        prepare(tmp_path / "save", tmp_path / "source")


def run_recipe(monkeypatch, *arguments):
    spec = importlib.util.spec_from_file_location("prepare_prompts_recipe", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["prepare_prompts.py", *map(str, arguments)])
    module.main()


def test_command_prints_the_table(source, tmp_path, monkeypatch, capsys):
    run_recipe(monkeypatch, "--save_folder", tmp_path, "--languages", "en", "--source", source, "--quiet")
    assert "dropped because" in capsys.readouterr().out


def test_command_tells_mistakes_in_one_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        run_recipe(monkeypatch, "--save_folder", tmp_path, "--languages", "xx")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: the prompts have no language xx")
