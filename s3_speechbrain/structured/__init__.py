"""Structured pruning: whole attention heads, FFN neurons and extractor channels (SAFARI of S6-DAMON).

Start with `Rounds`: ``Rounds(encoder, StructuredConfig(keep=0.5), updates)``. The rooms, in reading order:

=====================  ======================================================================
`config`               what is removed, how much and how
`units`                which weights belong to a head, a neuron, a channel
`costs`                what units cost in parameters or MACs
`importance`           weights -> scores
`selection`            scores, costs and a budget -> what stays: the ranking, drop and grow
`schedules`            when
`masks`                masks held over units while the rest trains
`rounds`               all of this together, told and asked update by update
`slicing`              remove units for good: a smaller dense encoder
`report`               how much is gone
=====================  ======================================================================
"""

from s3_speechbrain.structured.config import StructuredConfig
from s3_speechbrain.structured.costs import unit_cost
from s3_speechbrain.structured.importance import magnitude
from s3_speechbrain.structured.masks import change_, hold_, kept_units, release_, sums_of
from s3_speechbrain.structured.report import layer_table, surviving, unit_sparsity
from s3_speechbrain.structured.rounds import Rounds
from s3_speechbrain.structured.selection import adjust, counts_of, select
from s3_speechbrain.structured.slicing import slice_, sliced_config
from s3_speechbrain.structured.units import UnitGroup, find_units

__all__ = [
    "Rounds",
    "StructuredConfig",
    "UnitGroup",
    "adjust",
    "change_",
    "counts_of",
    "find_units",
    "hold_",
    "kept_units",
    "layer_table",
    "magnitude",
    "release_",
    "select",
    "slice_",
    "sliced_config",
    "sums_of",
    "surviving",
    "unit_cost",
    "unit_sparsity",
]
