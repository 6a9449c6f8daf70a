"""Training clips were added to themselves when `unlabelled` named the folder of the same language."""

import pytest
from speech_corpus import SPLITS, settings_of, write_corpus

from s3_speechbrain.brains.corpus import load_corpus
from s3_speechbrain.brains.unlabelled import with_unlabelled
from s3_speechbrain.errors import UserError


@pytest.fixture
def hparams(tiny_corpus, tmp_path):
    """Settings of a run on a part of the training clips."""
    return {**settings_of(tiny_corpus, tmp_path), "unpack_folder": None, "train_minutes": 0.1}


def files(clips):
    return [clips.dataset.data[clip]["wav"].rsplit("/", 1)[1] for clip in clips.ids]


def test_each_clip_is_heard_once(hparams, tiny_corpus, tmp_path):
    corpus = load_corpus(hparams)
    labelled = corpus.clips["train"]
    assert 0 < len(labelled) < SPLITS["train"]
    (tmp_path / "link").symlink_to(tiny_corpus / "en")
    for folders in (["en"], ["en", "en/clips"], ["en/../en/clips"]):
        named = [str(tiny_corpus / folder) for folder in folders] + [str(tmp_path / "link")]
        clips = with_unlabelled({**hparams, "unlabelled": named}, corpus)
        assert sorted(files(clips)) == sorted(f"train_{i}.wav" for i in range(SPLITS["train"]))
        texts = {clip: clips.dataset.data[clip]["text"] for clip in clips.ids}
        assert {clip for clip, text in texts.items() if text} == set(labelled.ids)
    rest = with_unlabelled({**hparams, "unlabelled": "rest"}, corpus)
    assert sorted(files(rest)) == sorted(files(clips))


def test_audio_of_others_is_added(hparams, tmp_path):
    corpus = load_corpus(hparams)
    other = write_corpus(tmp_path / "other", "fr")
    clips = with_unlabelled({**hparams, "unlabelled": [str(other)]}, corpus)
    assert len(clips) == len(corpus.clips["train"]) + SPLITS["train"]


def test_folders_of_nothing_but_labelled_clips_are_refused(hparams, tiny_corpus):
    whole = {**hparams, "train_minutes": None}
    with pytest.raises(UserError, match="hold nothing beside the 12 labelled clips"):
        with_unlabelled({**whole, "unlabelled": [str(tiny_corpus)]}, load_corpus(whole))
