import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cv_corpus import add_bytes, pack, small, write_locale, write_table

from s3_speechbrain.data.archive import place_of, unpack
from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.errors import UserError

SCRIPT = Path(__file__).parents[3] / "recipes" / "CommonVoice" / "prepare_common_voice.py"


def prepare(data, save, languages="en", **options):
    return prepare_common_voice(data, save, languages, progress=False, **options)


def audio_of(prepared, split="train"):
    rows = read_manifest(prepared.csvs[split])
    return [Path(row.wav.replace("$data_root", str(prepared.data_root))) for row in rows]


@pytest.mark.parametrize("ending", ["mp3", "ogg", "wav", "flac"])
def test_a_tar_as_downloaded_becomes_manifests(tmp_path, ending):
    folder = write_locale(tmp_path / "src" / "en", small(ending=ending))
    archive = pack(folder, tmp_path / "cv-corpus-25.0-2026-03-09-en.tar.gz")
    prepared = prepare(archive, tmp_path / "save")["en"]
    rows = read_manifest(prepared.csvs["train"])
    assert [row.text for row in rows] == ["alpha", "beta", "gamma"]
    assert {row.locale for row in rows} == {"en"}
    assert all(row.wav.startswith("$data_root/en/clips/") for row in rows)
    assert all(path.is_file() for path in audio_of(prepared))
    assert all(abs(row.duration - 2.0) < 0.1 for row in rows)


@pytest.mark.parametrize("given", ["release", "above", "locale"])
def test_unpacked_folders_are_found_at_any_level(tmp_path, given):
    release = tmp_path / "data" / "cv-corpus-25.0-2026-03-09"
    folder = write_locale(release / "en", small())
    data = {"release": release, "above": tmp_path / "data", "locale": folder}[given]
    prepared = prepare(data, tmp_path / "save")["en"]
    assert prepared.data_root == data
    assert all(path.is_file() for path in audio_of(prepared))


def test_several_languages_from_a_folder_of_tars(tmp_path):
    for locale in ("en", "de"):
        pack(write_locale(tmp_path / locale, small(locale), locale), tmp_path / f"cv-x-{locale}.tar.gz")
        (tmp_path / locale).rename(tmp_path / f"away-{locale}")
    prepared = prepare(tmp_path, tmp_path / "save", ["en", "de"])
    assert prepared["en"].data_root == prepared["de"].data_root
    ids = [row.id for result in prepared.values() for row in read_manifest(result.csvs["train"])]
    assert len(set(ids)) == 6


def test_the_same_options_do_nothing_and_changed_ones_start_again(tmp_path):
    write_locale(tmp_path / "en", small())
    first = prepare(tmp_path, tmp_path / "save")["en"]
    second = prepare(tmp_path, tmp_path / "save")["en"]
    assert (first.skipped, second.skipped) == (False, True)
    assert (second.sha256, second.csvs, second.report) == (first.sha256, first.csvs, first.report)
    assert not prepare(tmp_path, tmp_path / "save", max_seconds=10)["en"].skipped
    assert not prepare(tmp_path, tmp_path / "save", max_seconds=10, force=True)["en"].skipped


def test_a_changed_table_or_manifest_starts_again(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    prepared = prepare(tmp_path, tmp_path / "save")["en"]
    prepared.csvs["dev"].write_text("damaged")
    again = prepare(tmp_path, tmp_path / "save")["en"]
    assert (again.skipped, again.sha256) == (False, prepared.sha256)
    (folder / "train.tsv").write_bytes((folder / "train.tsv").read_bytes().replace(b"alpha", b"omega"))
    assert not prepare(tmp_path, tmp_path / "save")["en"].skipped


def test_training_subsets_are_nested_and_leave_dev_and_test_whole(tmp_path):
    write_locale(tmp_path / "en", small(train=10))
    ten, twenty = (prepare(tmp_path, tmp_path / f"save{s}", train_minutes=s / 60)["en"] for s in (10, 15))
    names = [{row.id for row in read_manifest(p.csvs["train"])} for p in (ten, twenty)]
    assert (len(names[0]), len(names[1])) == (5, 7)  # clips of 2 s
    assert names[0] < names[1]
    facts = ten.report["splits"]
    assert (facts["train"]["not_drawn"], facts["dev"]["kept"], facts["test"]["kept"]) == (5, 1, 1)


def test_limit_keeps_so_many_per_split(tmp_path):
    write_locale(tmp_path / "en", small(train=8))
    facts = prepare(tmp_path, tmp_path / "save", limit=2)["en"].report["splits"]
    assert {split: row["kept"] for split, row in facts.items()} == {"train": 2, "dev": 1, "test": 1}


def test_clip_durations_are_trusted_only_without_the_audio_check(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    (folder / "clips" / "cv_en_train_0.wav").write_bytes(b"broken")
    (folder / "clip_durations.tsv").write_text("clip\tduration[ms]\ncv_en_train_0.wav\t1234\n")
    assert len(read_manifest(prepare(tmp_path, tmp_path / "a")["en"].csvs["train"])) == 2
    rows = read_manifest(prepare(tmp_path, tmp_path / "b", check_audio=False)["en"].csvs["train"])
    assert [row.duration for row in rows] == [1.234, 2.0, 2.0]


def test_old_releases_without_a_locale_column_work(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    write_table(folder / "train.tsv", ["old words\tcv_en_train_0.wav"], ("sentence", "path"))
    assert [row.text for row in read_manifest(prepare(tmp_path, tmp_path / "save")["en"].csvs["train"])] == [
        "old words"
    ]


def test_a_split_without_usable_rows_is_told_after_the_report_is_written(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    write_table(folder / "dev.tsv", [])
    with pytest.raises(UserError, match=r"no usable row in dev .*report\.json"):
        prepare(tmp_path, tmp_path / "save")
    assert (tmp_path / "save" / "en" / "report.json").is_file()
    assert not (tmp_path / "save" / "en" / "meta.json").exists()


@pytest.mark.parametrize(
    ("data", "languages", "options", "message"),
    [
        ("nowhere", "en", {}, "no such file"),
        ("here", "fr", {}, "lacks language 'fr'"),
        ("here", "xx", {}, "no text rules"),
        ("here", [], {}, "no language given"),
        ("here", "en", {"limit": 0}, "limit must be"),
        ("here", "en", {"train_minutes": -1}, "train_minutes must be"),
        ("here", "en", {"max_seconds": 0.1}, "must lie below"),
        ("here/en/dev.tsv", "en", {}, "not a tar"),
    ],
)
def test_impossible_requests_are_told_in_one_line(tmp_path, data, languages, options, message):
    write_locale(tmp_path / "here" / "en", small())
    with pytest.raises(UserError, match=message) as caught:
        prepare(tmp_path / data, tmp_path / "save", languages, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_told(tmp_path):
    (write_locale(tmp_path / "en", small()) / "test.tsv").unlink()
    with pytest.raises(UserError, match=r"missing .*test\.tsv"):
        prepare(tmp_path, tmp_path / "save")


@pytest.mark.parametrize("name", ["../en/clips/a.mp3", "x/../../../en/clips/a.mp3"])
def test_a_tar_that_leads_outside_is_refused(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add_bytes(tar, name, b"evil")
    with pytest.raises(UserError, match="unsafe entry"):
        unpack(tmp_path / "bad.tar", tmp_path / "cache", {"en"}, progress=False)
    assert not list(tmp_path.rglob("a.mp3"))


def test_links_in_a_tar_are_never_followed(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        link = tarfile.TarInfo("cv/en/clips/a.mp3")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link, io.BytesIO())
    with pytest.raises(UserError, match="unsafe entry"):
        unpack(tmp_path / "bad.tar", tmp_path / "cache", {"en"}, progress=False)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_tar_is_told_and_unpacking_goes_on_once_it_is_whole(tmp_path, share):
    archive = pack(write_locale(tmp_path / "src" / "en", small()), tmp_path / "cv-en.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="damaged"):
        prepare(archive, tmp_path / "save")
    archive.write_bytes(whole)
    assert prepare(archive, tmp_path / "save")["en"].report["splits"]["train"]["kept"] == 3
    assert not list((tmp_path / "save").rglob("*.part"))


def test_a_tar_is_unpacked_once(tmp_path):
    archive = pack(write_locale(tmp_path / "src" / "en", small()), tmp_path / "cv-en.tar.gz")
    assert unpack(archive, tmp_path / "cache", {"en"}, progress=False) == {"en"}
    clip = next((tmp_path / "cache").rglob("*.wav"))
    clip.unlink()
    unpack(archive, tmp_path / "cache", {"en"}, progress=False)
    assert not clip.exists()  # the mark says that all is done


def test_members_are_placed_by_their_last_parts():
    assert place_of("cv-corpus-25.0-2026-03-09/nl/clips/a.mp3") == ("nl", "clips/a.mp3")
    assert place_of("nl/train.tsv") == ("nl", "train.tsv")
    assert place_of("cv/nl/other.tsv") is None
    assert place_of("cv/nl/README.md") is None


def test_the_script_prints_what_was_kept_and_why_not(tmp_path):
    folder = write_locale(tmp_path / "en", small())
    (folder / "clips" / "cv_en_train_0.wav").unlink()
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(tmp_path / "save"), "--languages"]
    done = subprocess.run([*command, "en"], capture_output=True, text=True, check=True)
    assert "1 missing_audio" in done.stdout
    failed = subprocess.run([*command, "xx"], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
