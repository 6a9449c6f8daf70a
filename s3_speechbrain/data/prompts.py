"""The prompts corpus: Asterisk's core sounds, human voices in five languages, as a Common Voice folder."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3_speechbrain.data.prompts_audio import decode_all
from s3_speechbrain.data.prompts_catalogue import LANGUAGES
from s3_speechbrain.data.prompts_fetch import fetch
from s3_speechbrain.data.prompts_select import select
from s3_speechbrain.data.prompts_source import Tree, archives, find_tree, unpack, verify
from s3_speechbrain.data.prompts_text import Dropped, split_sentences
from s3_speechbrain.data.prompts_write import (
    check_own,
    done_before,
    format_report,
    open_clips,
    remove_strays,
    tell,
    write_corpus,
)
from s3_speechbrain.errors import UserError


def prepare_prompts(
    save_folder: str | Path,
    languages: Sequence[str] = LANGUAGES,
    source: str | Path | None = None,
    train_minutes: float = 10.0,
    max_seconds: float = 20.0,
    seed: int = 1,
    workers: int | None = None,
    progress: bool = True,
    again: bool = False,
) -> dict[str, dict[str, Any]]:
    """Fetch, verify, decode, clean and split the prompts into `save_folder/LANGUAGE`, in Common Voice layout.

    What an earlier run finished is kept: a language whose files are all there with the same options is only
    reported, and single clips are not decoded twice.

    Parameters
    ----------
    save_folder : str or Path
        Gets one folder per language, and `downloads`.
    languages : sequence of str
        Any of `LANGUAGES`.
    source : str or Path, optional
        "debian", "upstream", or a folder with packages, tarballs or unpacked files. Default: fetch Debian's
        packages, or where that fails the upstream tarballs.
    train_minutes : float
        Length of train, at most 60 % of what there is; dev and test halve the rest.
    max_seconds : float
        Longer clips are dropped.
    seed : int
        Of the split.
    workers : int, optional
        Decoding threads; default: one per core, at most 8.
    progress : bool
        Show progress bars.
    again : bool
        Do everything anew, even where it is finished.

    Returns
    -------
    dict of str to dict
        Each language's report, which is also its `report.json`.

    Raises
    ------
    UserError
        Unknown language or option, nothing to fetch from, damaged or missing files.
    """
    check_options(languages, train_minutes, max_seconds)
    save_folder = Path(save_folder)
    options = {"train_minutes": train_minutes, "max_seconds": max_seconds, "seed": seed}
    reports = {}
    for language in dict.fromkeys(languages):
        report = None if again else done_before(save_folder / language, options)
        if report is not None:
            reports[language] = report
    missing = [language for language in dict.fromkeys(languages) if language not in reports]
    for language in missing:
        check_own(save_folder / language)
    folder = locate(missing, source, save_folder / "downloads", progress)
    for language in missing:
        with tempfile.TemporaryDirectory() as scratch:
            tree = open_tree(folder, language, Path(scratch))
            reports[language] = prepare_language(
                tree, save_folder / language, options, workers, progress, again
            )
    return {language: reports[language] for language in dict.fromkeys(languages)}


def check_options(languages: Sequence[str], train_minutes: float, max_seconds: float) -> None:
    """Raise `UserError` for options that cannot be meant."""
    unknown = [language for language in languages if language not in LANGUAGES]
    if unknown or not languages or isinstance(languages, str):
        raise UserError(
            f"the prompts have no language {', '.join(unknown) or repr(languages)}: "
            f"choose from {' '.join(LANGUAGES)}"
        )
    if not train_minutes > 0 or not max_seconds > 0:
        raise UserError(
            "train_minutes and max_seconds must be above 0: leave them out for the usual 10 and 20"
        )


def locate(languages: Sequence[str], source: str | Path | None, downloads: Path, progress: bool) -> Path:
    """Return the folder to read from, after fetching into it where no folder was named."""
    if source is None or str(source) in ("debian", "upstream"):
        fetch(languages, downloads, None if source is None else str(source), progress)
        return downloads
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"{source} is no folder: name one with the packages, or leave --source out to fetch them"
        )
    return folder


def open_tree(folder: Path, language: str, scratch: Path) -> Tree:
    """Unpack a language's archives into `scratch`, or take the folder itself where it is unpacked already."""
    packed = archives(folder, language)
    for archive in packed:
        unpack(archive, scratch)
    return find_tree(scratch if packed else folder, language)


def prepare_language(
    tree: Tree,
    folder: Path,
    options: dict[str, float],
    workers: int | None,
    progress: bool,
    again: bool = False,
) -> dict[str, Any]:
    """Turn one language's files into a Common Voice folder; returns its report."""
    digest, warning = verify(tree)
    if warning:
        tell(f"warning: {warning}")
    clips, dropped = select(tree, options["max_seconds"])
    target = {clip.name: folder / "clips" / clip_file(tree.language, clip.name) for clip in clips}
    open_clips(folder, "" if again else digest)
    jobs = [(clip.source, target[clip.name]) for clip in clips]
    failed = decode_all(jobs, f"{tree.language}: decode", workers, progress)
    dropped += [
        Dropped(clip.line, clip.name, clip.text, "recording cannot be decoded")
        for clip in clips
        if clip.source in failed
    ]
    clips = [clip for clip in clips if clip.source not in failed]
    if not clips:
        raise UserError(f"nothing usable in {tree.text_list}: is it the list of {tree.language}?")
    splits = split_sentences(
        [clip.key for clip in clips],
        [clip.seconds for clip in clips],
        options["train_minutes"] * 60,
        int(options["seed"]),
    )
    rows = [
        (split, target[clip.name].name, clip.text, clip.seconds, clip.key)
        for split, clip in zip(splits, clips, strict=True)
    ]
    remove_strays(folder, {row[1] for row in rows})
    return write_corpus(folder, tree, rows, dropped, options | {"content_sha256": digest})


def clip_file(language: str, name: str) -> str:
    """Return the clip's file name; folders of the source become a double underscore."""
    return f"prompts_{language}_{name.replace('/', '__')}.flac"


__all__ = ["LANGUAGES", "format_report", "prepare_prompts"]
