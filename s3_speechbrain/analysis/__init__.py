"""What masks have in common: overlap beyond chance, between languages, methods and seeds.

Start with ``python -m s3_speechbrain.analysis overlap RUN...``. `overlap` counts two masks and states the null
hypothesis, `association` holds permutation tests over languages, `sources` reads masks of runs, `pairs` and
`page` make data and tables of them.
"""

from s3_speechbrain.analysis.association import Association, grouping, mantel
from s3_speechbrain.analysis.overlap import (
    Overlap,
    PackedMask,
    chance_iou,
    overlap_of,
    overlaps,
    total,
)
from s3_speechbrain.analysis.pairs import compare, group_tests, matrix_of
from s3_speechbrain.analysis.sources import MaskSet, labelled, read_masks

__all__ = [
    "Association",
    "MaskSet",
    "Overlap",
    "PackedMask",
    "chance_iou",
    "compare",
    "group_tests",
    "grouping",
    "labelled",
    "mantel",
    "matrix_of",
    "overlap_of",
    "overlaps",
    "read_masks",
    "total",
]
