"""What thresholds that train have learned: how much each kind of matrix loses."""

import statistics
from collections.abc import Sequence

from s3_speechbrain.report.claims.choosing import built_in, place_name, removed
from s3_speechbrain.report.runs import Evidence, Run
from s3_speechbrain.report.tables import Table, markdown, number

METHOD = "mask_by_threshold"
NOTHING = "No run with thresholds that train yet."


def kind_and_layer(name: str) -> tuple[str, int]:
    """Split the dotted name of a masked layer.

    Examples
    --------
    >>> kind_and_layer("model.encoder.layers.3.attention.k_proj")
    ('attention.k_proj', 3)
    """
    parts = name.split(".")
    place = next(place for place, part in enumerate(parts) if part.isdigit())
    return ".".join(parts[place + 1 :]), int(parts[place])


def _means(runs: Sequence[Run], part: int) -> dict[str | int, float]:
    """Average the sparsities over runs and matrices, by kind of matrix (part 0) or by layer (part 1)."""
    found: dict[str | int, list[float]] = {}
    for run in runs:
        for name, share in run["per_layer_sparsity"].items():
            found.setdefault(kind_and_layer(name)[part], []).append(share)
    return {key: statistics.fmean(shares) for key, shares in found.items()}


def learned_sparsity(evidence: Evidence) -> str:
    """Make the section: a row per language and sparsity, its seeds averaged, one column per kind of matrix."""
    by_place: dict[tuple[str, float], list[Run]] = {}
    for run in evidence.runs:
        if run["method"] == METHOD and built_in(run) and "per_layer_sparsity" in run:
            by_place.setdefault((place_name(run), removed(run)), []).append(run)
    if not by_place:
        return NOTHING
    kinds = list(_means(next(iter(by_place.values())), 0))
    rows = []
    for (place, share), runs in sorted(by_place.items()):
        by_kind, by_layer = _means(runs, 0), _means(runs, 1)
        shares = [number(by_kind.get(kind), 3) for kind in kinds]
        depth = f"{number(min(by_layer.values()), 3)} to {number(max(by_layer.values()), 3)}"
        rows.append([place, number(share), str(len(runs)), *shares, depth])
    table = markdown(Table(["removed of", "in all", "runs", *kinds, "means of layers"], rows))
    return (
        "Share that masks with thresholds that train remove at last, mean over layers and seeds; all begin with the "
        f"same share in every matrix.\n\n{table}"
    )
