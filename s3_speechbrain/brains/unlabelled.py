"""Audio without transcripts beside a corpus: the rest of its training set, or folders of audio."""

from collections.abc import Mapping
from pathlib import Path

import soundfile

from s3_speechbrain.brains.batches import Clips, make_dataset
from s3_speechbrain.brains.corpus import Corpus, load_corpus
from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.corpus import find_audio

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
        Those of ``corpus.clips["train"]`` themselves if there is nothing to add.

    Raises
    ------
    UserError
        If a folder is missing or holds no audio.
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
    elif isinstance(wanted, str):
        raise UserError(f"unlabelled is {wanted!r}: give {REST}, or a list of folders")
    else:
        more = _from_folders(wanted)
    more = {clip: row for clip, row in more.items() if clip not in labelled}
    if not more:
        raise UserError(
            f"unlabelled: the training subset holds all {len(labelled)} clips, so nothing is left; give folders of "
            'audio instead, as --unlabelled "[FOLDER, FOLDER]"'
        )
    silent = {clip: {**row, "text": ""} for clip, row in more.items()}
    return Clips(make_dataset({**labelled, **silent}, corpus.tokenizer))


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
