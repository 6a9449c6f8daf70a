"""What an entry's file says about itself, as JSON, and the check of every field of it.

A file may come from anywhere, so nothing in it is believed: each field has a type, a range and, where it is a size,
a limit that follows from the size of the file. All of this is checked before any mask is decoded.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from s3_speechbrain.maskbank.coding import CODINGS
from s3_speechbrain.maskbank.entry import Backbone, Entry, is_language

FORMAT = 1
MOST_HEADER_BYTES = 1 << 20
MOST_LAYERS = 4096
MOST_LABELS = 1 << 16
MOST_ENTRIES = 1 << 31  # all layers together
MOST_HIDDEN = 16
# A mask with one removed entry in a thousand needs a byte for about 700 entries; emptier files are refused.
MOST_ENTRIES_PER_BYTE = 2048
KINDS = ("characters", "phones", "sentencepiece")

_FIELDS = {
    "format",
    "language",
    "backbone",
    "masks",
    "head",
    "tokenizer",
    "normaliser",
    "sparsity",
    "metrics",
}
_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}", re.ASCII)
NORMALISER = re.compile(r"[A-Za-z0-9_-]{1,32}/[A-Za-z0-9._-]{1,64}", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which JSON lets through
_FINGERPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)


class RefusedError(ValueError):
    """Why a file is not read, or an entry not written; what follows the name of the file in the message."""


@dataclass(frozen=True)
class Layer:
    """One coded mask.

    Attributes
    ----------
    name : str
        Dotted layer name.
    shape : tuple of int
        Of the mask.
    zeros : int
        Removed entries.
    coding : str
        One of `coding.CODINGS`.
    size : int
        Coded bytes.
    """

    name: str
    shape: tuple[int, ...]
    zeros: int
    coding: str
    size: int

    @property
    def entries(self) -> int:
        """Number of entries of the mask."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """All of an entry but its tensors; see `Entry`."""

    language: str
    backbone: Backbone
    layers: tuple[Layer, ...]
    head_options: dict[str, Any]
    kind: str
    labels: tuple[str, ...]
    normaliser: str
    sparsity: dict[str, Any]
    metrics: dict[str, Any]


def dump_header(entry: Entry, layers: list[Layer]) -> str:
    """Return the JSON of an entry whose masks are coded as `layers`."""
    options = {"hidden": [], "layers": None, **entry.head_options}
    fields = {
        "format": FORMAT,
        "language": entry.language,
        "backbone": asdict(entry.backbone),
        "masks": [[layer.name, list(layer.shape), layer.zeros, layer.coding, layer.size] for layer in layers],
        "head": {**options, "hidden": list(options["hidden"])},
        "tokenizer": {"kind": entry.tokenizer["kind"], "labels": list(entry.tokenizer["labels"])},
        "normaliser": entry.normaliser,
        "sparsity": entry.sparsity,
        "metrics": entry.metrics,
    }
    try:
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()  # fails where half a surrogate pair is left
    except (TypeError, ValueError, RecursionError) as error:
        raise RefusedError(f"labels, sparsity and metrics must be plain JSON ({error})") from None
    return text


def parse_header(text: str, file_bytes: int) -> Header:
    """Read and check the JSON of an entry.

    Parameters
    ----------
    text : str
        As from `dump_header`.
    file_bytes : int
        Size of the file; what the masks may claim depends on it.

    Raises
    ------
    RefusedError
        For anything but a header of this format that fits the file.
    """
    fields = parse_json(text)
    version = fields.get("format")
    need(version == FORMAT, f"its format is {version!r}, this version reads {FORMAT}")
    need(fields.keys() == _FIELDS, "its header lacks a field or has an unknown one")
    need(is_language(fields["language"]), "its language is not a language code")
    normaliser = fields["normaliser"]
    need(isinstance(normaliser, str) and NORMALISER.fullmatch(normaliser), "its normaliser is no identifier")
    for name in ("sparsity", "metrics"):
        need(isinstance(fields[name], dict), f"its {name} is no table")
    kind, labels = parse_tokenizer(fields["tokenizer"])
    return Header(
        language=fields["language"],
        backbone=parse_backbone(fields["backbone"]),
        layers=_layers(fields["masks"], file_bytes),
        head_options=parse_head_options(fields["head"]),
        kind=kind,
        labels=labels,
        normaliser=normaliser,
        sparsity=fields["sparsity"],
        metrics=fields["metrics"],
    )


def parse_json(text: str, what: str = "its header") -> dict[str, Any]:
    """Read one JSON object with finite numbers and without repeated keys; anything else is refused.

    Parameters
    ----------
    text : str
        The JSON.
    what : str
        How the message calls it.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        need(len(table) == len(pairs), f"{what} has a field twice")
        return table

    def finite(digits: str) -> float:
        value = float(digits)
        need(math.isfinite(value), f"{what} holds {digits[:20]}")
        return value

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=finite, parse_float=finite)
    except RefusedError:
        raise
    except (ValueError, RecursionError):
        raise RefusedError(f"{what} is not JSON") from None
    need(isinstance(value, dict), f"{what} is not a table")
    return value


def parse_backbone(value: Any) -> Backbone:
    """Check the fields of a backbone."""
    need(
        has_fields(value, {"source", "revision", "fingerprint"}),
        "its backbone lacks a field or has an unknown one",
    )
    source, revision, digest = value["source"], value["revision"], value["fingerprint"]
    need(is_text(source, 4096), "its backbone has no source")
    need(revision is None or is_text(revision, 256), "its backbone's revision is no text")
    need(isinstance(digest, str) and _FINGERPRINT.fullmatch(digest), "its backbone has no fingerprint")
    return Backbone(source, revision, digest)


def _layers(value: Any, file_bytes: int) -> tuple[Layer, ...]:
    need(isinstance(value, list) and len(value) <= MOST_LAYERS, "its list of masks is no list or too long")
    layers = tuple(_layer(row) for row in value)
    need(len({layer.name for layer in layers}) == len(layers), "it has two masks for one layer")
    coded = sum(layer.size for layer in layers)
    need(coded <= file_bytes, f"its masks claim {coded} bytes, the file has {file_bytes}")
    entries = sum(layer.entries for layer in layers)
    most = min(MOST_ENTRIES, MOST_ENTRIES_PER_BYTE * file_bytes)
    need(
        entries <= most,
        f"its masks claim {entries} entries, a file of {file_bytes} bytes holds {most} at most",
    )
    return layers


def _layer(row: Any) -> Layer:
    need(isinstance(row, list) and len(row) == 5, "the description of a mask is incomplete")
    name, shape, zeros, coding, size = row
    need(isinstance(name, str) and _NAME.fullmatch(name), "the name of a mask's layer is no dotted name")
    need(
        isinstance(shape, list) and len(shape) in (2, 3) and all(within(n, 1, MOST_ENTRIES) for n in shape),
        f"the mask of {name} has no shape",
    )
    layer = Layer(name, tuple(shape), zeros, coding, size)
    need(layer.entries <= MOST_ENTRIES, f"the mask of {name} is too large")
    need(within(zeros, 0, layer.entries), f"the mask of {name} has no possible number of zeros")
    need(coding in CODINGS, f"the mask of {name} has an unknown coding")
    need(within(size, 0, layer.entries + 64), f"the mask of {name} has no possible size")
    return layer


def parse_head_options(value: Any) -> dict[str, Any]:
    """Check the options of a head."""
    need(has_fields(value, {"width", "hidden", "layers"}), "its head lacks an option or has an unknown one")
    hidden = value["hidden"]
    sizes = (
        isinstance(hidden, list) and len(hidden) <= MOST_HIDDEN and all(within(n, 1, 1 << 20) for n in hidden)
    )
    mixed = value["layers"] is None or within(value["layers"], 1, MOST_LAYERS)
    need(sizes and mixed and within(value["width"], 1, 1 << 20), "an option of its head is out of range")
    return value


def parse_tokenizer(value: Any) -> tuple[str, tuple[str, ...]]:
    """Check the kind and the labels of a tokenizer."""
    need(has_fields(value, {"kind", "labels"}), "its tokenizer lacks a field or has an unknown one")
    kind, labels = value["kind"], value["labels"]
    need(kind in KINDS, f"its tokenizer is neither of {', '.join(KINDS)}")
    need(isinstance(labels, list) and 2 <= len(labels) <= MOST_LABELS, "its vocabulary is empty or too large")
    need(labels[0] == "" and all(is_text(label, 256) for label in labels[1:]), "its vocabulary has no labels")
    need(len(set(labels)) == len(labels), "its vocabulary has a label twice")
    return kind, tuple(labels)


def need(condition: object, otherwise: str) -> None:
    """Refuse, with this reason, unless a condition holds."""
    if not condition:
        raise RefusedError(otherwise)


def has_fields(value: Any, names: set[str]) -> bool:
    """Tell whether a value is a table with exactly these keys."""
    return isinstance(value, Mapping) and value.keys() == names


def within(value: Any, low: int, high: int) -> bool:
    """Tell whether a value is an integer, no boolean, from `low` to `high`."""
    return type(value) is int and low <= value <= high


def is_text(value: Any, most: int) -> bool:
    """Tell whether a value is a non-empty text of at most so many characters that UTF-8 can hold."""
    return isinstance(value, str) and 0 < len(value) <= most and not _SURROGATE.search(value)
