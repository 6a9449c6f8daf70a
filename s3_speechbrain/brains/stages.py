"""Earlier stages of a run: trained once in folders of their own, taken up again when they are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import run_on_main
from torch import nn

from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import METRICS, backbone_name
from s3_speechbrain.brains.state import TrainedState
from s3_speechbrain.errors import UserError
from s3_speechbrain.report.metrics import dump, read_json, write_text_atomic
from s3_speechbrain.report.schema import value_of

STAGE = "stage.json"  # written when a stage is complete; the same fields as metrics.json, fewer of them
RATES = ("CER", "WER", "PER")
VOCABULARIES = ("characters.txt", "pieces.model", "phones.txt")


@dataclass(frozen=True)
class Stage:
    """A finished training that a later one builds on.

    Attributes
    ----------
    name : str
        ``dense``, ``round-3``, ...
    folder : Path
        Where its checkpoints are.
    facts : mapping
        What is known about it: fields of ``metrics.json``.
    shared : bool
        Trained by another run, which several runs may share.
    """

    name: str
    folder: Path
    facts: Mapping[str, Any]
    shared: bool = False

    @property
    def cost(self) -> dict[str, Any]:
        """Its line in ``cost.stages``."""
        spent = {key: self.facts["cost"][key] for key in ("updates", "wall_s")}
        return {"name": self.name, **spent, "shared": self.shared}


def read_stage(folder: Path) -> Stage | None:
    """Return the stage that was completed in a folder, if there is one."""
    return Stage(folder.name, folder, read_json(folder / STAGE)) if (folder / STAGE).is_file() else None


def complete_stage(brain: CTCBrain, method: str) -> Stage:
    """Write down that a stage is complete; call it after everything else that the stage leaves.

    Parameters
    ----------
    brain : CTCBrain
        After its training, with the stage's folder as ``output_folder``.
    method : str
        For the record.

    Returns
    -------
    Stage
        As `read_stage` will find it.
    """
    brain.keep_time()
    folder = Path(brain.hparams.output_folder)
    last = brain.history.rounds[-1]
    facts = {
        "method": method,
        "backbone": backbone_name(vars(brain.hparams)),
        "backbone_sha256": backbone_sha256(vars(brain.hparams)),
        "language": brain.corpus.language,
        "seed": brain.hparams.seed,
        "data": {"manifest_sha256": brain.corpus.sha256},
        "cost": {"wall_s": brain.history.seconds, "updates": last["updates"]},
        "sparsity": {"masked": brain.sparsity()["masked"]},
        "dev": {name: last[f"valid_{name}"] for name in RATES if f"valid_{name}" in last},
        "config": {"head_only_updates": brain.hparams.head_only_updates},
    }
    return write_stage(folder, facts)


def write_stage(folder: Path, facts: Mapping[str, Any]) -> Stage:
    """Write down what is known about a complete stage."""
    run_on_main(write_text_atomic, args=[folder / STAGE, dump(facts)])
    return Stage(folder.name, folder, facts)


def find_run(folder: str | Path, option: str, methods: Sequence[str], wanted: Mapping[str, Any]) -> Stage:
    """Find a finished run or stage of other folders that this run may build on.

    Parameters
    ----------
    folder : path
        Its output folder.
    option : str
        What the user gave it as, for messages.
    methods : sequence of str
        What it may have trained.
    wanted : mapping of str to Any
        Dotted fields of ``metrics.json`` and the values that they must have. ``backbone_sha256`` counts where both
        sides tell it, as older records do not.

    Returns
    -------
    Stage
        Marked as shared.

    Raises
    ------
    UserError
        If there is no such run, it is unfinished, or a field differs.
    """
    folder = Path(folder)
    file = next((folder / name for name in (METRICS, STAGE) if (folder / name).is_file()), None)
    if file is None:
        raise UserError(
            f"{option} {folder} is no finished run: give the output folder of one, or leave it out"
        )
    facts = read_json(file)
    if facts.get("method") not in methods:
        raise UserError(
            f"{option} {folder} is a run of method {facts.get('method')}: give one of {', '.join(methods)}"
        )
    for field, value in wanted.items():
        found = value_of(facts, field)
        if field == "backbone_sha256" and None in (found, value):
            continue
        if found != value:
            raise UserError(
                f"{option} {folder} has {field} {found}, this run {value}: give a run that agrees, or leave "
                f"{option} out"
            )
    return Stage(option.lstrip("-").removesuffix("_run"), folder, facts, shared=True)


def same_vocabulary(folder: Path, other: Path) -> bool:
    """Tell whether two output folders hold the same output tokens."""
    found = [
        {name: (each / name).read_bytes() for name in VOCABULARIES if (each / name).is_file()}
        for each in (folder, other)
    ]
    return found[0] == found[1]


def load_stage_(model: nn.Module, stage: Stage, best: str | None = None) -> None:
    """Load the trained tensors of a stage into a model that is built as it was built for the stage.

    Parameters
    ----------
    model : nn.Module
        Changed in place, bit by bit to what was saved.
    stage : Stage
        Where from.
    best : str, optional
        Take the checkpoint with the lowest dev error of this name; otherwise the latest.

    Raises
    ------
    UserError
        If the stage has no checkpoint, or it is of another network or vocabulary.
    """
    folder = stage.folder / "checkpoints"
    found = Checkpointer(folder).find_checkpoint(min_key=best) if folder.is_dir() else None
    if found is None:
        raise UserError(f"{stage.folder} has no checkpoints any more: run it again")
    try:
        TrainedState(model).load(found.path / "trained.ckpt")
    except UserError as error:
        if not stage.shared:
            raise
        what = str(error).partition(": it is of")[0]
        raise UserError(
            f"{what}: {stage.name}_run has another head, backbone or vocabulary than this run; give one that agrees"
        ) from None


def cost_of_stages(final: Mapping[str, Any], earlier: Sequence[Stage]) -> dict[str, Any]:
    """Add up what a run of several stages cost.

    Parameters
    ----------
    final : mapping
        ``updates`` and ``wall_s`` of the last stage.
    earlier : sequence of Stage
        The others.

    Returns
    -------
    dict
        ``updates`` and ``wall_s`` of all stages together; ``own_updates`` and ``own_wall_s`` without those
        trained by another run; ``stages`` one by one. Empty if there are no earlier stages.
    """
    if not earlier:
        return {}
    last = {"name": "final", "updates": final["updates"], "wall_s": final["wall_s"], "shared": False}
    stages = [*(stage.cost for stage in earlier), last]
    total: dict[str, Any] = {"stages": stages}
    for key in ("updates", "wall_s"):
        total[key] = sum(stage[key] for stage in stages)
        total[f"own_{key}"] = sum(stage[key] for stage in stages if not stage["shared"])
    return total
