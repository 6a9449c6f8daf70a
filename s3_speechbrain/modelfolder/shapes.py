"""The part of a Hugging Face config that a model folder keeps: sizes and settings, each with its range.

A config can do far more than describe a network: name code to download (``auto_map``, attention kernels of the
hub), quantise, ask for billions of neurons. So there is a list of what may stand in one, and nothing else may.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig

from s3_speechbrain.encoders.loading import FAMILIES
from s3_speechbrain.encoders.sliced import read_sliced
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.header import RefusedError, need, within

ACTIVATIONS = ("gelu", "gelu_new", "gelu_fast", "quick_gelu", "relu", "silu", "swish", "tanh")
MOST_LAYERS = 256
MOST_CONVOLUTIONS = 32
SIZES = {  # integers, with their largest value
    "hidden_size": 1 << 14,
    "num_hidden_layers": MOST_LAYERS,
    "num_attention_heads": 1 << 10,
    "intermediate_size": 1 << 17,
    "num_feat_extract_layers": MOST_CONVOLUTIONS,
    "num_conv_pos_embeddings": 1 << 12,
    "num_conv_pos_embedding_groups": 1 << 12,
    "conv_pos_kernel_size": 1 << 12,
    "num_buckets": 1 << 12,
    "max_bucket_distance": 1 << 16,
    "adapter_attn_dim": 1 << 12,
    "d_model": 1 << 14,
    "encoder_layers": MOST_LAYERS,
    "encoder_attention_heads": 1 << 10,
    "encoder_ffn_dim": 1 << 17,
    "num_mel_bins": 1 << 10,
    "max_source_positions": 1 << 16,
}
LISTS = {"conv_dim": 1 << 14, "conv_kernel": 1 << 12, "conv_stride": 1 << 12}  # one entry per convolution
SWITCHES = (
    "conv_bias",
    "do_stable_layer_norm",
    "feat_proj_layer_norm",
    "conv_pos_batch_norm",
    "scale_embedding",
)
CHOICES = {
    "hidden_act": ACTIVATIONS,
    "feat_extract_activation": ACTIVATIONS,
    "activation_function": ACTIVATIONS,
    "feat_extract_norm": ("group", "layer"),
}
EPSILON = "layer_norm_eps"
KEPT = ("model_type", *SIZES, *LISTS, *SWITCHES, *CHOICES, EPSILON, "sliced")
# Not used when a network runs; without them no vector for SpecAugment is made.
TRAINING = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0, "apply_spec_augment": False, "layerdrop": 0.0}


def describe_config(config: PretrainedConfig) -> dict[str, Any]:
    """Return what has to be known of a config to build its network again."""
    found = {name: getattr(config, name) for name in KEPT if getattr(config, name, None) is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def parse_config(fields: Mapping[str, Any]) -> PretrainedConfig:
    """Check a description and make a config of it.

    Parameters
    ----------
    fields : mapping
        As from `describe_config`, read from a file that may come from anywhere.

    Raises
    ------
    RefusedError
        For anything else.
    """
    family = fields.get("model_type")
    need(
        isinstance(family, str) and family in FAMILIES,
        f"its encoder is none of the families {', '.join(FAMILIES)}",
    )
    for name, value in fields.items():
        need(name in KEPT, f"its encoder has the unknown setting {str(name)[:60]!r}")
        need(_possible(name, value), f"its encoder's {name} is out of range or of another type")
    options = {name: value for name, value in fields.items() if name != "model_type"}
    whisper = family == "whisper"
    if not whisper:
        _check_convolutions(options)
    try:
        config = AutoConfig.for_model(family, **options, **({} if whisper else TRAINING))
        for name, value in options.items():
            stored = getattr(config, name)
            need(
                (list(stored) if isinstance(stored, tuple) else stored) == value,
                f"its encoder's {name} is odd",
            )
        _check_sizes(config)
        read_sliced(config)
    except RefusedError:
        raise
    except (UserError, ValueError, TypeError, AttributeError) as error:
        raise RefusedError(" ".join(str(error).split())[:200]) from None
    return config


@contextmanager
def making_a_network() -> Iterator[None]:
    """Build networks without memory for their weights, and refuse sizes that make none."""
    try:
        with torch.device("meta"):
            yield
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise RefusedError(
            f"its sizes do not make a network ({' '.join(str(error).split())[:120]})"
        ) from None


def _possible(name: str, value: Any) -> bool:
    if name in SIZES:
        return within(value, 1, SIZES[name])
    if name in LISTS:
        known = isinstance(value, list) and 1 <= len(value) <= MOST_CONVOLUTIONS
        return known and all(within(item, 1, LISTS[name]) for item in value)
    if name in SWITCHES:
        return isinstance(value, bool)
    if name in CHOICES:
        return isinstance(value, str) and value in CHOICES[name]
    if name == EPSILON:
        return isinstance(value, float) and 0 < value < 1
    if name == "sliced":
        return _is_sliced(value)
    return True


def _is_sliced(value: Any) -> bool:
    """Tell whether ``sliced`` has the right types; `read_sliced` compares it with the other sizes."""
    if not isinstance(value, dict) or not {"heads", "neurons"} <= value.keys() <= {
        "heads",
        "neurons",
        "channels",
    }:
        return False
    heads, neurons = value["heads"], value["neurons"]
    rows = isinstance(heads, list) and isinstance(neurons, list) and len(heads) == len(neurons) <= MOST_LAYERS
    return (
        rows
        and all(isinstance(row, list) and len(row) <= 1 << 10 for row in heads)
        and all(within(head, 0, 1 << 10) for row in heads for head in row)
        and all(within(count, 0, 1 << 17) for count in neurons)
        and (value.get("channels") is None or within(value["channels"], 1, 1 << 14))
    )


def _check_convolutions(options: Mapping[str, Any]) -> None:
    lists = [options.get(name) for name in LISTS]
    need(None not in lists, "its encoder lacks the sizes of its convolutions")
    need(len(set(map(len, lists))) == 1, "its encoder's convolutions have no common number")


def _check_sizes(config: PretrainedConfig) -> None:
    """Refuse sizes that do not divide, before a network is built of them."""
    whisper = config.model_type == "whisper"
    width = config.d_model if whisper else config.hidden_size
    heads = config.encoder_attention_heads if whisper else config.num_attention_heads
    need(width % heads == 0, f"its encoder's width {width} is no multiple of its {heads} heads")
    if not whisper:
        groups = config.num_conv_pos_embedding_groups
        need(width % groups == 0, f"its encoder's width {width} is no multiple of its {groups} groups")
