"""Which part of the network a mask counts for."""

import pytest
import torch

from s3_speechbrain.analysis import MaskSet, PackedMask, compare
from s3_speechbrain.layers import GROUPS

NAMES = {  # as `read_masks` gives them
    "encoder.layers.0.attention.q_proj": "attention",
    "encoder.layers.0.attention.q_proj.bias": "attention",
    "encoder.layers.1.feed_forward.output_dense.bias": "ffn",
    "layer.0.rel_attn.q": "attention",  # XLNet's matrices are bare parameters of one module
    "layer.0.rel_attn.r": "attention",
    "layer.0.ff.layer_1.bias": "ffn",
    "feature_extractor.conv_layers.0.conv": "extractor",
    "pooler.dense": "other",
    "layer.0.rel_attn.layer_norm": "other",
}


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_every_matrix_and_bias_counts_for_its_kind_of_layer(name, kind):
    sets = [MaskSet(None, {}, {name: PackedMask.of(torch.tensor([True, False]))}) for _ in range(2)]
    (pair,) = compare(sets, by="kind")["pairs"]
    assert list(pair["parts"]) == [kind]
    assert kind in (*GROUPS, "other")
