"""Common Voice, as downloaded or unpacked, turned into manifests."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from s3_speechbrain.data.archive import is_tar, unpack
from s3_speechbrain.data.languages import rules_for
from s3_speechbrain.data.preparation import (
    Options,
    Prepared,
    Source,
    find_finished,
    fingerprint,
    prepare_source,
)
from s3_speechbrain.data.validation import Candidate, Drop, read_durations, read_table
from s3_speechbrain.errors import UserError

SPLITS = ("train", "dev", "test")


def prepare_common_voice(
    data_folder: str | Path,
    save_folder: str | Path,
    languages: str | Sequence[str],
    train_minutes: float | None = None,
    seed: int = 1,
    limit: int | None = None,
    max_seconds: float = 20.0,
    spell_numbers: bool = True,
    *,
    min_seconds: float = 0.2,
    check_audio: bool = True,
    disjoint_sentences: bool = True,
    cache_folder: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict[str, Prepared]:
    """Write the manifests of one or more languages of Common Voice.

    Faulty rows are dropped, counted and listed with file and line in ``<save_folder>/<locale>/report.json``;
    the rest goes on. A second call with the same options and tables finds its work done.

    Parameters
    ----------
    data_folder : str or pathlib.Path
        A downloaded tar, a folder of such tars, an unpacked release, or one locale's folder.
    save_folder : str or pathlib.Path
        Manifests go to ``<save_folder>/<locale>/{train,dev,test}.csv``.
    languages : str or sequence of str
        Locales as Common Voice writes them, for example ``["nl", "zh-TW"]``.
    train_minutes : float or None
        Draw a training subset of at most so many minutes. Subsets of one seed are nested.
    seed : int
        Seed of the draw and of `limit`.
    limit : int or None
        Keep at most so many clips per split, for quick tries.
    max_seconds, min_seconds : float
        Bounds on the length of a clip, in every split.
    spell_numbers : bool
        Write numbers as words.
    check_audio : bool
        Read the header of every clip. When False, lengths come from ``clip_durations.tsv`` where it has them,
        and unreadable or empty recordings go unnoticed.
    disjoint_sentences : bool
        Drop sentences of train that dev or test hold, and those of dev that test holds.
    cache_folder : str or pathlib.Path or None
        Where tars are unpacked; by default ``<save_folder>/unpacked``.
    force : bool
        Prepare again even if nothing changed.
    progress : bool
        Show progress bars.

    Returns
    -------
    dict of str to Prepared
        One result per language; its ``data_root`` is what "$data_root" stands for in the manifests.

    Raises
    ------
    UserError
        Unknown language, missing folder, table or column, damaged tar, impossible options, or no usable row
        in a split.
    """
    options = Options(
        train_minutes, seed, limit, min_seconds, max_seconds, spell_numbers, check_audio, disjoint_sentences
    )
    names = [languages] if isinstance(languages, str) else list(languages)
    if not names:
        raise UserError("no language given: name at least one locale, for example en")
    for name in names:
        rules_for(name)
    data, save = Path(data_folder).expanduser().absolute(), Path(save_folder).expanduser().absolute()
    cache = Path(cache_folder).expanduser().absolute() if cache_folder else save / "unpacked"
    prepared = {}
    for name in names:
        root, folder = locate(data, name, cache, progress)
        tables = {path.name: path for path in (folder / f"{split}.tsv" for split in SPLITS)}
        tables["clip_durations.tsv"] = folder / "clip_durations.tsv"
        facts = fingerprint(name, options, root, tables)
        facts["clips"] = (folder / "clips").relative_to(root).as_posix()
        result = None if force else find_finished(save / name, facts)
        if result is None:
            result = prepare_source(read_source(folder, root), name, save / name, facts, options, progress)
        prepared[name] = result
    return prepared


def locate(data: Path, language: str, cache: Path, progress: bool = True) -> tuple[Path, Path]:
    """Find a language's folder, unpacking a tar if that is what there is.

    Parameters
    ----------
    data : pathlib.Path
        What the user gave: tar, folder of tars, release folder or locale folder.
    language : str
        The wanted locale.
    cache : pathlib.Path
        Where tars are unpacked.
    progress : bool
        Show a progress bar while unpacking.

    Returns
    -------
    data_root, folder : pathlib.Path, pathlib.Path
        The folder that manifests are relative to, and the one with ``train.tsv``.

    Raises
    ------
    UserError
        When the language is not there.
    """
    if not data.exists():
        raise UserError(
            f"no such file or folder {data}: give a Common Voice tar or the folder it unpacked to"
        )
    if data.is_file():
        if not is_tar(data):
            raise UserError(
                f"{data} is not a tar archive: give the Common Voice tar.gz or the folder it unpacked to"
            )
        archives = [data]
    else:
        for folder in (data / language, *sorted(data.glob(f"*/{language}"))):
            if (folder / "train.tsv").is_file() or (folder / "clips").is_dir():
                return data, folder
        if (data / "train.tsv").is_file() and (data / "clips").is_dir():
            return data, data
        # A tar named after the language goes first, so that the others need not be read.
        archives = sorted(
            (p for p in data.iterdir() if is_tar(p)), key=lambda p: (f"-{language}." not in p.name, p.name)
        )
    for archive in archives:
        if unpack(archive, cache, {language}, progress):
            return cache, cache / language
    there = sorted({table.parent.name for depth in ("*", "*/*") for table in data.glob(f"{depth}/train.tsv")})
    others = f" (it has {', '.join(there)})" if there else ""
    raise UserError(
        f"{data} lacks language {language!r}{others}: wanted "
        f"{language}/train.tsv and {language}/clips/, or a tar with them"
    )


def read_source(folder: Path, data_root: Path) -> Source:
    """Read the three tables of a language.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``train.tsv``, ``dev.tsv``, ``test.tsv``, ``clips/`` and, since release 16.1,
        ``clip_durations.tsv``.
    data_root : pathlib.Path
        Folder above it that the manifests are relative to.

    Returns
    -------
    Source
        Its rows, and the rows that could not be read.

    Raises
    ------
    UserError
        When a table or a needed column is missing.
    """
    splits: dict[str, list[Candidate]] = {}
    drops: list[Drop] = []
    for split in SPLITS:
        rows, bad = read_table(folder / f"{split}.tsv", ("path", "sentence"), split)
        drops += bad
        splits[split] = []
        for row in rows:
            name = row.fields["path"].strip()
            if not safe_name(name):
                drops.append(Drop(split, row.where, "bad_clip_name", name, f"path is {name!r}"))
                continue
            # Releases before 2019 list clips without their ending.
            name = name if PurePosixPath(name).suffix else f"{name}.mp3"
            audio = folder / "clips" / name
            splits[split].append(
                Candidate(
                    split=split,
                    where=row.where,
                    id=f"{folder.name}-{PurePosixPath(name).with_suffix('').as_posix().replace('/', '_')}",
                    audio=audio,
                    wav=f"$data_root/{audio.relative_to(data_root).as_posix()}",
                    sentence=row.fields["sentence"],
                    locale=row.fields.get("locale", ""),
                )
            )
    return Source(splits, drops, read_durations(folder / "clip_durations.tsv"))


def safe_name(name: str) -> bool:
    """Tell whether a clip's path stays inside the clips folder and cannot upset the manifest."""
    path = PurePosixPath(name)
    return (
        bool(name) and not path.is_absolute() and ".." not in path.parts and not set(name) & set("$\0\\\r\n")
    )
