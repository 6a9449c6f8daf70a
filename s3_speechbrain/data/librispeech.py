"""LibriSpeech and Libri-light's limited training sets turned into the same manifests."""

from pathlib import Path

from s3_speechbrain.data.preparation import (
    Options,
    Prepared,
    Source,
    find_finished,
    fingerprint,
    prepare_source,
    tables_digest,
)
from s3_speechbrain.data.validation import Candidate, Drop
from s3_speechbrain.errors import UserError

LIMITED = "librispeech_finetuning"
LIMITED_SETS = ("10min", "1h", "10h")
EVALUATION = ("dev-clean", "dev-other", "test-clean", "test-other")
LOCALE = "en"


def prepare_librispeech(
    data_folder: str | Path,
    save_folder: str | Path,
    train: str = "train-clean-100",
    dev: str = "dev-clean",
    test: str = "test-clean",
    *,
    fold: int = 0,
    train_minutes: float | None = None,
    seed: int = 1,
    limit: int | None = None,
    max_seconds: float = 40.0,
    min_seconds: float = 0.2,
    check_audio: bool = True,
    force: bool = False,
    progress: bool = True,
) -> dict[str, Prepared]:
    """Write the manifests of LibriSpeech with a full or a limited training set.

    Beside ``train``, ``dev`` and ``test``, those of dev-clean, dev-other, test-clean and test-other that are
    there and not used yet get a manifest under their own name, since results are reported on all of them.

    Parameters
    ----------
    data_folder : str or pathlib.Path
        Folder that holds ``LibriSpeech/`` (or its parts) and, for limited sets, ``librispeech_finetuning/``.
    save_folder : str or pathlib.Path
        Manifests go to ``<save_folder>/en/``.
    train : str
        ``10min``, ``1h`` or ``10h`` of Libri-light, or parts of LibriSpeech joined by "+", for example
        ``train-clean-100+train-clean-360``.
    dev, test : str
        Parts of LibriSpeech, joined by "+".
    fold : int
        Which of the six 10-minute sets (0 to 5).
    train_minutes, seed, limit, max_seconds, min_seconds, check_audio, force, progress
        As in `prepare_common_voice`. Training utterances are up to 35 s long, hence the higher `max_seconds`.

    Returns
    -------
    dict of str to Prepared
        One result under "en".

    Raises
    ------
    UserError
        When a part is missing or holds no usable utterance.
    """
    # The official sets share no speaker; their few common sentences ("chapter one") stay, to stay comparable.
    options = Options(train_minutes, seed, limit, min_seconds, max_seconds, True, check_audio, False)
    data, save = Path(data_folder).expanduser().absolute(), Path(save_folder).expanduser().absolute()
    if not data.is_dir():
        raise UserError(f"no such folder {data}: give the folder that holds LibriSpeech/")
    folders = {"train": _train_folders(data, train, fold)}
    for split, parts in (("dev", dev), ("test", test)):
        folders[split] = [_part(data, name) for name in parts.split("+")]
    used = {*dev.split("+"), *test.split("+")}
    folders |= {
        name: [_part(data, name)] for name in EVALUATION if name not in used and _has_part(data, name)
    }
    transcripts = {split: _transcripts(places) for split, places in folders.items()}
    facts = fingerprint(LOCALE, options, data, {})
    facts["parts"] = {"train": train, "dev": dev, "test": test, "fold": fold}
    facts["tables"] = {
        split: tables_digest({path.relative_to(data).as_posix(): path for path in paths})
        for split, paths in transcripts.items()
    }
    result = None if force else find_finished(save / LOCALE, facts)
    if result is None:
        source = _read_source(data, transcripts, complete_train=train not in LIMITED_SETS)
        result = prepare_source(source, LOCALE, save / LOCALE, facts, options, progress)
    return {LOCALE: result}


def _train_folders(data: Path, train: str, fold: int) -> list[Path]:
    """Find the folders of a training set. Libri-light keeps 10 min in 1h/N, 1 h in 1h, 9 h more in 9h."""
    if fold and train != "10min":
        raise UserError(
            f"fold {fold} is one of the six 10-minute sets, and train is {train}: leave --fold out"
        )
    if train not in LIMITED_SETS:
        return [_part(data, name) for name in train.split("+")]
    if fold not in range(6):
        raise UserError(f"fold must be 0 to 5, not {fold}: Libri-light has six 10-minute sets")
    root = next(
        (p for p in (data, data / LIMITED, *sorted(data.glob(f"*/{LIMITED}"))) if (p / "1h").is_dir()), None
    )
    if root is None:
        raise UserError(
            f"{data} holds no {LIMITED}/1h: unpack Libri-light's {LIMITED}.tgz there for train={train}"
        )
    wanted = [root / "1h" / str(fold)] if train == "10min" else [root / "1h"]
    wanted += [root / "9h"] if train == "10h" else []
    for folder in wanted:
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: unpack the whole of Libri-light's {LIMITED}.tgz again")
    return wanted


def _has_part(data: Path, name: str) -> bool:
    return any(folder.is_dir() for folder in _part_places(data, name))


def _part_places(data: Path, name: str) -> tuple[Path, Path]:
    return data / name, data / "LibriSpeech" / name


def _part(data: Path, name: str) -> Path:
    for folder in _part_places(data, name):
        if folder.is_dir():
            return folder
    raise UserError(f"{data} holds no LibriSpeech part {name!r}: unpack {name}.tar.gz there")


def _transcripts(folders: list[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.trans.txt"))


def _read_source(data: Path, transcripts: dict[str, list[Path]], complete_train: bool) -> Source:
    """Read transcripts; in limited sets a chapter's file may list utterances that the set leaves out."""
    splits: dict[str, list[Candidate]] = {}
    drops: list[Drop] = []
    for split, paths in transcripts.items():
        splits[split] = []
        for path in paths:
            for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
                where = f"{path}:{number}"
                if not raw.strip():
                    continue
                try:
                    name, _, sentence = raw.decode("utf-8").strip().partition(" ")
                except UnicodeDecodeError as error:
                    drops.append(
                        Drop(split, where, "invalid_utf8", "", f"byte {error.start}: {error.reason}")
                    )
                    continue
                audio = path.parent / f"{name}.flac"
                if split == "train" and not complete_train and not audio.exists():
                    continue
                wav = f"$data_root/{audio.relative_to(data).as_posix()}"
                splits[split].append(Candidate(split, where, name, audio, wav, sentence))
    return Source(splits, drops, {})
