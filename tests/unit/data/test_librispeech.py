import pytest
from cv_corpus import write_clip

from s3_speechbrain.data.librispeech import prepare_librispeech
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.errors import UserError


def write_chapter(folder, speaker, chapter, texts, silent=()):
    """A chapter with its transcript file; utterances in `silent` have no audio."""
    place = folder / speaker / chapter
    place.mkdir(parents=True, exist_ok=True)
    names = [f"{speaker}-{chapter}-{i:04d}" for i in range(len(texts))]
    (place / f"{speaker}-{chapter}.trans.txt").write_text(
        "".join(f"{name} {text}\n" for name, text in zip(names, texts, strict=True))
    )
    for i, name in enumerate(names):
        if i not in silent:
            write_clip(place / f"{name}.flac")


@pytest.fixture
def corpus(tmp_path):
    libri = tmp_path / "LibriSpeech"
    for speaker, part in enumerate(("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")):
        write_chapter(libri / part, str(speaker + 1), "10", ["IT'S A FINE DAY", "CHAPTER ONE"])
    limited = tmp_path / "librispeech_finetuning"
    for fold in range(6):
        write_chapter(
            limited / "1h" / str(fold) / "clean", f"2{fold}", "7", [f"FOLD {'ABCDEF'[fold]}", "LEFT OUT"], {1}
        )
    write_chapter(limited / "9h" / "other", "30", "8", ["NINE HOURS"])
    return tmp_path


def prepare(corpus, **options):
    return prepare_librispeech(corpus, corpus / "save", progress=False, **options)["en"]


def texts(prepared, split):
    return [row.text for row in read_manifest(prepared.csvs[split])]


def test_the_full_set_gives_every_evaluation_set_its_manifest(corpus):
    prepared = prepare(corpus)
    assert set(prepared.csvs) == {"train", "dev", "test", "dev-other", "test-other"}
    assert texts(prepared, "train") == ["it's a fine day", "chapter one"]
    assert texts(prepared, "test") == ["it's a fine day", "chapter one"]  # official sets stay as they are
    row = read_manifest(prepared.csvs["train"])[0]
    assert row.wav == "$data_root/LibriSpeech/train-clean-100/1/10/1-10-0000.flac"
    assert row.locale == "en"


@pytest.mark.parametrize(
    ("train", "fold", "expected"),
    [
        ("10min", 2, ["fold c"]),
        ("1h", 0, ["fold a", "fold b", "fold c", "fold d", "fold e", "fold f"]),
        ("10h", 0, ["fold a", "fold b", "fold c", "fold d", "fold e", "fold f", "nine hours"]),
    ],
)
def test_limited_sets_follow_libri_light(corpus, train, fold, expected):
    prepared = prepare(corpus, train=train, fold=fold)
    assert texts(prepared, "train") == expected
    assert prepared.report["dropped"] == []


def test_an_utterance_without_audio_is_found_in_a_full_set(corpus):
    next((corpus / "LibriSpeech" / "train-clean-100").rglob("*-0001.flac")).unlink()
    dropped = prepare(corpus).report["dropped"]
    assert [row["reason"] for row in dropped] == ["missing_audio"]
    assert dropped[0]["where"].endswith("1-10.trans.txt:2")


def test_the_same_options_do_nothing_and_another_set_starts_again(corpus):
    assert [prepare(corpus, train=t).skipped for t in ("10min", "10min", "1h")] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "train-other-500"}, "no LibriSpeech part 'train-other-500'"),
        ({"train": "10min", "fold": 6}, "fold must be 0 to 5"),
    ],
)
def test_missing_parts_are_told(corpus, options, message):
    with pytest.raises(UserError, match=message):
        prepare(corpus, **options)


def test_missing_limited_sets_are_told(corpus):
    (corpus / "librispeech_finetuning").rename(corpus / "away")
    with pytest.raises(UserError, match="librispeech_finetuning"):
        prepare(corpus, train="1h")


@pytest.mark.parametrize("train", ["1h", "train-clean-100"])
def test_a_fold_without_effect_is_refused(corpus, train):
    with pytest.raises(UserError, match="fold 3 is one of the six 10-minute sets"):
        prepare(corpus, train=train, fold=3)
