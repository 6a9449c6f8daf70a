"""Tiny encoders of every family, with random weights."""

from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoModel,
    Data2VecAudioConfig,
    HubertConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
STACKED = {**SIZES, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 9}
CONFIGS = {
    "wav2vec2-layer": Wav2Vec2Config(**SIZES, feat_extract_norm="layer", do_stable_layer_norm=True),
    "wav2vec2-group": Wav2Vec2Config(**SIZES),
    "hubert": HubertConfig(**SIZES),
    "wavlm": WavLMConfig(**SIZES),
    "data2vec": Data2VecAudioConfig(**STACKED),
    "whisper": WhisperConfig(d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=64),
}


def make_family(name: str) -> nn.Module:
    """Build a bare Hugging Face encoder, the same at each call."""
    torch.manual_seed(0)
    config = CONFIGS[name].__class__.from_dict(CONFIGS[name].to_dict())
    return WhisperEncoder(config) if name == "whisper" else AutoModel.from_config(config)


def write_family(name: str, folder: Path) -> Path:
    """Write such an encoder as a folder."""
    make_family(name).save_pretrained(folder)
    if name != "whisper":
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
