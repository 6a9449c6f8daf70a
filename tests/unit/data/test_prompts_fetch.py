"""Where the prompts come from: folders, tarballs, Debian packages, and what happens when one is not there."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from prompts_tree import prepare

from s3_speechbrain.data import prompts_fetch, prompts_source
from s3_speechbrain.errors import UserError


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


def test_folder_without_the_files_says_what_belongs_there(source, tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        prepare(tmp_path, tmp_path / "absent")
    with pytest.raises(UserError, match=r"no core-sounds-en\.txt"):
        prepare(tmp_path, tmp_path)
    shutil.copytree(source / "usr/share/doc", tmp_path / "text_only")
    with pytest.raises(UserError, match=r"no \.g722 files below"):
        prepare(tmp_path, tmp_path / "text_only")


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
