import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model


@pytest.fixture
def encoder():
    """A wav2vec2 of the layer-norm kind: 2 layers, width 16, FFN 32; 4,096 weights and 224 biases in the set."""
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
    encoder = Wav2Vec2Model(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # fresh biases are all zero, which would hide their ranking
        for name, parameter in encoder.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.02, generator=generator)
    return encoder
