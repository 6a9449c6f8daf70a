"""What a model folder says about itself (``config.json``), and the check of every field of it.

All of it is data. Where plain transformers can run the model, the encoder's fields stand at the top level as
Hugging Face wants them, and ours under one key; otherwise everything is under our key, so that transformers refuses
the folder instead of running a part of it.
"""

import base64
import binascii
import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

from s3_speechbrain.encoders.encoder import ATTENTION, SpeechEncoder
from s3_speechbrain.maskbank.entry import is_language
from s3_speechbrain.maskbank.header import (
    NORMALISER,
    RefusedError,
    has_fields,
    is_text,
    need,
    parse_head_options,
    parse_json,
    parse_tokenizer,
    within,
)
from s3_speechbrain.modelfolder.shapes import describe_config, parse_config
from s3_speechbrain.tokens import DetectorConfig, TokenConfig
from s3_speechbrain.tokens.config import LEAST, ORACLES

FORMAT = 1
KEY = "s3_speechbrain"
MOST_CONFIG_BYTES = 1 << 23
MOST_WEIGHT_BYTES = 1 << 36
MOST_LANGUAGES = 1 << 12
MOST_TOKENIZER_BYTES = 1 << 22
MOST_DEPTH = 8
DTYPES = ("float32", "float16")
# Fields of a CTC model of transformers; they follow from the others.
HUGGING_FACE = {
    "architectures",
    "dtype",
    "vocab_size",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "mask_time_prob",
    "apply_spec_augment",
}
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELDS = {
    "format",
    "languages",
    "recipe",
    "method",
    "backbone",
    "sampling_rate",
    "normalises_waveform",
    "attention",
    "head",
    "selector",
    "tokenizer",
    "weights",
}


@dataclass(frozen=True)
class ModelFacts:
    """Where a model comes from.

    Attributes
    ----------
    languages : mapping of str to str
        Language codes, each with the text normalisation that its labels went through, as from
        `data.languages.normaliser_id`.
    recipe, method : str
        What made the model.
    backbone : str
        Name of what it was made from: ``"builtin"``, a hub name, or a folder's name.
    revision : str, optional
        Of the backbone, on the hub.
    """

    languages: Mapping[str, str]
    recipe: str
    method: str
    backbone: str
    revision: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """All of a model folder but its weights.

    Attributes
    ----------
    facts : ModelFacts
        Where it comes from.
    encoder : PretrainedConfig
        Of the network, sliced or not.
    normalises : bool
        Whether waveforms get zero mean and unit variance first.
    attention : str
        How attention is computed: ``sdpa`` or ``eager``.
    head : dict
        ``width``, ``hidden`` and ``layers`` of `CTCHead`.
    selector : TokenConfig or None
        The token selector.
    tokenizer : dict
        As from `tokenizer_record`.
    weights : dict
        ``sha256``, ``bytes`` and ``dtype`` of the weights' file.
    """

    facts: ModelFacts
    encoder: PretrainedConfig
    normalises: bool
    attention: str
    head: dict[str, Any]
    selector: TokenConfig | None
    tokenizer: dict[str, Any]
    weights: dict[str, Any]

    @property
    def plain(self) -> bool:
        """Whether plain transformers can run the model; see `obstacle`."""
        return self.obstacle is None

    @property
    def obstacle(self) -> str | None:
        """Why plain transformers cannot run the model; None if it can."""
        if self.encoder.model_type == "whisper":
            return "transformers has no CTC model with a Whisper encoder"
        if getattr(self.encoder, "sliced", None) is not None:
            return "its layers have different sizes, which no transformers config can say"
        if self.selector is not None:
            return "it drops frames, which no transformers model does"
        if self.head["layers"] is not None:
            return "its head mixes the encoder's layers; a transformers CTC model reads the last one alone"
        if self.head["hidden"]:
            return "its head has hidden layers; a transformers CTC model has a single linear one"
        return None


def dump_config(config: ModelConfig) -> str:
    """Return the JSON of a model folder."""
    facts, tokenizer = config.facts, config.tokenizer
    model = tokenizer["model"]
    own: dict[str, Any] = {
        "format": FORMAT,
        "languages": dict(facts.languages),
        "recipe": facts.recipe,
        "method": facts.method,
        "backbone": {"source": facts.backbone, "revision": facts.revision},
        "sampling_rate": SpeechEncoder.sampling_rate,
        "normalises_waveform": config.normalises,
        "attention": config.attention,
        "head": {name: config.head[name] for name in ("width", "hidden", "layers")},
        "selector": None if config.selector is None else dataclasses.asdict(config.selector),
        "tokenizer": {
            "kind": tokenizer["kind"],
            "labels": list(tokenizer["labels"]),
            "model": None if model is None else base64.b64encode(model).decode(),
        },
        "weights": config.weights,
    }
    encoder = describe_config(config.encoder)
    if config.plain:
        top = {**encoder, **_for_transformers(config), KEY: own}
    else:
        top = {KEY: {**own, "encoder": encoder}}
    return json.dumps(top, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _for_transformers(config: ModelConfig) -> dict[str, Any]:
    """Return the fields that make a config one of a CTC model of transformers."""
    stem = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}
    return {
        "architectures": [f"{stem[config.encoder.model_type]}ForCTC"],
        "dtype": config.weights["dtype"],
        "vocab_size": len(config.tokenizer["labels"]),
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "mask_time_prob": 0.0,
        "apply_spec_augment": False,
    }


def parse_model_config(text: str) -> ModelConfig:
    """Read and check the JSON of a model folder.

    Raises
    ------
    RefusedError
        For anything but a config of a known format version, every field of which is in its range.
    """
    top = parse_json(text, "its config")
    need(depth_of(top) <= MOST_DEPTH, "its config is nested too deeply")
    own = top.pop(KEY, None)
    need(isinstance(own, dict), f"its config has no part {KEY!r}: it is not a model folder of this project")
    version = own.get("format")
    need(
        version == FORMAT and type(version) is int,
        f"its format is {str(version)[:20]}, this version of s3_speechbrain reads {FORMAT}",
    )
    nested = own.pop("encoder", None)
    need(own.keys() == _FIELDS, "its config lacks a field or has an unknown one")
    need(nested is None or (isinstance(nested, dict) and not top), "its config describes two encoders")
    weights = parse_weights(own["weights"])
    need(own["sampling_rate"] == SpeechEncoder.sampling_rate, "its sampling rate is not 16000")
    need(isinstance(own["normalises_waveform"], bool), "its normalises_waveform is neither true nor false")
    need(own["attention"] in ATTENTION, f"its attention is none of {', '.join(ATTENTION)}")
    fields = (
        {name: value for name, value in top.items() if name not in HUGGING_FACE} if nested is None else nested
    )
    config = ModelConfig(
        facts=_facts(own),
        encoder=parse_config(fields),
        normalises=own["normalises_waveform"],
        attention=own["attention"],
        head=parse_head_options(own["head"]),
        selector=_selector(own["selector"]),
        tokenizer=_tokenizer(own["tokenizer"]),
        weights=weights,
    )
    need(config.plain == (nested is None), "its encoder stands at the wrong place of its config")
    derived = {name: value for name, value in top.items() if name in HUGGING_FACE}
    need(
        nested is not None or derived == _for_transformers(config),
        "its fields for transformers are others than ours",
    )
    return config


def _facts(own: Mapping[str, Any]) -> ModelFacts:
    languages, backbone = own["languages"], own["backbone"]
    need(
        isinstance(languages, dict) and 1 <= len(languages) <= MOST_LANGUAGES,
        "its languages are no table or too many",
    )
    for language, normaliser in languages.items():
        need(is_language(language), "one of its languages is not a language code")
        need(
            isinstance(normaliser, str) and NORMALISER.fullmatch(normaliser),
            f"the normaliser of {language} is no identifier",
        )
    need(has_fields(backbone, {"source", "revision"}), "its backbone lacks a field or has an unknown one")
    need(is_text(backbone["source"], 256), "its backbone has no source")
    need(
        backbone["revision"] is None or is_text(backbone["revision"], 256),
        "its backbone's revision is no text",
    )
    for name in ("recipe", "method"):
        need(is_text(own[name], 64), f"its {name} is no short text")
    return ModelFacts(languages, own["recipe"], own["method"], backbone["source"], backbone["revision"])


def parse_weights(value: Any) -> dict[str, Any]:
    """Check what a config says about its weights' file."""
    need(has_fields(value, {"sha256", "bytes", "dtype"}), "its weights lack a field or have an unknown one")
    need(
        isinstance(value["sha256"], str) and _SHA256.fullmatch(value["sha256"]),
        "its weights have no checksum",
    )
    need(within(value["bytes"], 8, MOST_WEIGHT_BYTES), "its weights have no possible size")
    need(value["dtype"] in DTYPES, f"its weights are none of {', '.join(DTYPES)}")
    return value


def _tokenizer(value: Any) -> dict[str, Any]:
    need(has_fields(value, {"kind", "labels", "model"}), "its tokenizer lacks a field or has an unknown one")
    coded = value["model"]
    kind, labels = parse_tokenizer({"kind": value["kind"], "labels": value["labels"]})
    need(
        (kind == "sentencepiece") == (coded is not None), "its SentencePiece model is missing or superfluous"
    )
    if coded is None:
        return {"kind": kind, "labels": list(labels), "model": None}
    need(
        isinstance(coded, str) and len(coded) <= MOST_TOKENIZER_BYTES, "its SentencePiece model is too large"
    )
    try:
        model = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError("its SentencePiece model is no base64") from None
    return {"kind": kind, "labels": list(labels), "model": model}


def _selector(value: Any) -> TokenConfig | None:
    if value is None:
        return None
    names = {field.name for field in dataclasses.fields(TokenConfig)}
    sizes = {field.name for field in dataclasses.fields(DetectorConfig)}
    need(has_fields(value, names) and has_fields(value["detector"], sizes), "its selector lacks a field")
    detector = value["detector"]
    most = {"width": 1 << 13, "layers": 64, "kernel": 1 << 10}
    need(
        all(within(detector[name], 1, most[name]) for name in sizes), "its detector's sizes are out of range"
    )
    numbers = [value["keep_ratio"], value["jitter"], *([] if value["recall"] is None else [value["recall"]])]
    need(all(type(number) in (int, float) for number in numbers), "a setting of its selector is no number")
    need(
        within(value["seed"], 0, 1 << 62) and within(value["n_first"], 1, 1 << 10),
        "its selector is out of range",
    )
    need(LEAST <= value["keep_ratio"] <= 1, "its selector's keep_ratio is out of range")
    for name in ("selector", "cut", "reduce", "blank_policy"):
        need(isinstance(value[name], str), f"its selector's {name} is no text")
    need(value["selector"] not in ORACLES, "its selector needs a teacher, which a model folder does not hold")
    try:
        return TokenConfig(**{**value, "detector": DetectorConfig(**detector)})
    except ValueError as error:
        raise RefusedError(f"its selector is impossible ({error})") from None


def depth_of(value: Any) -> int:
    """Return how many tables and lists lie in one another, counted without recursion, and one more for the values."""
    level, values = 0, [value]
    while values:
        level += 1
        values = [
            inner
            for outer in values
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return level
