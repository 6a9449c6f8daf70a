"""Tar archives of speech data unpacked safely, once, and resumably."""

import bz2
import gzip
import json
import lzma
import os
import sys
import zlib
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from s3_speechbrain.data.manifest import write_json
from s3_speechbrain.errors import UserError

if sys.version_info >= (3, 11, 4):
    import tarfile
else:  # Debian 12's Python has no extraction filters yet
    from backports import tarfile

TABLES = ("train.tsv", "dev.tsv", "test.tsv", "clip_durations.tsv")
_MARK = ".unpacked.json"
_END = 1024  # bytes: two blocks of zeros end a tar


def is_tar(path: Path) -> bool:
    """Tell whether a path is a file named like a tar archive."""
    return path.is_file() and path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def place_of(name: str) -> tuple[str, str] | None:
    """Return the locale and the path inside its folder of a Common Voice member, None for what is not needed.

    Examples
    --------
    >>> place_of("cv-corpus-25.0-2026-03-09/nl/clips/common_voice_nl_1.mp3")
    ('nl', 'clips/common_voice_nl_1.mp3')
    """
    parts = PurePosixPath(name).parts
    if len(parts) >= 3 and parts[-2] == "clips":
        return parts[-3], f"clips/{parts[-1]}"
    if len(parts) >= 2 and parts[-1] in TABLES:
        return parts[-2], parts[-1]
    return None


def unpack(archive: Path, cache: Path, languages: Collection[str], progress: bool = True) -> set[str]:
    """Unpack the tables and clips of some languages to ``<cache>/<locale>/``.

    A file appears under its name only when it is whole. A mark with the archive's name, size and time says whose
    files they are: of the same archive, those with the right size are not written again, so a killed run goes on
    where it stopped, and a finished language is not unpacked twice; those of another archive are replaced.

    Parameters
    ----------
    archive : pathlib.Path
        A Common Voice tar, compressed or not, or one that holds ``<locale>/``.
    cache : pathlib.Path
        Where to unpack.
    languages : collection of str
        Wanted locales.
    progress : bool
        Show a progress bar over the bytes of the archive.

    Returns
    -------
    set of str
        The wanted locales that the archive holds.

    Raises
    ------
    UserError
        When the archive is damaged or holds a path that leads outside the folder.
    """
    status = archive.stat()
    mark = {"archive": archive.name, "bytes": status.st_size, "mtime": int(status.st_mtime)}
    begun = {**mark, "unfinished": True}
    done = {name for name in languages if _read_mark(cache / name) == mark}
    ours = {name for name in languages if _read_mark(cache / name) in (mark, begun)}
    if done == set(languages):
        return done
    found: set[str] = set()
    _check_end(archive)
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(
            raw, "read", total=status.st_size, desc=f"unpack {archive.name}", disable=not progress
        ) as stream,
    ):
        try:
            with _decompress(stream, archive.name) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
                for member in tar:
                    place = _place(member, cache, languages)
                    if place is None:
                        continue
                    if place[0] not in found:  # whatever happens from here on, the folder is of this archive
                        found.add(place[0])
                        write_json(cache / place[0] / _MARK, begun)
                    _unpack_member(tar, member, cache.joinpath(*place), place[0] in ours)
                # The end of a cut archive looks like any other to tarfile; reading on makes the decompressor tell.
                while plain.read(1 << 20):
                    pass
        except tarfile.FilterError as error:
            raise UserError(
                f"{archive} holds an unsafe entry ({error}): do not trust it, download it again"
            ) from error
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise UserError(
                    f"cannot unpack into {cache} ({error.strerror}): give a place that can be written"
                ) from error
            raise UserError(
                f"{archive} is damaged or cannot be unpacked ({error}): check the free space, download it "
                f"again and rerun"
            ) from error
    for name in found:
        write_json(cache / name / _MARK, mark)
    return found


def _check_end(archive: Path) -> None:
    """Refuse an uncompressed tar without its final blocks of zeros: tarfile takes a cut one for a finished one."""
    if archive.suffix != ".tar":
        return
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - _END))
        if file.read() != bytes(_END):
            raise UserError(f"{archive} is damaged (it ends early): download it again and rerun")


def _decompress(stream: IO[bytes], name: str) -> AbstractContextManager[IO[bytes]]:
    opener = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(
        PurePosixPath(name).suffix
    )
    return opener(stream, "rb") if opener else nullcontext(stream)


def _place(member: tarfile.TarInfo, cache: Path, languages: Collection[str]) -> tuple[str, str] | None:
    """Return the locale and the path of a member that is wanted."""
    # The filter raises on absolute paths, "..", links to outside and devices, whatever the member is for.
    tarfile.data_filter(member, str(cache))
    place = place_of(member.name)
    return place if place is not None and place[0] in languages and member.isfile() else None


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, ours: bool) -> None:
    """Write a member, unless it is there already; clips of another archive may have its name and size."""
    if ours and target.is_file() and target.stat().st_size == member.size:
        return
    content = tar.extractfile(member)
    if content is not None:
        _write_whole(content, target)


def _write_whole(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _read_mark(folder: Path) -> dict[str, object] | None:
    try:
        return json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
