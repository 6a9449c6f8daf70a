"""Masks of finished runs: where they lie, what they are called, what is known about them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from speechbrain.utils.checkpoints import Checkpointer
from torch import Tensor

from s3_speechbrain.analysis.overlap import PackedMask
from s3_speechbrain.errors import UserError
from s3_speechbrain.report import read_metrics

MASK_FILE = "mask.safetensors"
CHECKPOINTS = "checkpoints"
KEEP = re.compile(r"(?:^encoder\.)?(?P<layer>.+)\.parametrizations\.weight\.0\.keep$")
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
        By the name of a weight or bias: ``encoder.layers.3.attention.q_proj``,
        ``encoder.layers.3.attention.q_proj.bias``.
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


def read_masks(path: str | Path) -> MaskSet:
    """Read the masks of a run or of a file.

    Parameters
    ----------
    path : path
        A run's output folder (a pruning run's ``mask.safetensors``, else the masks in the checkpoint with the
        best dev error), or a safetensors or checkpoint file with boolean masks.

    Returns
    -------
    MaskSet
        Not labelled yet.

    Raises
    ------
    UserError
        If there is nothing to read or no mask in it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist: give a run's output folder or a file with masks")
    file = _mask_file(path) if path.is_dir() else path
    masks = {name: PackedMask.of(mask) for name, mask in sorted(_masks_in(file), key=_natural)}
    if not masks:
        raise UserError(f"{file} holds no mask: give a run of a method that removes weights")
    return MaskSet(path, _facts(path if path.is_dir() else path.parent, path.is_dir()), masks)


def _natural(item: tuple[str, Tensor]) -> list:
    """Sort layer 2 before layer 10; files list names alphabetically."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", item[0])]


def _mask_file(folder: Path) -> Path:
    if (folder / MASK_FILE).is_file():
        return folder / MASK_FILE
    if (folder / CHECKPOINTS).is_dir():
        for key in ("CER", "PER"):  # what the run chose its checkpoint by
            best = Checkpointer(folder / CHECKPOINTS).find_checkpoint(min_key=key)
            if best is not None and (best.path / "trained.ckpt").is_file():
                return best.path / "trained.ckpt"
    raise UserError(f"{folder} has neither {MASK_FILE} nor a checkpoint: give the output folder of a run")


def _masks_in(file: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        if file.suffix == ".safetensors":
            tensors = load_file(file)
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, safetensors.SafetensorError) as error:
        raise UserError(f"{file} cannot be read ({str(error).splitlines()[0]}): make the run again") from None
    for name, tensor in tensors.items():
        found = KEEP.match(name)
        if isinstance(tensor, Tensor) and tensor.dtype == torch.bool:
            yield (found["layer"] if found else name.removesuffix(".weight")), tensor


def _facts(folder: Path, is_run: bool) -> dict[str, Any]:
    if not is_run or not (folder / "metrics.json").is_file():
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


def _distinct_paths(paths: Sequence[Path]) -> list[str]:
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.with_suffix("").parts[-depth:]) for path in paths]
        if len(set(names)) == len(paths):
            return names
    raise UserError("a run is named twice: give each run once")
