"""What is stored for a language."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.packing import PackedMask, pack

_LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class Backbone:
    """The weights that the masks belong to.

    Attributes
    ----------
    source : str
        What `SpeechEncoder` loads: ``"builtin"``, a hub name or a folder.
    revision : str or None
        Hub revision.
    fingerprint : str
        As from `fingerprint`: tells whether loaded weights are the right ones, wherever they come from.
    """

    source: str
    revision: str | None
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Entry:
    """One language: everything that is not in the backbone.

    Attributes
    ----------
    language : str
        Its code; up to 32 letters, digits, ``-`` and ``_``.
    backbone : Backbone
        What the masks were made for.
    masks : dict of str to bool Tensor
        By dotted layer name, as from `masking.keep_masks`.
    head : dict of str to Tensor
        ``CTCHead.state_dict()``.
    head_options : dict
        ``width``, ``hidden`` and ``layers`` of `CTCHead`.
    tokenizer : dict
        ``kind``: ``"characters"``, ``"phones"`` or ``"sentencepiece"``; ``labels``: the head's labels, first the
        blank, "";
        ``model``: the SentencePiece model (bytes) or None.
    normaliser : str
        Which text normalisation the labels went through, as from `data.languages.normaliser_id`.
    sparsity, metrics : dict
        For the record; plain JSON.
    """

    language: str
    backbone: Backbone
    masks: dict[str, Tensor]
    head: dict[str, Tensor]
    head_options: dict[str, Any]
    tokenizer: dict[str, Any]
    normaliser: str
    sparsity: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True, eq=False)
class PackedEntry(Entry):
    """An entry with its masks at one bit per weight."""

    masks: dict[str, PackedMask]

    def unpack(self) -> Entry:
        """Return the entry with bool masks."""
        masks = {name: mask.unpack() for name, mask in self.masks.items()}
        return Entry(**_fields_but_masks(self), masks=masks)

    @classmethod
    def of(cls, entry: Entry) -> "PackedEntry":
        """Pack an entry's masks.

        Raises
        ------
        UserError
            If a mask is not of type bool.
        """
        for name, mask in entry.masks.items():
            if mask.dtype != torch.bool:
                raise UserError(f"the mask of {name} is {mask.dtype}: give bool masks, as from keep_masks")
        masks = {name: pack(mask) for name, mask in entry.masks.items()}
        return cls(**_fields_but_masks(entry), masks=masks)


def _fields_but_masks(entry: Entry) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(Entry) if field.name != "masks"}


def is_language(name: object) -> bool:
    """Tell whether a name is safe to be a language and a part of a file name."""
    return isinstance(name, str) and _LANGUAGE.fullmatch(name) is not None


def head_shapes(options: Mapping[str, Any], labels: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes that the tensors of a `CTCHead` with these options have.

    They are known before a head is built, so that a file that claims others is refused before it costs memory.
    """
    shapes: dict[str, tuple[int, ...]] = {"mix": (options["layers"],)} if options["layers"] else {}
    widths: Sequence[int] = [options["width"], *options["hidden"]]
    for index, size in enumerate(options["hidden"]):
        shapes |= {f"body.{2 * index}.weight": (size, widths[index]), f"body.{2 * index}.bias": (size,)}
    return shapes | {"classifier.weight": (labels, widths[-1]), "classifier.bias": (labels,)}
