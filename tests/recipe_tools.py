"""Reach the recipes' train.py from tests."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

from s3_speechbrain.brains.updates import UpdateBrain

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def load_recipe(name: str, file: str = "train.py") -> ModuleType:
    """Import a recipe's train.py, or another of its programs."""
    path = RECIPES / name / file
    spec = importlib.util.spec_from_file_location(f"{name.replace('/', '_')}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trained(folder: Path) -> dict:
    """Load what the newest checkpoint of a run holds of its network."""
    newest = max((folder / "checkpoints").glob("CKPT*"), key=lambda path: path.stat().st_mtime_ns)
    return torch.load(newest / "trained.ckpt")


class Killed(BaseException):
    """Stands for a process that ends here."""


@contextmanager
def killed_after(batches: int) -> Iterator[None]:
    """End what runs inside when training has gone through so many batches; that it gets there is asserted."""
    original, seen = UpdateBrain.fit_batch, []

    def fit_batch(brain, batch):
        if len(seen) == batches:
            raise Killed
        seen.append(batch)
        return original(brain, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UpdateBrain, "fit_batch", fit_batch)
        with pytest.raises(Killed):
            yield
