"""Structured pruning: whole attention heads, FFN neurons and extractor channels (SAFARI of S6-DAMON).

The rooms, in reading order:

=====================  ======================================================================
`units`                which weights belong to a head, a neuron, a channel
`slicing`              remove units for good: a smaller dense encoder
=====================  ======================================================================
"""

from s3_speechbrain.structured.slicing import slice_, sliced_config
from s3_speechbrain.structured.units import UnitGroup, find_units

__all__ = ["UnitGroup", "find_units", "slice_", "sliced_config"]
