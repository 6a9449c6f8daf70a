"""Checkpoints that are whole or absent, and what goes into them."""

import json
import logging
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.utils.checkpoints import (
    Checkpoint,
    Checkpointer,
    ckpt_recency,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_barrier, get_rank, if_main_process
from torch import Tensor, nn

from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished+"  # not SpeechBrain's "CKPT" prefix, so such a folder is never listed


class AtomicCheckpointer(Checkpointer):
    """A Checkpointer whose folder only ever lists complete checkpoints.

    SpeechBrain writes the meta file first and deletes a folder file by file, so a run killed meanwhile leaves
    a folder that recovery takes and fails on. Here a checkpoint is written under another name, flushed to
    disk and renamed; deletion renames first. Renaming a folder is atomic.
    """

    def __init__(self, checkpoints_dir: str | Path, **options: Any) -> None:
        super().__init__(checkpoints_dir, **options)
        if if_main_process():
            for leftover in self.checkpoints_dir.glob(f"{UNFINISHED}*"):
                shutil.rmtree(leftover, ignore_errors=True)

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> Checkpoint | None:
        """Save all recoverables; see `Checkpointer.save_checkpoint`."""
        kwargs["verbosity"] = logging.DEBUG  # its message would name the folder of before the renaming
        saved = super().save_checkpoint(*args, **kwargs)
        if saved is None:
            return None
        for file in saved.path.iterdir():
            _flush(file)
        _flush(saved.path)
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        if final.exists():  # only for a checkpoint named by the caller
            _discard(final)
        os.replace(saved.path, final)
        _flush(self.checkpoints_dir)
        files = {name: final / file.name for name, file in saved.paramfiles.items()}
        return Checkpoint(final, saved.meta, files)

    def delete_checkpoints(
        self,
        *,
        num_to_keep: int = 1,
        min_keys: list[str] | None = None,
        max_keys: list[str] | None = None,
        importance_keys: list[Callable] | None = None,
        ckpt_predicate: Callable | None = None,
        verbosity: int = logging.INFO,
    ) -> None:
        """Delete all but the best `num_to_keep` by each key; see `Checkpointer.delete_checkpoints`."""
        orders = [{"min_key": key} for key in min_keys or []]
        orders += [{"max_key": key} for key in max_keys or []]
        orders += [{"importance_key": key} for key in importance_keys or [ckpt_recency]]
        ddp_barrier()
        if if_main_process():
            ranked = [self.find_checkpoints(**order, ckpt_predicate=ckpt_predicate) for order in orders]
            keep = {checkpoint.path for best in ranked for checkpoint in best[:num_to_keep]}
            candidates = {checkpoint.path for best in ranked for checkpoint in best}
            for path in candidates - keep:
                _discard(path)
                logger.log(verbosity, "Deleted checkpoint in %s", path)
        ddp_barrier()

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Load all recoverables.

        Raises
        ------
        UserError
            If a file of the checkpoint cannot be read or does not fit the model.
        """
        try:
            super().load_checkpoint(checkpoint)
        except UserError:
            raise
        except (RuntimeError, ValueError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"cannot load {checkpoint.path} ({reason}); delete it to go on from the one before"
            ) from error

    def load_only(self, checkpoint: Checkpoint, names: list[str]) -> None:
        """Load the named recoverables of a checkpoint and leave the others as they are."""
        everything = self.recoverables
        self.recoverables = {name: everything[name] for name in names}
        try:
            self.load_checkpoint(checkpoint)
        finally:
            self.recoverables = everything

    def _new_checkpoint_dirpath(self) -> Path:
        final = super()._new_checkpoint_dirpath()
        return final.with_name(UNFINISHED + final.name)

    def _custom_checkpoint_dirpath(self, name: str) -> Path:
        final = super()._custom_checkpoint_dirpath(name)
        return final.with_name(UNFINISHED + final.name)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _discard(path: Path) -> None:
    hidden = path.with_name(UNFINISHED + path.name)
    os.replace(path, hidden)
    shutil.rmtree(hidden)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: parameters with gradients, and buffers of parametrisations (masks)."""
    tensors = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    parameters = {name for name, _ in model.named_parameters()}
    for name, value in model.state_dict().items():
        if ".parametrizations." in f".{name}" and name not in parameters:
            tensors[name] = value
    return tensors


@register_checkpoint_hooks
class TrainedState:
    """The part of a model that training changes, as one file; the frozen backbone is not saved again.

    Parameters
    ----------
    model : nn.Module
        The model; what is trainable must not change after this.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Write the trained tensors."""
        torch.save({name: value.cpu() for name, value in trained_tensors(self.model).items()}, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool = True) -> None:
        """Load the trained tensors in place.

        Raises
        ------
        UserError
            If names or shapes differ from the model's.
        """
        del end_of_epoch
        stored = torch.load(path, map_location="cpu", weights_only=True)
        wanted = trained_tensors(self.model)
        missing, unexpected = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
        shapes = [name for name in wanted.keys() & stored.keys() if wanted[name].shape != stored[name].shape]
        for problem, names in (
            ("lacks", missing),
            ("has the unknown", unexpected),
            ("has another shape of", shapes),
        ):
            if names:
                rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
                raise UserError(
                    f"{path} {problem} {names[0]}{rest}: it is of another method, backbone or vocabulary; "
                    "pass another --output_folder"
                )
        with torch.no_grad():
            for name, value in wanted.items():
                value.copy_(stored[name])


@register_checkpoint_hooks
class RandomState:
    """The random generators of torch, numpy and Python, so that a resumed run draws what it would have drawn.

    Under DDP the main process's generators are saved; the others go on from a seed derived from them.
    """

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Write the generators' states."""
        state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        torch.save(state, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool = True) -> None:
        """Restore the generators' states."""
        del end_of_epoch
        # Written by this class; numpy's and Python's states are tuples that weights_only refuses.
        state = torch.load(path, map_location="cpu", weights_only=False)
        torch.set_rng_state(state["torch"])
        np.random.set_state(state["numpy"])
        random.setstate(state["python"])
        if torch.cuda.is_available() and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"])
        if get_rank():
            torch.manual_seed(int(torch.randint(2**62, (1,))) + get_rank())


@register_checkpoint_hooks
class History:
    """What happened so far: one dict per validation, counters, and the seconds spent in all runs together."""

    def __init__(self) -> None:
        self.rounds: list[dict] = []
        self.counts: dict[str, int] = {}
        self.seconds = 0.0

    def count(self, what: str, number: int = 1) -> int:
        """Add to a counter and return it."""
        self.counts[what] = self.counts.get(what, 0) + number
        return self.counts[what]

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(vars(self)), encoding="utf-8")

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool = True) -> None:
        """Read what `save` wrote."""
        del end_of_epoch
        vars(self).update(json.loads(Path(path).read_text(encoding="utf-8")))
