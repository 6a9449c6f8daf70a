"""Find the prompts of one language in a folder of packages, tarballs or unpacked files, and verify them."""

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.data.archive import tarfile
from s3_speechbrain.data.prompts_catalogue import DEBIAN_VERSION, VERSION, VOICES
from s3_speechbrain.data.prompts_text import read_list_bytes
from s3_speechbrain.errors import UserError


@dataclass(frozen=True)
class Tree:
    """Where one language's files are: the text list, the folder of sounds, licence and credit files."""

    language: str
    text_list: Path
    sounds: Path
    notices: tuple[Path, ...]

    def recordings(self) -> dict[str, Path]:
        """Return every recording by its name in the list ("digits/1"), sorted."""
        files = sorted(self.sounds.rglob("*.g722"))
        return {path.relative_to(self.sounds).with_suffix("").as_posix(): path for path in files}


def debian_packages(language: str) -> dict[str, str]:
    """Return the two packages of a language, text and audio, with their known checksums."""
    voice, name = VOICES[language], f"asterisk-core-sounds-{language}"
    return {name: voice.text_package_sha256, f"{name}-g722": voice.audio_package_sha256}


def tarball_name(language: str) -> str:
    """Return the name of upstream's archive, which holds audio and text."""
    return f"asterisk-core-sounds-{language}-g722-{VERSION}.tar.gz"


def sha256_of(path: Path) -> str:
    """Return a file's checksum."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def archives(folder: Path, language: str) -> list[Path]:
    """Return the newest package of each kind in a folder, or else its tarball, or else nothing."""
    found = []
    for package in debian_packages(language):
        versions = sorted(folder.glob(f"{package}_*.deb"))
        if versions:
            found.append(versions[-1])
    if len(found) == len(debian_packages(language)):
        return found
    if found:
        missing = next(name for name in debian_packages(language) if not list(folder.glob(f"{name}_*.deb")))
        raise UserError(f"{folder} lacks the package {missing}_*.deb: put it there or leave --source out")
    return sorted(folder.glob(f"asterisk-core-sounds-{language}-g722-*.tar.gz"))[-1:]


def unpack(archive: Path, into: Path) -> None:
    """Unpack a Debian package (with dpkg) or a tarball."""
    into.mkdir(parents=True, exist_ok=True)
    again = "delete it and run again, so that it is fetched anew"
    if archive.suffix == ".deb":
        if shutil.which("dpkg") is None:
            raise UserError(
                f"dpkg is needed to open {archive.name}: unpack it yourself "
                "(ar x FILE, then tar xf data.tar.*) and name the folder with --source"
            )
        done = subprocess.run(["dpkg", "-x", str(archive), str(into)], capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["dpkg failed"])[0]
            raise UserError(f"{archive} is damaged ({reason}): {again}")
        return
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{archive} is damaged ({error}): {again}") from error


def find_tree(folder: Path, language: str) -> Tree:
    """Look for a language's text list and sounds anywhere below a folder.

    Parameters
    ----------
    folder : Path
        As `dpkg -x` or `tar` leaves it; several languages may lie side by side.
    language : str
        One of `LANGUAGES`.

    Returns
    -------
    Tree
        What `prepare_prompts` reads.

    Raises
    ------
    UserError
        The list or the sounds are not there.
    """
    lists = sorted(folder.rglob(f"core-sounds-{language}.txt")) + sorted(
        folder.rglob(f"core-sounds-{language}.txt.gz")
    )
    if not lists:
        raise UserError(
            f"no core-sounds-{language}.txt(.gz) below {folder}: give a folder with the package "
            f"asterisk-core-sounds-{language} or leave --source out to fetch it"
        )
    roots = {path.parent for path in folder.rglob("*.g722")}
    tops = sorted(root for root in roots if not any(parent in roots for parent in root.parents))
    named = re.compile(rf"(^|.*-){language}([_-].*)?$")
    tops = [top for top in tops if any(map(named.match, top.relative_to(folder).parts))] or tops
    if len(tops) != 1:
        what = "no .g722 files" if not tops else f"{len(tops)} folders that may hold {language}"
        raise UserError(
            f"{what} below {folder}: give a folder with the package asterisk-core-sounds-{language}-g722"
        )
    notices = [
        *folder.rglob(f"asterisk-core-sounds-{language}/copyright"),
        *(path for path in tops[0].glob("*") if path.name.startswith(("CREDITS", "LICENSE"))),
    ]
    return Tree(language, lists[0], tops[0], tuple(sorted(notices)))


def content_digest(tree: Tree) -> str:
    """Return one checksum over the text list and every recording.

    It does not depend on the packaging: the same number verifies Debian's, Ubuntu's and upstream's archives.
    """
    digest = hashlib.sha256(hashlib.sha256(read_list_bytes(tree.text_list)).digest())
    for name, path in tree.recordings().items():
        digest.update(f"{name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def verify(tree: Tree) -> tuple[str, str | None]:
    """Compare with the known content.

    Returns
    -------
    digest, warning : str, str or None
        `content_digest`, and what to tell the user where it is not that of the known version.
    """
    digest = content_digest(tree)
    if digest == VOICES[tree.language].content_sha256:
        return digest, None
    return digest, (
        f"{tree.language}: the files are not those of version {DEBIAN_VERSION}; "
        "results will differ from the published ones"
    )
