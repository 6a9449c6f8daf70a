"""Masks of finished runs: where they lie, what they are called, what is known about them."""

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from speechbrain.utils.checkpoints import Checkpointer
from torch import Tensor

from s3_speechbrain.analysis.overlap import PackedMask
from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import load_masks
from s3_speechbrain.report import read_metrics

MASK_FILE = "mask.safetensors"
ENDINGS = (".safetensors", ".ckpt", ".pt")
CHECKPOINTS = "checkpoints"
# in a checkpoint; with masks of several languages on one encoder, the language stands behind the layer
KEEP = re.compile(
    r"encoder\.(?P<layer>.+)\.parametrizations\.weight\.0\.(?:mask_(?P<language>[^.]+)\.)?keep$"
)
FACTS = ("backbone", "language", "method", "sparsity", "seed")  # in the order in which labels name them


@dataclass(frozen=True)
class MaskSet:
    """All masks of one run.

    Attributes
    ----------
    path : Path
        The run's folder, or the file.
    facts : mapping
        Any of `FACTS`, as its metrics tell; empty for a bare file.
    masks : mapping of str to PackedMask
        By layer for weights (``encoder.layers.3.attention.q_proj``), with ``.bias`` behind it for biases.
    label : str
        Short name in tables.
    """

    path: Path
    facts: Mapping[str, Any]
    masks: Mapping[str, PackedMask]
    label: str = ""

    @property
    def entries(self) -> int:
        """How many entries all masks have."""
        return sum(mask.entries for mask in self.masks.values())

    @property
    def kept(self) -> int:
        """How many of them are kept."""
        return sum(mask.kept for mask in self.masks.values())


def read_masks(path: str | Path) -> list[MaskSet]:
    """Read the masks of a run or of a file.

    Parameters
    ----------
    path : path
        A run's output folder (a pruning run's ``mask.safetensors``, else the masks in the checkpoint with the
        best dev error), or such a file.

    Returns
    -------
    list of MaskSet
        One per language: several for a run that trained languages together. Not labelled yet.

    Raises
    ------
    UserError
        If there is nothing to read or no mask in it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist: give a run's output folder or a file with masks")
    file = _mask_file(path) if path.is_dir() else path
    masks: dict[str | None, dict[str, PackedMask]] = {}
    for language, name, mask in _masks_in(file):
        masks.setdefault(language, {})[name] = PackedMask.of(mask)
    if not masks:
        raise UserError(f"{file} holds no mask: give a run of a method that removes weights")
    facts = _facts(path) if path.is_dir() else {}
    return [
        MaskSet(
            path,
            facts if language is None else {**facts, "language": language},
            dict(sorted(found.items(), key=lambda item: _natural(item[0]))),
        )
        for language, found in masks.items()
    ]


def _natural(name: str) -> list:
    """Sort layer 2 before layer 10; files list names alphabetically."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _mask_file(folder: Path) -> Path:
    if (folder / MASK_FILE).is_file():
        return folder / MASK_FILE
    if (folder / CHECKPOINTS).is_dir():
        for key in ("CER", "PER"):  # what the run chose its checkpoint by
            try:
                best = Checkpointer(folder / CHECKPOINTS).find_checkpoint(min_key=key)
            except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
                reason = " ".join(str(error).split())[:100]
                raise UserError(
                    f"the checkpoints of {folder} cannot be read ({reason}): copy them again, or run again what made "
                    "them"
                ) from None
            if best is not None and (best.path / "trained.ckpt").is_file():
                return best.path / "trained.ckpt"
    raise UserError(f"{folder} has neither {MASK_FILE} nor a checkpoint: give the output folder of a run")


def _masks_in(file: Path) -> Iterator[tuple[str | None, str, Tensor]]:
    """Return (language if the file tells, name, mask) of each mask."""
    if file.suffix == ".safetensors":
        for name, mask in load_masks(file).items():
            yield None, name.removeprefix("model.").removesuffix(".weight"), mask
        return
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{file} cannot be read ({str(error).splitlines()[0]}): run again what made it"
        ) from None
    if not isinstance(tensors, Mapping):
        raise UserError(f"{file} holds no network: give a run's output folder or a file with masks")
    for name, tensor in tensors.items():
        found = KEEP.fullmatch(name) if isinstance(name, str) and isinstance(tensor, Tensor) else None
        if found and tensor.dtype == torch.bool:
            yield found["language"], found["layer"].removeprefix("model."), tensor


def _facts(folder: Path) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file():
        return {}
    run = read_metrics(folder)
    return {
        **{name: run[name] for name in FACTS if name != "sparsity"},
        "sparsity": run["sparsity"]["masked"],
    }


def labelled(sets: Sequence[MaskSet], labels: Sequence[str] | None = None) -> list[MaskSet]:
    """Name sets of masks by what tells them apart.

    Parameters
    ----------
    sets : sequence of MaskSet
        From `read_masks`.
    labels : sequence of str, optional
        Names to take instead.

    Returns
    -------
    list of MaskSet
        With labels: the facts that differ between sets; their paths where facts do not tell them apart.

    Raises
    ------
    UserError
        If given labels are not one per set, or not distinct.
    """
    if labels is None:
        varying = [name for name in FACTS if len({str(each.facts.get(name)) for each in sets}) > 1]
        labels = [
            " ".join(_word(name, each.facts[name]) for name in varying if name in each.facts) for each in sets
        ]
        if len(set(labels)) < len(sets) or not all(labels):
            labels = _distinct_paths([each.path for each in sets])
    if len(labels) != len(sets) or len(set(labels)) < len(sets):
        raise UserError(f"{len(labels)} labels for {len(sets)} runs: give one label per run, all different")
    return [replace(each, label=label) for each, label in zip(sets, labels, strict=True)]


def _word(name: str, value: Any) -> str:
    return f"seed {value}" if name == "seed" else f"{value:.3g}" if name == "sparsity" else str(value)


def _without_ending(path: Path) -> Path:
    """Drop the ending of a file of masks, and nothing of a folder such as ``lr-0.001``."""
    return path.with_suffix("") if path.suffix in ENDINGS else path


def _distinct_paths(paths: Sequence[Path]) -> list[str]:
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(_without_ending(path).parts[-depth:]) for path in paths]
        if len(set(names)) == len(paths):
            return names
    raise UserError("runs are named twice or cannot be told apart: give each once, and names with --labels")
