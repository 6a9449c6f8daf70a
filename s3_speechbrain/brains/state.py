"""What goes into a checkpoint: what training changes, the random generators, what happened so far."""

import json
import random
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from speechbrain.utils.distributed import get_rank
from torch import Tensor, nn

from s3_speechbrain.errors import UserError


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
        kind, keys, *rest = np.random.get_state()
        version, words, gauss = random.getstate()
        state = {
            "torch": torch.get_rng_state(),
            "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
            "python": [version, list(words), gauss],
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state()
        torch.save(state, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool = True) -> None:
        """Restore the generators' states."""
        del end_of_epoch
        state = torch.load(path, map_location="cpu", weights_only=True)  # runs nothing, whoever wrote it
        torch.set_rng_state(state["torch"])
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))
        if torch.cuda.is_available() and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"])
        if get_rank():
            torch.manual_seed(int(torch.randint(2**62, (1,))) + get_rank())


@register_checkpoint_hooks
class JsonState:
    """Attributes that JSON knows, saved and restored."""

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(vars(self)), encoding="utf-8")

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool = True) -> None:
        """Read what `save` wrote."""
        del end_of_epoch
        vars(self).update(json.loads(Path(path).read_text(encoding="utf-8")))


class History(JsonState):
    """What happened so far: a dict per validation, counters, clips left out and why, and the seconds in all runs."""

    def __init__(self) -> None:
        self.rounds: list[dict] = []
        self.counts: dict[str, int] = {}
        self.skipped: dict[str, str] = {}
        self.seconds = 0.0

    def count(self, what: str, number: int = 1) -> int:
        """Add to a counter and return it."""
        self.counts[what] = self.counts.get(what, 0) + number
        return self.counts[what]
