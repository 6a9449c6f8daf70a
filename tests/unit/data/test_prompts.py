import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from s3_speechbrain.data import prompts_audio, prompts_fetch, prompts_source
from s3_speechbrain.data.prompts import format_report, prepare_prompts
from s3_speechbrain.errors import UserError

RECIPE = Path(__file__).parents[3] / "recipes" / "CommonVoice" / "prepare_prompts.py"
SPLITS = ("train", "dev", "test")
# name -> (text, seconds); None: listed without recording, or recorded without text
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet"]
ENGLISH = {f"phonetic/{word[0]}_p": (f"{word}.", 1.0) for word in WORDS} | {
    "goodbye": ("Goodbye, my friend.", 1.5),
    "vm-goodbye": ("Goodbye my friend!", 1.5),
    "digits/1f": ("number 1", 1.0),
    "beep": ("[this is a simple beep tone]", 0.4),
    "menu": ("A menu that goes on.", 3.0),
    "gone": ("No file has this.", None),
    "is": ("Is.", 0.0),
    "unlisted": (None, 0.5),
}


def g722(seconds: float, hertz: float = 440.0) -> bytes:
    if seconds == 0:
        return b""
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "s16"
    time = np.arange(round(seconds * 16000)) / 16000
    tone = (10000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
    frame.sample_rate = 16000
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def build_tree(folder: Path, language: str = "en", entries: dict | None = None, hertz: float = 440.0) -> Path:
    """Lay out files as `dpkg -x` leaves the two packages of a language."""
    name = f"asterisk-core-sounds-{language}"
    sounds = folder / f"usr/share/asterisk/sounds/{language}_XX_f_Nobody"
    document = folder / f"usr/share/doc/{name}"
    document.mkdir(parents=True)
    lines = ["; a test list"]
    for sound, (text, seconds) in (ENGLISH if entries is None else entries).items():
        if text is not None:
            lines.append(f"{sound}: {text}")
        if seconds is not None:
            path = sounds / f"{sound.replace('1f', '1F')}.g722"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(g722(seconds, hertz))
    (document / f"core-sounds-{language}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (document / "copyright").write_text("Recorded by Nobody\n")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return build_tree(tmp_path_factory.mktemp("source"))


def prepare(save_folder, source, **options):
    options = {"languages": ["en"], "train_minutes": 0.1, "max_seconds": 2.5, "progress": False} | options
    return prepare_prompts(save_folder, source=source, **options)


def rows_of(folder: Path, split: str) -> list[dict[str, str]]:
    with (folder / f"{split}.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("save")
    report = prepare(folder, source)["en"]
    return folder / "en", report


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


def pack_tarball(source: Path, folder: Path) -> Path:
    """Pack as upstream does: sounds, list and licence at the top."""
    folder.mkdir(exist_ok=True)
    path = folder / "asterisk-core-sounds-en-g722-1.6.1.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source / "usr/share/asterisk/sounds/en_XX_f_Nobody", ".")
        tar.add(source / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt", "core-sounds-en.txt")
        tar.add(source / "usr/share/doc/asterisk-core-sounds-en/copyright", "LICENSE-asterisk-core-en-1.6.1")
    return path


def tables(report):
    return report["en"]["files"]


def test_tarball_gives_the_same_corpus_as_the_unpacked_tree(source, prepared, tmp_path):
    pack_tarball(source, tmp_path / "tars")
    report = prepare(tmp_path / "save", tmp_path / "tars")
    assert tables(report) == prepared[1]["files"]
    assert report["en"]["options"]["content_sha256"] == prepared[1]["options"]["content_sha256"]
    assert (tmp_path / "save" / "en" / "LICENSE-asterisk-core-en-1.6.1").exists()


def test_truncated_tarball_is_one_clear_error(source, tmp_path):
    path = pack_tarball(source, tmp_path / "tars")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"is damaged .* delete it and run again"):
        prepare(tmp_path / "save", tmp_path / "tars")


def pack_debs(source: Path, folder: Path, work: Path) -> None:
    for package, part in (("-g722", "asterisk"), ("", "doc")):
        root = work / f"root{package}"
        shutil.copytree(source / "usr/share" / part, root / "usr/share" / part)
        (root / "DEBIAN").mkdir()
        name = f"asterisk-core-sounds-en{package}"
        (root / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1.6.1-1\nArchitecture: all\n"
            "Maintainer: a <a@b.c>\nDescription: test\n"
        )
        folder.mkdir(exist_ok=True)
        subprocess.run(
            ["dpkg-deb", "-b", root, folder / f"{name}_1.6.1-1_all.deb"], check=True, capture_output=True
        )


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg is not on this machine")


@needs_dpkg
def test_packages_give_the_same_corpus_and_a_truncated_one_is_told(source, prepared, tmp_path):
    debs = tmp_path / "debs"
    pack_debs(source, debs, tmp_path)
    assert tables(prepare(tmp_path / "save", debs)) == prepared[1]["files"]
    audio = debs / "asterisk-core-sounds-en-g722_1.6.1-1_all.deb"
    audio.write_bytes(audio.read_bytes()[:-3000])
    with pytest.raises(UserError, match=r"is damaged .* delete it and run again"):
        prepare(tmp_path / "save2", debs)
    audio.unlink()
    with pytest.raises(UserError, match="lacks the package asterisk-core-sounds-en-g722"):
        prepare(tmp_path / "save3", debs)


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


def test_folder_without_the_files_says_what_belongs_there(source, tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        prepare(tmp_path, tmp_path / "absent")
    with pytest.raises(UserError, match=r"no core-sounds-en\.txt"):
        prepare(tmp_path, tmp_path)
    shutil.copytree(source / "usr/share/doc", tmp_path / "text_only")
    with pytest.raises(UserError, match=r"no \.g722 files below"):
        prepare(tmp_path, tmp_path / "text_only")


def test_list_without_a_usable_entry_is_refused(tmp_path):
    build_tree(tmp_path / "source", "en", {"beep": ("[tone]", 1.0)})
    with pytest.raises(UserError, match="nothing usable"):
        prepare(tmp_path / "save", tmp_path / "source")


def fake_tools(folder: Path, monkeypatch, apt: str, real: tuple[str, ...] = ()) -> None:
    """Leave only a fake apt-get, and the named real tools, on the search path."""
    folder.mkdir()
    (folder / "apt-get").write_text(f"#!/bin/sh\n{apt}\n")
    (folder / "apt-get").chmod(0o755)
    for tool in real:
        (folder / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(folder))


@needs_dpkg
def test_debian_packages_are_fetched_once_and_stay(source, prepared, tmp_path, monkeypatch):
    pack_debs(source, tmp_path / "debs", tmp_path)
    copy, log = shutil.which("cp"), tmp_path / "log"
    apt = f'echo "$@" >> {log}\n{copy} {tmp_path}/debs/*.deb .'
    fake_tools(
        tmp_path / "bin", monkeypatch, apt, ("dpkg", "dpkg-deb", "tar", "rm", "xz", "zstd", "gzip")[:4]
    )
    for _ in range(2):
        assert tables(prepare(tmp_path / "save", None)) == prepared[1]["files"]
        shutil.rmtree(tmp_path / "save" / "en")
    assert log.read_text() == "-q download asterisk-core-sounds-en asterisk-core-sounds-en-g722\n"
    assert not list((tmp_path / "save" / "downloads").glob("part-*"))


def test_without_apt_the_tarballs_are_taken(source, prepared, tmp_path, monkeypatch):
    served = pack_tarball(source, tmp_path / "served").parent
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prompts_fetch, "UPSTREAM_URL", served.as_uri())
    monkeypatch.setattr(prompts_fetch, "SMALLEST_TARBALL", 1000)
    assert tables(prepare(tmp_path / "save", None)) == prepared[1]["files"]


def test_error_page_instead_of_a_tarball_is_not_kept(source, tmp_path, monkeypatch):
    served = pack_tarball(source, tmp_path / "served").parent
    monkeypatch.setattr(prompts_fetch, "UPSTREAM_URL", served.as_uri())
    with pytest.raises(UserError, match="bytes came"):
        prepare(tmp_path / "save", "upstream")
    assert not list((tmp_path / "save" / "downloads").iterdir())


def test_no_way_to_fetch_tells_everything_tried_and_the_next_step(tmp_path, monkeypatch):
    fake_tools(tmp_path / "bin", monkeypatch, "echo 'E: Unable to locate package x' >&2; exit 100")
    (tmp_path / "bin" / "dpkg").symlink_to("/bin/true")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(prompts_fetch, "UPSTREAM_URL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(UserError) as error:
        prepare(tmp_path / "save", None)
    message = str(error.value)
    assert "\n" not in message
    for part in ("Unable to locate package x", "sudo apt-get update", "nowhere", "--source"):
        assert part in message


def test_root_updates_missing_package_lists_itself(tmp_path, monkeypatch):
    mark = tmp_path / "updated"
    apt = (
        f'[ "$2" = update ] && {{ : > {mark}; exit 0; }}\n'
        f'[ -e {mark} ] || {{ echo "E: Unable to locate" >&2; exit 9; }}'
    )
    fake_tools(tmp_path / "bin", monkeypatch, apt)
    (tmp_path / "bin" / "dpkg").symlink_to("/bin/true")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert prompts_fetch.fetch_debian(["en"], tmp_path) is None
    assert mark.exists()


def test_known_packages_are_pinned_for_every_language():
    for language in ("en", "es", "fr", "it", "ru"):
        packages = prompts_source.debian_packages(language)
        assert list(packages) == [f"asterisk-core-sounds-{language}", f"asterisk-core-sounds-{language}-g722"]
        assert all(len(checksum) == 64 for checksum in packages.values())


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
