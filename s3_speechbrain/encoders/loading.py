"""Find an encoder (hub name, local folder, built-in) and build its Hugging Face module."""

import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.encoders.sliced import Sliced, read_sliced, shrink_to_
from s3_speechbrain.encoders.weights import fill_, load_weights
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

BUILTIN = "builtin"
FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper")
DROPOUTS = {
    "hidden": ("hidden_dropout", "feat_proj_dropout", "dropout"),
    "attention": ("attention_dropout",),
    "activation": ("activation_dropout",),
}


def resolve(source: str) -> str:
    """Turn a source into what Hugging Face loads: the built-in backbone's folder, a local folder or a hub name.

    Raises
    ------
    UserError
        If a folder lacks ``config.json``, or the name is neither a folder nor a possible hub name.
    """
    if source == BUILTIN:
        return str(files("s3_speechbrain.encoders") / "builtin")
    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{folder} holds no config.json; give a folder saved by save_pretrained() or a hub name"
            )
        return str(folder)
    if folder.is_absolute() or source.startswith(".") or source.count("/") > 1:
        raise UserError(
            f"no encoder folder {source}; give an existing folder, a hub name (owner/name) or '{BUILTIN}'"
        )
    return source


def read_config(
    source: str, revision: str | None, dropout: float | Mapping[str, float] | None, layerdrop: float
) -> PretrainedConfig:
    """Read an encoder's config and set its dropouts and layerdrop.

    Parameters
    ----------
    source : str
        As returned by `resolve`.
    revision : str or None
        Hub revision (tag, branch or commit).
    dropout : float, mapping or None
        One rate for all, or rates for ``hidden``, ``attention`` and ``activation``; None keeps the config's own.
    layerdrop : float
        Probability of skipping a transformer layer in training.

    Raises
    ------
    UserError
        If the config cannot be had or its family is not one of `FAMILIES`.
    """
    try:
        # no code of a repository is run, nor is the user asked whether it may be
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"no encoder config for {source!r}: {reason} (offline? give a local folder)"
        ) from error
    if config.model_type not in FAMILIES:
        raise UserError(
            f"{source!r} is a {config.model_type!r} model; supported families: {', '.join(FAMILIES)}"
        )
    rates = dropout if isinstance(dropout, Mapping) else dict.fromkeys(DROPOUTS, dropout)
    unknown = sorted(set(rates) - set(DROPOUTS))
    if unknown:
        raise UserError(f"unknown dropout {unknown[0]!r}; choose from {', '.join(DROPOUTS)}")
    for kind, rate in rates.items():
        for name in DROPOUTS[kind]:
            if rate is not None and hasattr(config, name):
                setattr(config, name, rate)
    setattr(config, "encoder_layerdrop" if config.model_type == "whisper" else "layerdrop", layerdrop)
    return config


def build_model(
    source: str, config: PretrainedConfig, *, revision: str | None, pretrained: bool, seed: int
) -> nn.Module:
    """Build the bare Hugging Face encoder in float32, with pretrained or (by seed) random weights.

    Raises
    ------
    UserError
        If pretrained weights cannot be had, or are not exactly those that the config asks for.
    """
    sliced = read_sliced(config)
    if not pretrained or sliced is not None:
        model = _random_model(config, sliced, seed)
        return fill_(model, source, revision) if pretrained else model
    return load_weights(source, config, revision)


def _random_model(config: PretrainedConfig, sliced: Sliced | None, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.model_type == "whisper":
            model = WhisperEncoder(config)
        else:  # a config saved with float16 weights would otherwise build a float16 network
            model = AutoModel.from_config(config, dtype=torch.float32)
    if sliced is not None:
        shrink_to_(model, sliced)
    return model


def bare_model(module: nn.Module) -> tuple[str, nn.Module]:
    """Find the Hugging Face encoder in a module.

    Returns
    -------
    str
        Its dotted name inside the module, with a dot at the end; empty for the module itself.
    nn.Module
        The encoder.

    Raises
    ------
    UserError
        If there is none of a known family.
    """
    for name, part in module.named_modules():
        if getattr(getattr(part, "config", None), "model_type", None) in FAMILIES:
            return (f"{name}." if name else ""), part
    kind = type(module).__name__
    raise UserError(f"{kind} holds no encoder of these families: {', '.join(FAMILIES)}")


def normalises_waveform(source: str, revision: str | None, config: PretrainedConfig) -> bool:
    """Tell whether pretraining saw waveforms of zero mean and unit variance (``do_normalize``)."""
    if config.model_type == "whisper":
        return False
    path = Path(source) / "preprocessor_config.json"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            path = Path(hf_hub_download(source, "preprocessor_config.json", revision=revision))
        except (OSError, HfHubHTTPError):
            path = Path("absent")
    if path.is_file():
        try:
            return bool(json.loads(path.read_text(encoding="utf-8")).get("do_normalize", True))
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error}); copy or download it again") from error
    guess = getattr(config, "feat_extract_norm", "layer") == "layer"  # data2vec always is
    logger.warning("%s has no preprocessor_config.json; assuming do_normalize=%s", source, guess)
    return guess
