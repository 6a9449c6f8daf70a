"""Relating masks to inventories ended in a TypeError where a measure of two masks is null (both full or both empty)."""

import json

import numpy as np
import pytest

from s3_speechbrain.analysis import inventories
from s3_speechbrain.analysis.__main__ import main
from s3_speechbrain.data.manifest import Utterance, write_manifest

LANGUAGES = ("es", "it", "ru")


@pytest.fixture
def found():
    """A comparison of three runs, of which the first two are not comparable by kappa."""
    values = dict.fromkeys(inventories.MEASURES, 0.5)
    pairs = [((0, 1), {**values, "kappa": None}), ((0, 2), values), ((1, 2), values)]
    return {
        "masks": [{"label": language, "language": language} for language in LANGUAGES],
        "pairs": [{"first": first, "second": second, "total": total} for (first, second), total in pairs],
    }


def test_it_is_not_a_number_for_the_two_languages(found):
    matrix = inventories.between_languages(found, "kappa", LANGUAGES)
    np.testing.assert_array_equal(matrix, [[1, np.nan, 0.5], [np.nan, 1, 0.5], [0.5, 0.5, 1]])


def test_the_command_tells_what_to_do(found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        inventories, "phones_of", lambda texts, language, _: dict.fromkeys(texts, f"{language} a " * 5)
    )
    for language in LANGUAGES:
        row = Utterance("1", 1.0, "$data_root/a.wav", language, "hello")
        write_manifest(tmp_path / "manifests" / language / "train.csv", [row])
    (tmp_path / "overlap.json").write_text(json.dumps(found))
    with pytest.raises(SystemExit):
        main(
            [
                "relate",
                *(str(tmp_path / name) for name in ("overlap.json", "manifests")),
                "--out",
                str(tmp_path),
            ]
        )
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: a likeness is not defined for some pair (an empty or full mask): leave that mask out"
    )
