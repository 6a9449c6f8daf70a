"""Checkpoints that are whole or absent."""

import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speechbrain.utils.checkpoints import (
    Checkpoint,
    Checkpointer,
    ckpt_recency,
)
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3_speechbrain.atomic import flush
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
            flush(file)
        flush(saved.path)
        final = saved.path.with_name(saved.path.name.removeprefix(UNFINISHED))
        if final.exists():  # only for a checkpoint named by the caller
            _discard(final)
        os.replace(saved.path, final)
        flush(self.checkpoints_dir)
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


def _discard(path: Path) -> None:
    hidden = path.with_name(UNFINISHED + path.name)
    os.replace(path, hidden)
    shutil.rmtree(hidden)
