"""One toy encoder for all tests that need no more than a transformer: random weights, two layers, width 16."""

from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model


def toy_wav2vec2(**changes: object) -> Wav2Vec2Model:
    """Build a frozen wav2vec2 of the layer-norm kind: FFN 32, so 2,048 FFN weights; keywords change the config."""
    torch.manual_seed(7)  # not 0, from which recipes draw networks that should differ from this one
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    layer_norm = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = Wav2Vec2Config(**{**sizes, **layer_norm, **positions, "conv_dim": [8] * 7, **changes})
    encoder = Wav2Vec2Model(config).eval().requires_grad_(False)
    for name, parameter in encoder.named_parameters():
        if name.endswith(".bias"):
            parameter.normal_(0, 0.02)  # fresh biases are all zero, which would hide their ranking
    return encoder


def write_encoder(folder: Path, **changes: object) -> Path:
    """Write the toy encoder as a folder that recipes take as their backbone; keywords change the config."""
    toy_wav2vec2(**changes).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
