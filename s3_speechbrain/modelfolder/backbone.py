"""An encoder without a head as a folder of data: what a mask bank carries along so that it needs no other source.

The folder is one that `SpeechEncoder` and transformers accept as well; `read_backbone` reads it with the checks of
a model folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import PretrainedConfig, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import Backbone, MaskBank
from s3_speechbrain.maskbank.header import has_fields, need, parse_json
from s3_speechbrain.modelfolder.config import FORMAT, KEY, MOST_CONFIG_BYTES, parse_weights
from s3_speechbrain.modelfolder.files import (
    BACKBONE,
    CONFIG,
    WEIGHTS,
    inside,
    read_table,
    read_text,
    refusing,
    sha256_of,
)
from s3_speechbrain.modelfolder.reading import check_table, fill_
from s3_speechbrain.modelfolder.shapes import TRAINING, describe_config, making_a_network, parse_config
from s3_speechbrain.modelfolder.tensors import UNUSED


def load_backbone(bank: MaskBank, source: str | None = None) -> SpeechEncoder:
    """Load the encoder of a mask bank: the one that it carries, or the one that it names.

    Parameters
    ----------
    bank : MaskBank
        With a backbone.
    source : str, optional
        Where the encoder is on this machine instead: ``"builtin"``, a hub name or a folder.

    Raises
    ------
    UserError
        If it cannot be had, or what the bank carries is refused. Whether it is the right one, its fingerprint tells.
    """
    return find_backbone(bank.folder, bank.backbone, source)


def find_backbone(folder: Path, named: Backbone, source: str | None = None) -> SpeechEncoder:
    """Load the encoder of languages in a folder: one that lies beside them, or the one that they name.

    Parameters
    ----------
    folder : Path
        A mask bank, or whatever folder holds the file of a language.
    named : Backbone
        What the bank or the file says.
    source : str, optional
        As for `load_backbone`.

    Raises
    ------
    UserError
        As for `load_backbone`.
    """
    carried = folder / BACKBONE
    if source is None and (carried / CONFIG).is_file():
        return read_backbone(carried)
    revision = named.revision if source is None else None
    return SpeechEncoder(source or named.source, revision=revision, freeze=True)


def write_backbone(folder: Path, encoder: SpeechEncoder) -> None:
    """Write an encoder without masks into a new folder, in float32."""
    folder.mkdir(parents=True)
    state = _state(encoder)
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in state.items()},
        folder / WEIGHTS,
        {"format": "pt"},
    )
    (folder / WEIGHTS).chmod(0o644)
    weights = {
        "sha256": sha256_of(folder / WEIGHTS),
        "bytes": (folder / WEIGHTS).stat().st_size,
        "dtype": "float32",
    }
    config = encoder.model.config
    own = {"format": FORMAT, "normalises_waveform": encoder.normalises, "weights": weights}
    top = {
        **describe_config(config),
        **_training(config),
        "architectures": [type(encoder.model).__name__],
        KEY: own,
    }
    (folder / CONFIG).write_text(json.dumps(top, indent=2) + "\n", encoding="utf-8")
    if config.model_type == "whisper":
        WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(do_normalize=encoder.normalises).save_pretrained(folder)


def read_backbone(folder: Path) -> SpeechEncoder:
    """Read what `write_backbone` wrote: frozen, without a network, and with nothing of the folder run.

    Raises
    ------
    UserError
        As for `read_model`.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give the backbone's folder or hub name")
    with refusing(folder):
        top = parse_json(read_text(folder, CONFIG, MOST_CONFIG_BYTES), "its config")
        own = top.pop(KEY, None)
        need(
            has_fields(own, {"format", "normalises_waveform", "weights"}) and own["format"] == FORMAT,
            "it is no backbone of a format that this version of s3_speechbrain reads",
        )
        need(
            isinstance(own["normalises_waveform"], bool), "its normalises_waveform is neither true nor false"
        )
        weights = parse_weights(own["weights"])
        extra = {"architectures", *TRAINING}
        config = parse_config({name: value for name, value in top.items() if name not in extra})
        path = inside(folder, WEIGHTS)
        table = read_table(path, weights["bytes"])
        check_table(table, _expected(config, own["normalises_waveform"]), weights["dtype"])
        need(sha256_of(path) == weights["sha256"], f"the checksum of {WEIGHTS} is wrong")
        encoder = SpeechEncoder.from_config(config, own["normalises_waveform"], str(folder))
        fill_(_state(encoder), path)
    return encoder.eval()


def _expected(config: PretrainedConfig, normalises: bool) -> Mapping[str, Tensor]:
    with making_a_network():
        return _state(SpeechEncoder.from_config(config, normalises))


def _state(encoder: SpeechEncoder) -> dict[str, Tensor]:
    return {name: value for name, value in encoder.model.state_dict().items() if not name.startswith(UNUSED)}


def _training(config: PretrainedConfig) -> dict[str, Any]:
    return {} if config.model_type == "whisper" else TRAINING
