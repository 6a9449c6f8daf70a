"""Layers are found by what they do, in every encoder family and under any prefix."""

import pytest
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import GROUPS, group_of, layer_index, select_layers


@pytest.fixture(scope="module")
def wav2vec2():
    return Wav2Vec2Model(
        Wav2Vec2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7
        )
    )


@pytest.fixture(scope="module")
def whisper():
    return WhisperEncoder(
        WhisperConfig(
            d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=8
        )
    )


@pytest.mark.parametrize(
    ("name", "group", "index"),
    [
        ("encoder.layers.3.feed_forward.intermediate_dense", "ffn", 3),
        ("model.encoder.layers.11.feed_forward.output_dense", "ffn", 11),
        ("layers.0.fc1", "ffn", 0),
        ("model.layers.5.self_attn.out_proj", "attention", 5),
        ("encoder.layers.3.attention.q_proj", "attention", 3),
        ("wav2vec2.feature_projection.projection", "projection", None),
        ("feature_extractor.conv_layers.6.conv", "extractor", None),
        ("model.conv2", "extractor", None),
        ("encoder.pos_conv_embed.conv", None, None),
        ("encoder.layers.3.layer_norm", None, 3),
        ("lm_head", None, None),
    ],
)
def test_a_name_tells_group_and_layer(name, group, index):
    assert group_of(name) == group
    assert layer_index(f"{name}.weight") == index


def test_wav2vec2_has_two_ffn_and_four_attention_matrices_per_layer(wav2vec2):
    assert list(select_layers(wav2vec2, ["ffn"])) == [
        f"encoder.layers.{n}.feed_forward.{name}_dense" for n in (0, 1) for name in ("intermediate", "output")
    ]
    assert len(select_layers(wav2vec2, ["attention"])) == 8
    assert len(select_layers(wav2vec2, GROUPS)) == 4 + 8 + 1 + 7


def test_whisper_has_two_ffn_and_four_attention_matrices_per_layer(whisper):
    layers = select_layers(whisper, ["extractor", "attention", "ffn"])
    assert list(layers)[:2] == ["conv1", "conv2"]  # network order, not the order of the request
    assert sum(group_of(name) == "ffn" for name in layers) == 4
    assert sum(group_of(name) == "attention" for name in layers) == 8
    assert isinstance(layers["conv1"], nn.Conv1d)


def test_a_wrapped_encoder_has_the_same_layers(wav2vec2):
    wrapped = nn.ModuleDict({"model": wav2vec2})
    assert list(select_layers(wrapped, ["ffn"])) == [
        f"model.{name}" for name in select_layers(wav2vec2, ["ffn"])
    ]


@pytest.mark.parametrize("groups", [["fnn"], [], "ffn"])
def test_a_wrong_request_is_told_in_one_line(wav2vec2, groups):
    with pytest.raises(UserError, match="ffn") as error:
        select_layers(wav2vec2, groups)
    assert "\n" not in str(error.value)


def test_an_encoder_without_the_group_is_told(whisper):
    with pytest.raises(UserError, match="projection"):
        select_layers(whisper, ["projection"])
