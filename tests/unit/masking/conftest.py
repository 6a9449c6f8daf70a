import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model


@pytest.fixture
def encoder():
    """A frozen wav2vec2 of the layer-norm kind: 2 layers, width 16, FFN 32; 2,048 FFN weights."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[8] * 7,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    return Wav2Vec2Model(config).eval().requires_grad_(False)
