"""Clips of one tar stayed where those of another have their names and sizes, as those of equal length do."""

import soundfile
from cv_corpus import pack, small, write_locale

from s3_speechbrain.data.archive import unpack


def packed(folder, name, level):
    locale = write_locale(folder / name / "en", small())
    for clip in sorted((locale / "clips").glob("*.wav")):
        wave, rate = soundfile.read(clip)
        soundfile.write(clip, level * wave, rate)
    return locale, pack(locale, folder / f"{name}.tar.gz")


def test_the_second_archive_counts(tmp_path):
    (_, first), (locale, second) = (packed(tmp_path, name, level) for name, level in (("a", 1.0), ("b", 0.5)))
    for archive in (first, second):
        unpack(archive, tmp_path / "cache", {"en"}, progress=False)
    for clip in sorted((locale / "clips").glob("*.wav")):
        assert (tmp_path / "cache" / "en" / "clips" / clip.name).read_bytes() == clip.read_bytes()


def test_what_an_interrupted_run_unpacked_is_not_written_again(tmp_path):
    _, archive = packed(tmp_path, "a", 1.0)
    unpack(archive, tmp_path / "cache", {"en"}, progress=False)
    mark = tmp_path / "cache" / "en" / ".unpacked.json"
    mark.write_text(mark.read_text().replace("{", '{"unfinished": true,', 1))
    clips = sorted((tmp_path / "cache" / "en" / "clips").glob("*.wav"))
    before = [clip.stat().st_ino for clip in clips[1:]]
    clips[0].unlink()
    unpack(archive, tmp_path / "cache", {"en"}, progress=False)
    assert [clip.stat().st_ino for clip in clips[1:]] == before
    assert clips[0].is_file()
