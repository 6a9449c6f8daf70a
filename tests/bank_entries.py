"""Languages with random masks and heads, for tests of mask banks."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save
from torch import nn

from s3_speechbrain.brains.model import CTCHead
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.layers import select_layers
from s3_speechbrain.maskbank import Backbone, Entry, fingerprint

LABELS = ["", " ", "a", "b", "d", "e", "i", "o"]


def random_masks(encoder: nn.Module, sparsity: float, seed: int, groups: tuple[str, ...] = ("ffn",)) -> dict:
    """Draw a mask for each layer of some groups."""
    generator = torch.Generator().manual_seed(seed)
    layers = select_layers(encoder, groups)
    return {
        name: torch.rand(layer.weight.shape, generator=generator) >= sparsity
        for name, layer in layers.items()
    }


def make_entry(encoder: SpeechEncoder, language: str = "fr", seed: int = 0, **changes: object) -> Entry:
    """Make a sound entry; `changes` replace fields of it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = CTCHead(encoder.width, len(LABELS))
    fields = {
        "language": language,
        "backbone": Backbone(encoder.source, None, fingerprint(encoder)),
        "masks": random_masks(encoder, 0.1, seed),
        "head": head.state_dict(),
        "head_options": {"width": encoder.width, "hidden": [], "layers": None},
        "tokenizer": {"kind": "characters", "labels": LABELS, "model": None},
        "normaliser": f"{language}/1",
        "sparsity": {"masked": 0.1},
        "metrics": {"test": {"CER": 12.5}},
    }
    return Entry(**fields | changes)


def read_parts(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Take a file apart into its JSON and its tensors."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata()["entry"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write_parts(path: Path, text: str | dict, tensors: dict[str, np.ndarray], sign: bool = True) -> None:
    """Put a file together, with a right checksum: whoever forges a file can compute one too."""
    text = text if isinstance(text, str) else json.dumps(text)
    tensors = dict(tensors)
    if sign:
        tensors.pop("sha256", None)
        digest = hashlib.sha256(text.encode())
        for name, value in sorted(tensors.items()):
            digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
            digest.update(value.tobytes())
        tensors["sha256"] = np.frombuffer(digest.digest(), np.uint8)
    path.write_bytes(save(tensors, {"entry": text}))
