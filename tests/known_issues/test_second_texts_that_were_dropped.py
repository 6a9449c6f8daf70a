"""Pairs lost their second texts where the first row of a split had none; the reverse gave a list with None in it."""

import pytest

from s3_speechbrain.errors import UserError
from s3_speechbrain.text import load_task

PAIRS, SINGLE = "label\ttext\ttext2\n0\ta\tb\n1\tc\td\n", "label\ttext\n0\ta\n1\tb\n"


@pytest.fixture
def load(tmp_path):
    def load(train, dev=None):
        for split, content in (("train", train), ("dev", dev or train), ("test", train)):
            (tmp_path / f"{split}.tsv").write_text(content)
        return load_task(str(tmp_path), "toy").rows

    return load


def test_all_rows_are_pairs_or_none_is(load):
    assert load(PAIRS)["dev"] == [("a", "b", 0), ("c", "d", 1)]
    assert load(SINGLE)["dev"] == [("a", None, 0), ("b", None, 1)]
    assert load("label\ttext\ttext2\n0\ta\t\n")["dev"] == [("a", None, 0)]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (["label\ttext\ttext2\n0\ta\t\n1\tc\td\n"], r"train.tsv:3 has a text2, unlike the first row"),
        (["label\ttext\ttext2\n0\ta\tb\n1\tc\t\n"], r"train.tsv:3 has no text2, unlike the first row"),
        (["label\ttext\ttext2\n0\ta\tb\n1\tc\n"], r"train.tsv:3 has no text2"),
        (["label\ttext\ttext2\n0\ta\tb\n1\tc\t \n"], r"train.tsv:3 has no text2"),
        ([PAIRS, SINGLE], r"dev.tsv:2 has no text2"),
        ([SINGLE, PAIRS], r"dev.tsv:2 has a text2"),
    ],
)
def test_a_mixture_is_told_with_its_line(load, tables, message):
    with pytest.raises(UserError, match=message):
        load(*tables)
