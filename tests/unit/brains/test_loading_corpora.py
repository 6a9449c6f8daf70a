"""From a folder of speech to what a Brain trains on: one tokenizer, its splits, and a record of which data it was."""

import pytest
from cv_corpus import line, write_clip, write_table
from speech_corpus import SPLITS, WORDS, settings_of, write_corpus, write_librispeech

from s3_speechbrain.brains.corpus import load_corpora, load_corpus, name_of
from s3_speechbrain.errors import UserError


@pytest.fixture
def hparams(tiny_corpus, tmp_path):
    """Settings of a run on it."""
    return settings_of(tiny_corpus, tmp_path)


def test_splits_names_and_minutes_are_those_of_the_folder(hparams):
    corpus = load_corpus(hparams)
    assert {name: len(clips.ids) for name, clips in corpus.clips.items()} == SPLITS
    assert (corpus.name, corpus.language) == ("tones", "en")
    seconds = 12 * 8 * 0.12  # twelve sentences of eight tones
    assert corpus.train_minutes == pytest.approx(seconds / 60, rel=1e-3)


def test_manifests_are_portable_but_clips_are_found(hparams, tmp_path, tiny_corpus):
    corpus = load_corpus(hparams)
    manifest = (tmp_path / "run" / "manifests" / "en" / "train.csv").read_text()
    assert str(tiny_corpus) not in manifest
    clips = corpus.clips["train"]
    assert clips.dataset.data[clips.ids[0]]["wav"].startswith(str(tiny_corpus))


def test_the_tokenizer_knows_the_letters_of_training_alone(tmp_path, hparams):
    root = write_corpus(tmp_path / "data")
    write_clip(root / "en" / "clips" / "new.wav")
    write_table(root / "en" / "test.tsv", [line("new.wav", "zebra quiz")])
    corpus = load_corpus({**hparams, "data_folder": root})
    assert corpus.tokenizer.labels == ["", " ", *sorted(set("".join(WORDS)))]
    assert (tmp_path / "run" / "characters.txt").is_file()


def test_the_hash_tells_other_data_apart(hparams, tmp_path):
    first = load_corpus(hparams).sha256
    assert load_corpus(hparams).sha256 == first
    other = {**hparams, "manifest_folder": str(tmp_path / "other"), "limit": 3}
    limited = load_corpus(other)
    assert limited.sha256 != first
    assert len(limited.clips["train"].ids) == 3


def test_a_training_subset_is_drawn_by_its_seed(hparams, tmp_path):
    def drawn(folder, seed):
        options = {"manifest_folder": str(tmp_path / folder), "train_minutes": 0.08, "subset_seed": seed}
        corpus = load_corpus({**hparams, **options})
        return corpus.train_minutes, sorted(corpus.clips["train"].ids)

    minutes, ids = drawn("a", 1)
    assert minutes == pytest.approx(0.08, abs=0.02)
    assert 0 < len(ids) < SPLITS["train"]
    assert drawn("b", 1)[1] == ids
    assert drawn("c", 2)[1] != ids


def test_pieces_are_learned_and_kept_in_the_run(hparams, tmp_path):
    corpus = load_corpus({**hparams, "tokenizer": "sentencepiece"})
    assert len(corpus.tokenizer.labels) == 12 + 1  # and the blank
    text = " ".join(WORDS[:3])
    assert corpus.tokenizer.decode(corpus.tokenizer.encode(text)) == text
    assert (tmp_path / "run" / "pieces.model").is_file()


def test_further_options_reach_the_preparation(hparams):
    with pytest.raises(UserError, match="train"):  # nothing is as short as that
        load_corpus({**hparams, "prepare": {"max_seconds": 0.3}})


def test_librispeech_brings_its_other_test_set(hparams, tmp_path):
    root = write_librispeech(tmp_path / "libri")
    changes = {"corpus": "librispeech", "data_folder": root, "prepare": {"train": "10min"}}
    corpus = load_corpus({**hparams, **changes, "extra_tests": ["test-other"]})
    assert {"train", "dev", "test", "test-other"} == set(corpus.clips)


def test_languages_share_a_vocabulary_only_if_asked(hparams, tmp_path):
    root = write_corpus(tmp_path / "data")
    write_corpus(tmp_path / "data", "fr")
    rows = [line(f"train_{number}.wav", f"élan {word}", "fr") for number, word in enumerate(WORDS)]
    write_table(root / "fr" / "train.tsv", rows)
    hparams["data_folder"] = root
    own = load_corpora(hparams, ["en", "fr"])
    assert "é" in own["fr"].tokenizer.labels
    assert "é" not in own["en"].tokenizer.labels
    assert (tmp_path / "run" / "fr" / "characters.txt").is_file()
    shared = load_corpora(
        {**hparams, "output_folder": str(tmp_path / "one")}, ["en", "fr"], shared_vocabulary=True
    )
    assert shared["en"].tokenizer is shared["fr"].tokenizer
    assert set(shared["en"].tokenizer.labels) == {*own["en"].tokenizer.labels, *own["fr"].tokenizer.labels}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": "timit"}, "corpus is 'timit': choose one of common_voice, librispeech"),
        ({"data_folder": "/no/such/place"}, "no data folder /no/such/place: give --data_folder"),
        (
            {"prepare": {"max_second": 3}},
            "prepare has the unknown option 'max_second': common_voice knows .*max_seconds",
        ),
        ({"extra_tests": ["noisy"]}, "extra_tests names 'noisy': this data has dev, test, train"),
        ({"tokenizer": "words"}, "tokenizer is 'words': choose characters, sentencepiece or phones"),
        ({"tokenizer": "phones", "searcher": object()}, "leave it out for phones"),
        ({"language": "de"}, "de"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(hparams, changes, message):
    with pytest.raises(UserError, match=message) as error:
        load_corpus({**hparams, **changes})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("data/prompts", "prompts"),
        ("cv-corpus-25.0-2026-03-09-tr.tar.gz", "cv-corpus-25.0-2026-03-09-tr"),
        ("speech.tar", "speech"),
        ("my.tar.folder", "my.tar.folder"),
    ],
)
def test_a_corpus_is_called_like_its_folder_or_archive(folder, name):
    assert name_of(folder) == name
