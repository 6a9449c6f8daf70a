import json

import numpy as np
import pytest

from s3_speechbrain.analysis import inventories
from s3_speechbrain.analysis.__main__ import main
from s3_speechbrain.analysis.inventories import (
    between_languages,
    inventory,
    inventory_cosine,
    relate,
    texts_by_language,
)
from s3_speechbrain.data.manifest import Utterance, write_manifest
from s3_speechbrain.errors import UserError

KAPPA = {("es", "it"): 0.3, ("es", "ru"): 0.1, ("it", "ru"): 0.2}


@pytest.fixture
def found():
    """A comparison of three languages, Spanish with two seeds."""
    masks = [
        {"label": str(index), "language": language} for index, language in enumerate(("es", "it", "ru", "es"))
    ]
    pairs = []
    for first in range(4):
        for second in range(first + 1, 4):
            languages = tuple(sorted((masks[first]["language"], masks[second]["language"])))
            value = KAPPA.get(languages, 0.9) + (0.1 if second == 3 else 0.0)
            pairs.append(
                {"first": first, "second": second, "total": dict.fromkeys(inventories.MEASURES, value)}
            )
    return {"masks": masks, "pairs": pairs}


def test_rare_phones_are_no_part_of_an_inventory():
    assert inventory(["a b", "a tʃ", "a"], least=2) == {"a"}
    assert inventory(["a b", "a tʃ", "a"], least=1) == {"a", "b", "tʃ"}


def test_the_cosine_of_inventories_worked_by_hand():
    found = inventory_cosine([{"a", "b", "c", "d"}, {"a"}, {"x"}])
    np.testing.assert_allclose(found, [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])


def test_likeness_is_averaged_over_seeds_and_within_a_language_left_out(found):
    matrix = between_languages(found, "kappa", ["es", "it", "ru"])
    np.testing.assert_allclose(matrix, [[1, 0.35, 0.15], [0.35, 1, 0.2], [0.15, 0.2, 1]])


@pytest.fixture
def manifests(tmp_path, monkeypatch):
    spoken = {"es": "a b c", "it": "a b d", "ru": "x y d"}
    for language, text in spoken.items():
        write_manifest(
            tmp_path / "m" / language / "train.csv", [Utterance("1", 1.0, "$data_root/a.wav", language, text)]
        )
    monkeypatch.setattr(
        inventories,
        "phones_of",
        lambda texts, language, cache: {text: " ".join([text] * 5) for text in texts},
    )
    return tmp_path / "m"


def test_masks_are_related_to_inventories(found, manifests, tmp_path):
    result = relate(found, texts_by_language([manifests]), tmp_path)
    assert result["languages"] == ["es", "it", "ru"]
    assert result["phones"] == {"es": 3, "it": 3, "ru": 3}
    # inventories: es-it 2/3, es-ru 0, it-ru 1/3; kappa: 0.35, 0.15, 0.2
    test = result["masks"]["kappa"]["pearson"]
    assert test["correlation"] == pytest.approx(np.corrcoef([2 / 3, 0, 1 / 3], [0.35, 0.15, 0.2])[0, 1])
    assert (test["permutations"], test["exact"]) == (6, True)
    assert result["masks"]["kappa"]["spearman"]["correlation"] == pytest.approx(1)


def test_the_command_writes_data_and_a_page(found, manifests, tmp_path):
    (tmp_path / "overlap.json").write_text(json.dumps(found))
    main(["relate", str(tmp_path / "overlap.json"), str(manifests), "--out", str(tmp_path / "out")])
    assert json.loads((tmp_path / "out" / "relation.json").read_text())["languages"] == ["es", "it", "ru"]
    assert "| kappa | spearman | 1.000 |" in (tmp_path / "out" / "relation.md").read_text()


def test_too_few_languages_or_no_manifests_are_told(found, manifests, tmp_path):
    with pytest.raises(UserError, match="give at least three"):
        relate(found, {"es": ["a"], "it": ["a"]}, tmp_path)
    with pytest.raises(UserError, match="no manifest"):
        texts_by_language([tmp_path / "nothing"])
