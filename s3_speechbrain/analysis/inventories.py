"""Which phones languages share, and whether their masks go along with it (S3-Router's analysis).

Inventories here are what espeak-ng pronounces in a corpus, not the expert lists (PHOIBLE) of the paper.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s3_speechbrain.analysis.association import KINDS, mantel
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.data.phones import phones_of
from s3_speechbrain.errors import UserError

MEASURES = ("kappa", "iou", "removed_iou", "cosine")
LEAST = 5  # times that a phone occurs; rarer ones are mostly those of foreign words


def inventory(spoken: Iterable[str], least: int = LEAST) -> set[str]:
    """Collect the phones of a language.

    Parameters
    ----------
    spoken : iterable of str
        Phones with spaces between them.
    least : int
        Phones that occur less often are left out.

    Returns
    -------
    set of str
        The inventory.
    """
    counts = Counter(phone for text in spoken for phone in text.split())
    return {phone for phone, count in counts.items() if count >= least}


def inventory_cosine(inventories: Sequence[set[str]]) -> np.ndarray:
    """Compare inventories as vectors of 0 and 1.

    Parameters
    ----------
    inventories : sequence of set of str
        One per language, none empty.

    Returns
    -------
    array of float64, shape (languages, languages)
        ``|A and B| / sqrt(|A| |B|)``.
    """
    shared = np.array([[len(first & second) for second in inventories] for first in inventories], np.float64)
    sizes = np.sqrt(np.diag(shared))
    return shared / np.outer(sizes, sizes)


def between_languages(found: Mapping[str, Any], measure: str, languages: Sequence[str]) -> np.ndarray:
    """Average a measure over all pairs of masks of two languages.

    Parameters
    ----------
    found : mapping
        From `compare`; its masks name their languages.
    measure : str
        One of the measures there.
    languages : sequence of str
        Each with at least one mask.

    Returns
    -------
    array of float64, shape (languages, languages)
        1 on the diagonal; nan where two languages have no pair, or one for which the measure is not defined.
    """
    place = {language: index for index, language in enumerate(languages)}
    sums, counts = np.zeros((2, len(languages), len(languages)))
    for pair in found["pairs"]:
        first, second = (
            place.get(found["masks"][pair[side]].get("language")) for side in ("first", "second")
        )
        if first is not None and second is not None and first != second:
            value = pair["total"][measure]
            for row, column in ((first, second), (second, first)):
                sums[row, column] += math.nan if value is None else value
                counts[row, column] += 1
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    np.fill_diagonal(means, 1)
    return means


def texts_by_language(folders: Iterable[str | Path]) -> dict[str, set[str]]:
    """Read the transcripts of manifests, by language.

    Raises
    ------
    UserError
        If a folder has no manifest below it.
    """
    texts: dict[str, set[str]] = {}
    for folder in folders:
        files = sorted(Path(folder).rglob("*.csv"))
        if not files:
            raise UserError(f"no manifest (*.csv) below {folder}: give the manifests folder of a run")
        for file in files:
            for row in read_manifest(file):
                texts.setdefault(row.locale, set()).add(row.text)
    return texts


def relate(found: Mapping[str, Any], texts: Mapping[str, Iterable[str]], cache: Path) -> dict[str, Any]:
    """Correlate the likeness of masks with that of phone inventories, over pairs of languages.

    Parameters
    ----------
    found : mapping
        From `compare`.
    texts : mapping
        Language to transcripts.
    cache : Path
        Folder in which phones are kept.

    Returns
    -------
    dict
        ``languages``, ``phones`` (sizes of inventories), ``inventory_cosine`` (matrix), and below ``masks`` for each
        measure its ``matrix`` and for Pearson and Spearman the ``correlation`` with its Mantel test (``p``,
        ``permutations``, ``exact``).

    Raises
    ------
    UserError
        If fewer than three languages have masks and transcripts, or a measure is not defined for two of them.
    """
    if not isinstance(found.get("masks"), list):
        raise UserError("the file of overlaps holds no masks: give the overlap.json that `overlap` writes")
    with_masks = {masks.get("language") for masks in found["masks"]}
    languages = sorted(with_masks & texts.keys())
    if len(languages) < 3:
        raise UserError(f"masks and manifests share the languages {languages}: give at least three")
    inventories = []
    for language in languages:
        spoken = phones_of(texts[language], language, cache / f"phones-{language}.json").values()
        inventories.append(inventory(text for text in spoken if text))
    phones = inventory_cosine(inventories)
    masks = {}
    for measure in MEASURES:
        matrix = between_languages(found, measure, languages)
        tests = {kind: mantel(phones, matrix, kind) for kind in KINDS}
        masks[measure] = {
            "matrix": matrix.tolist(),
            **{
                kind: {
                    "correlation": test.statistic,
                    "p": test.p,
                    "permutations": test.permutations,
                    "exact": test.exact,
                }
                for kind, test in tests.items()
            },
        }
    sizes = {language: len(one) for language, one in zip(languages, inventories, strict=True)}
    return {"languages": languages, "phones": sizes, "inventory_cosine": phones.tolist(), "masks": masks}
