"""Labelled data sets: the built-in one, folders, GLUE."""

import csv
import hashlib
import io
import json
import sys
import tarfile

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.text import reviews
from s3_speechbrain.text.tasks import GLUE, load_glue, load_task

RATINGS = {
    "movieReviewSnippets": "1\t2.5\tGood film.\n2\t-2.5\tBad film.\n3\t0.4\tA film.\n4\t-1.0\tgood  film.\n",
    "amazonReviewSnippets": "".join(
        f"{doc}_{n}\t{1 - 2 * (n % 2)}.5\titem {doc} {n}\n" for doc in range(60) for n in (1, 2)
    ),
    "nytEditorialSnippets": "1_1\t0.5\tFine.\n1_2\t-0.5\tSad.\n",
    "tweets": "1\t3.0\tsmile\n",
}


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    inner = packed(
        {f"hutto_ICWSM_2014/{stem}_GroundTruth.txt": text.encode() for stem, text in RATINGS.items()}
    )
    content = packed({reviews.INNER: inner})
    monkeypatch.setattr(reviews, "SHA256", hashlib.sha256(content).hexdigest())
    (tmp_path / "source.tar.gz").write_bytes(content)
    return tmp_path / "source.tar.gz"


def rows_of(folder):
    rows = {}
    for split in ("train", "dev", "test"):
        with (folder / f"{split}.tsv").open(newline="") as file:
            rows[split] = list(csv.DictReader(file, delimiter="\t"))
    return rows


def test_ratings_become_labels_and_neutral_or_repeated_sentences_go(archive, tmp_path):
    report = reviews.prepare_reviews(tmp_path / "out", ["movie", "nyt"], archive)
    rows = [row for split in rows_of(tmp_path / "out" / "movie").values() for row in split]
    assert {(row["text"], row["label"]) for row in rows} == {("Good film.", "1"), ("Bad film.", "0")}
    assert report["movie"]["left_out"] == {"neutral": 1, "repeated": 1}
    assert report["nyt"]["left_out"] == {"neutral": 0, "repeated": 0}  # 0.5 is not neutral
    assert json.loads((tmp_path / "out" / "movie" / "report.json").read_text())["source"] == reviews.PACKAGE


def test_sentences_of_one_review_stay_in_one_split(archive, tmp_path):
    reviews.prepare_reviews(tmp_path / "out", ["amazon"], archive)
    rows = rows_of(tmp_path / "out" / "amazon")
    places = {}
    for split, found in rows.items():
        for row in found:
            places.setdefault(row["id"].split("_")[0], set()).add(split)
    assert len(places) == 60
    assert all(len(splits) == 1 for splits in places.values())
    assert len(rows["train"]) > len(rows["dev"]) > 0 < len(rows["test"])


def test_preparing_again_gives_the_same_files(archive, tmp_path):
    for name in ("a", "b"):
        reviews.prepare_reviews(tmp_path / name, ["amazon"], archive)
    assert rows_of(tmp_path / "a" / "amazon") == rows_of(tmp_path / "b" / "amazon")


def test_another_archive_or_set_is_refused(archive, tmp_path):
    archive.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the source of"):
        reviews.prepare_reviews(tmp_path / "out", ["movie"], archive)
    with pytest.raises(UserError, match="movie, amazon, nyt, tweets"):
        reviews.prepare_reviews(tmp_path / "out", ["books"], archive)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 6), ("dev", 2), ("test", 2)):
        lines = [f"{number % 2}\t{split} text {number}" for number in range(count)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(["label\ttext", *lines]) + "\n")
    return tmp_path


def test_a_folder_is_read_and_a_subset_is_drawn_by_seed(folder):
    task = load_task(str(folder), "toy")
    assert (task.name, task.labels, len(task.rows["train"])) == ("toy", 2, 6)
    assert task.rows["dev"][0] == ("dev text 0", None, 0)
    first, again, other = (load_task(str(folder), "toy", 3, seed) for seed in (1, 1, 2))
    assert first.rows == again.rows
    assert len(first.rows["train"]) == 3
    assert first.rows["train"] != other.rows["train"]
    assert first.sha256 != task.sha256


def test_pairs_have_a_second_text(folder):
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text("label\ttext\ttext2\n0\ta\tb\n")
    assert load_task(str(folder), "toy").rows["train"] == [("a", "b", 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no table"),
        ("id\ttext\n1\ta\n", "lacks the columns"),
        ("label\ttext\n", "holds no rows"),
        ("label\ttext\nx\ta\n", r"train.tsv:2 has label 'x'"),
        ("label\ttext\n0\ta\n1\t \n", r"train.tsv:3 has label '1' and text ' '"),
    ],
)
def test_wrong_tables_are_told_with_their_line(folder, content, message):
    (folder / "train.tsv").unlink()
    if content is not None:
        (folder / "train.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        load_task(str(folder), "toy")


def glue(path, name):
    assert path == "nyu-mll/glue"
    first, second = GLUE[name]

    def rows(word, count):
        return [
            {first: f"{word} {n}", **({second: "so"} if second else {}), "label": n % 2} for n in range(count)
        ]

    return {
        "train": rows("train", 400),
        "validation": rows("v", 3),
        "validation_matched": rows("m", 5),
        "test": [],
    }


def test_glue_tests_on_its_validation_split_and_chooses_on_a_tenth_of_train():
    rows = load_glue("sst2", glue)
    assert rows["test"] == [("v 0", None, 0), ("v 1", None, 1), ("v 2", None, 0)]
    assert len(rows["train"]) + len(rows["dev"]) == 400
    assert 20 <= len(rows["dev"]) <= 70
    assert not set(rows["train"]) & set(rows["dev"])
    assert load_glue("mnli", glue)["test"][0] == ("m 0", "so", 0)


def test_glue_that_cannot_be_had_is_told(monkeypatch):
    def offline(path, name):
        raise ConnectionError("no route to host")

    with pytest.raises(UserError, match="no route to host"):
        load_glue("rte", offline)
    with pytest.raises(UserError, match="choose one of cola, sst2"):
        load_glue("squad")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 's3-speechbrain\[text\]'"):
        load_glue("rte")
