"""The overlap of every pair of masks, in total and by part of the network, as plain data."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from s3_speechbrain.analysis.association import grouping
from s3_speechbrain.analysis.overlap import COUNTS, MEASURES, Overlap, grouped, overlaps, total
from s3_speechbrain.analysis.sources import FACTS, MaskSet
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import group_of, is_matrix, layer_index

NULL = (
    "within every matrix, the kept positions of one mask are a uniformly random set of their number "
    "(hypergeometric counts, independent between matrices)"
)


def _by_layer(name: str) -> str:
    index = layer_index(name)
    return "other" if index is None else str(index)


def _by_kind(name: str) -> str:
    # weights go by the name of their layer, but not biases, nor XLNet's bare matrices (rel_attn.q)
    inside = name.endswith(".bias") or is_matrix(name)
    return group_of(name.rpartition(".")[0] if inside else name) or "other"


PARTS: dict[str, Callable[[str], str]] = {"layer": _by_layer, "kind": _by_kind, "matrix": str}


def compare(
    sets: Sequence[MaskSet],
    by: str = "layer",
    given: MaskSet | None = None,
    progress: Callable[[list], Any] = iter,
) -> dict[str, Any]:
    """Compare every pair of sets of masks.

    Parameters
    ----------
    sets : sequence of MaskSet
        Labelled, two or more, of one backbone.
    by : str
        Which parts are shown beside the total: ``layer``, ``kind`` (attention, ffn, ...) or ``matrix``.
    given : MaskSet, optional
        Masks that chance is conditioned on, see `overlap_of`; for example those that all runs started from.
    progress : callable
        Wraps the list of pairs in a progress bar.

    Returns
    -------
    dict
        ``null`` (the hypothesis in words), ``by``, ``masks`` (one dict per set) and ``pairs`` (``first``,
        ``second``: indices into masks; ``matrices``: how many were compared; ``total`` and ``parts``: counts
        and all `MEASURES`, null where one is not defined; ``chance_range``, ``chance_removed_range``: the
        middle 95 % under the null hypothesis).

    Raises
    ------
    UserError
        If there are fewer than two sets, the backbones differ, or two sets share no matrix.
    """
    if by not in PARTS:
        raise UserError(f"by is {by!r}: choose one of {', '.join(PARTS)}")
    if len(sets) < 2:
        raise UserError("one set of masks is nothing to compare: give two runs or more")
    backbones = sorted({str(each.facts["backbone"]) for each in sets if "backbone" in each.facts})
    if len(backbones) > 1:
        raise UserError(f"masks of {' and '.join(backbones)} do not compare: give runs of one backbone")
    pairs = []
    for first, second in progress(list(itertools.combinations(range(len(sets)), 2))):
        matrices = overlaps(sets[first].masks, sets[second].masks, given and given.masks)
        whole = total(matrices.values())
        pairs.append(
            {
                "first": first,
                "second": second,
                "matrices": len(matrices),
                "total": _plain(whole),
                "parts": {name: _plain(part) for name, part in grouped(matrices, PARTS[by]).items()},
                "chance_range": list(whole.chance_range),
                "chance_removed_range": list(whole.chance_removed_range),
            }
        )
    null = NULL if given is None else f"{NULL}, separately among what {given.label} keeps and what it removes"
    return {"null": null, "by": by, "masks": [_described(each) for each in sets], "pairs": pairs}


def _plain(part: Overlap) -> dict[str, float | int | None]:
    counts = {name: getattr(part, name) for name in COUNTS}
    measures = {name: getattr(part, name) for name in MEASURES}
    return counts | {name: None if math.isnan(value) else value for name, value in measures.items()}


def _described(masks: MaskSet) -> dict[str, Any]:
    return {
        "label": masks.label,
        "matrices": len(masks.masks),
        "entries": masks.entries,
        "kept": masks.kept,
        **{name: masks.facts[name] for name in FACTS if name in masks.facts and name != "sparsity"},
        "sparsity": 1 - masks.kept / masks.entries,
    }


def matrix_of(found: Mapping[str, Any], measure: str) -> np.ndarray:
    """Return one measure of all pairs as a symmetric matrix.

    Parameters
    ----------
    found : mapping
        From `compare`.
    measure : str
        One of `MEASURES`.

    Returns
    -------
    array of float64, shape (masks, masks)
        1 on the diagonal, nan where the measure is not defined.
    """
    size = len(found["masks"])
    matrix = np.eye(size)
    for pair in found["pairs"]:
        value = pair["total"][measure]
        place = pair["first"], pair["second"]
        matrix[place] = matrix[place[::-1]] = math.nan if value is None else value
    return matrix


def group_tests(found: Mapping[str, Any], draws: int = 9999, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Test, for each fact with groups in it, whether masks within a group are more alike (kappa).

    Parameters
    ----------
    found : mapping
        From `compare`.
    draws, seed : int
        Of `grouping`.

    Returns
    -------
    dict
        By fact (``language``, ``method``, ``seed``): ``difference`` of mean kappa within and between groups,
        ``p``, ``permutations``, ``exact``. Facts that put all pairs on one side are left out.
    """
    tests = {}
    for fact in ("language", "method", "seed"):
        groups = [str(masks.get(fact)) for masks in found["masks"]]
        known = all(fact in masks for masks in found["masks"])
        if not known or len(groups) < 4 or not 1 < len(set(groups)) < len(groups):
            continue
        result = grouping(matrix_of(found, "kappa"), groups, draws, seed)
        tests[fact] = {
            "difference": result.statistic,
            "p": result.p,
            "permutations": result.permutations,
            "exact": result.exact,
        }
    return tests
