"""Audio without transcripts beside a corpus: the rest of its training set, or folders of audio."""

from collections.abc import Mapping
from pathlib import Path

import soundfile

from s3_speechbrain.brains.batches import Clips, make_dataset
from s3_speechbrain.brains.corpus import Corpus, load_corpus
from s3_speechbrain.data.audio_folders import find_audio
from s3_speechbrain.errors import UserError

REST = "rest"
LONGEST = 30.0  # seconds; longer files are left out


def with_unlabelled(hparams: Mapping, corpus: Corpus) -> Clips:
    """Return the training clips together with audio that is used without its transcripts.

    Parameters
    ----------
    hparams : mapping
        Those of `load_corpus`, and ``unlabelled``: null for none, ``rest`` for the training clips outside the
        subset, or a list of folders of audio (dev and test clips of Common Voice layouts stay unheard).
    corpus : Corpus
        The labelled data.

    Returns
    -------
    Clips
        Those of ``corpus.clips["train"]`` themselves if nothing is wanted; else each file of audio once.

    Raises
    ------
    UserError
        If a folder is missing or holds no audio, or nothing but labelled clips.
    """
    wanted, train = hparams["unlabelled"], corpus.clips["train"]
    if not wanted:
        return train
    labelled = {clip: dict(train.dataset.data[clip]) for clip in train.ids}
    if wanted == REST:
        manifests = Path(hparams["manifest_folder"]) / "all"
        every = load_corpus({**hparams, "train_minutes": None, "manifest_folder": str(manifests)}).clips[
            "train"
        ]
        more = {clip: dict(every.dataset.data[clip]) for clip in every.ids}
    else:
        check_unlabelled(wanted)
        more = _from_folders(wanted)
    silent = _new(more, labelled)
    if not silent:
        why = "the training subset holds all" if wanted == REST else "the folders hold nothing beside the"
        raise UserError(
            f"unlabelled: {why} {len(labelled)} labelled clips; give folders of other audio, as "
            '--unlabelled "[FOLDER, FOLDER]"'
        )
    return Clips(make_dataset({**labelled, **silent}, corpus.tokenizer))


def check_unlabelled(wanted: str | list[str] | None) -> None:
    """Refuse what `with_unlabelled` could not read, before anything is trained.

    Raises
    ------
    UserError
        If a folder is missing or holds no audio, or a text is none of the known ones.
    """
    if isinstance(wanted, str) and wanted != REST:
        raise UserError(f"unlabelled is {wanted!r}: give {REST}, or a list of folders")
    for folder in wanted or () if wanted != REST else ():
        find_audio(folder)


def _new(more: Mapping[str, dict], labelled: Mapping[str, dict]) -> dict[str, dict]:
    """Return the rows whose audio is not labelled, each file once, without their text."""
    # By file, since clips from folders have no names of the manifest; by name as well, since the whole training
    # set may have been unpacked to a folder of its own.
    heard, new = {Path(row["wav"]).resolve() for row in labelled.values()}, {}
    for clip, row in more.items():
        file = Path(row["wav"]).resolve()
        if clip not in labelled and file not in heard:
            new[clip] = {**row, "text": ""}
        heard.add(file)
    return new


def _from_folders(folders: list[str]) -> dict[str, dict]:
    rows = {}
    for path in (path for folder in folders for path in find_audio(folder)):
        try:
            seconds = soundfile.info(path).duration
        except (RuntimeError, OSError):
            continue
        if 0 < seconds <= LONGEST:
            rows[str(path)] = {"duration": seconds, "wav": str(path), "text": ""}
    return rows
