"""A matrix of runs: the mask of one language, finetuning on another."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from s3_speechbrain.brains.experiment import guard_folder, read_settings
from s3_speechbrain.brains.plan import share
from s3_speechbrain.errors import UserError

MASK = "mask.safetensors"
JOINT = "joint"
KINDS = {
    "fixed": "foreign",
    "adjusted": "parp",
}  # what happens to the mask of the source, and the method that does it
STAGES = ("masks", "cells", "all")


@dataclass(frozen=True)
class Cell:
    """One run of the matrix.

    Attributes
    ----------
    name : str
        ``en-to-fr/fixed``, or ``masks/en`` for the run that makes a source's mask.
    folder : Path
        Its output folder.
    program : str
        The file that runs it, beside the command's own.
    arguments : tuple of str
        Its command line.
    results : tuple of Path
        Files that a complete run has left.
    needs : Path or None
        A file that another run leaves.
    """

    name: str
    folder: Path
    program: str
    arguments: tuple[str, ...]
    results: tuple[Path, ...]
    needs: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return all(path.is_file() for path in self.results)


@dataclass(frozen=True)
class Matrix:
    """All runs of a command.

    Attributes
    ----------
    folder : Path
        Where they lie.
    masks : tuple of Cell
        One-shot pruned (OMP) runs, one per source, and the joint run if asked for. The OMP run of a language is its
        own cell with the mask fixed.
    cells : tuple of Cell
        The others.
    """

    folder: Path
    masks: tuple[Cell, ...]
    cells: tuple[Cell, ...]


def parse(argv: Sequence[str] | None, description: str) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what the matrix does not know goes to each run."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form, allow_abbrev=False)
    parser.add_argument("file", help="settings of every run, for example hparams/demo.yaml")
    parser.add_argument("--languages", required=True, help='targets, for example "[en, fr]"')
    parser.add_argument("--sources", help="languages whose masks are taken (default: the targets)")
    parser.add_argument(
        "--kinds", default=f"[{', '.join(KINDS)}]", help="what is done with them (default: both)"
    )
    parser.add_argument("--joint", metavar="FILE", help="one more source: joint.py with these settings")
    parser.add_argument(
        "--stage", choices=STAGES, default="all", help="masks of the sources, cells, or all (default)"
    )
    parser.add_argument("--shard", default="1/1", help="K/N: of each stage only every Nth run, from the Kth")
    parser.add_argument("--dense_runs", help="PATH/{language}: finished dense runs for the sources' masks")
    parser.add_argument("--matrix_folder", help="where the runs go (default: beside those of train.py)")
    return parser.parse_known_args(argv)


def plan_matrix(given: argparse.Namespace, others: Sequence[str]) -> Matrix:
    """List the runs of a matrix.

    Parameters
    ----------
    given : Namespace
        From `parse`.
    others : sequence of str
        Settings of every run.

    Returns
    -------
    Matrix
        Its runs, finished or not.

    Raises
    ------
    UserError
        If a language or kind is named twice or unknown, or a setting is.
    """
    targets = _names(given.languages, "languages")
    sources = _names(given.sources, "sources") if given.sources else targets
    kinds = _names(given.kinds, "kinds")
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"kinds names {kind!r}: choose among {', '.join(KINDS)}")
    settings = read_settings([given.file, *others])
    name = f"{settings['name']}/cross-lingual-sparsity-{settings['sparsity']}-seed-{settings['seed']}"
    root = Path(given.matrix_folder or f"results/parp/{name}")
    common = (given.file, *others)

    def run(language: str, folder: Path, method: str, *extra: str) -> tuple[str, ...]:
        own = (f"--language={language}", f"--output_folder={folder}", f"--method={method}")
        return (*common, *own, f"--manifest_folder={root / 'manifests' / language}", *extra)

    masks = []
    for source in sources:
        folder = root / "masks" / source
        dense = [f"--dense_run={given.dense_runs.replace('{language}', source)}"] if given.dense_runs else []
        results = (folder / "metrics.json", folder / MASK)
        masks.append(Cell(f"masks/{source}", folder, "train.py", run(source, folder, "omp", *dense), results))
    if given.joint:
        folder = root / "masks" / JOINT
        arguments = (given.joint, *others, f"--languages=[{', '.join(targets)}]", f"--output_folder={folder}")
        results = (*(folder / language / "metrics.json" for language in targets), folder / MASK)
        masks.append(Cell(f"masks/{JOINT}", folder, "joint.py", arguments, results))
    cells = []
    for source in [*sources, *([JOINT] if given.joint else [])]:
        for target in targets:
            for kind in kinds:
                if (source, kind) != (target, "fixed"):  # that is the run that made the mask
                    folder, mask = root / f"{source}-to-{target}" / kind, root / "masks" / source / MASK
                    arguments = run(target, folder, KINDS[kind], f"--mask_file={mask}")
                    results = (folder / "metrics.json",)
                    cells.append(
                        Cell(f"{source}-to-{target}/{kind}", folder, "train.py", arguments, results, mask)
                    )
    return Matrix(root, tuple(masks), tuple(cells))


def _names(text: str, option: str) -> list[str]:
    names = [name.strip(" '\"") for name in text.strip().removeprefix("[").removesuffix("]").split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f'{option} is {text!r}: give a list of different names such as --{option} "[en, fr]"')
    return names


def run_matrix(
    matrix: Matrix, stage: str, shard: str, start: Callable[[Cell], int], progress: bool = True
) -> dict[str, str]:
    """Do what is missing of a matrix, run by run; one that fails does not stop the others.

    Parameters
    ----------
    matrix : Matrix
        From `plan_matrix`.
    stage, shard : str
        Which part, see `parse`.
    start : callable
        Runs a cell; returns its exit status.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of str to str
        Names of the runs that are still missing, with the reason.

    Raises
    ------
    UserError
        If a finished run has other settings than its cell.
    """
    missing = {}
    stages = {"masks": [matrix.masks], "cells": [matrix.cells], "all": [matrix.masks, matrix.cells]}[stage]
    for cell in (cell for cells in stages for cell in cells if cell.finished):
        guard_folder(cell.folder, read_settings(cell.arguments), "matrix_folder")
    for cells in stages:
        mine = share([cell.name for cell in cells], shard)
        todo = [cell for cell in cells if cell.name in mine and not cell.finished]
        for cell in tqdm(todo, desc="cross-lingual", unit="run", disable=not progress):
            if cell.needs is not None and not cell.needs.is_file():
                missing[cell.name] = f"needs {cell.needs}, which --stage masks makes"
            elif status := start(cell):
                missing[cell.name] = f"ended with status {status}"
            elif not cell.finished:
                missing[cell.name] = "left no results"
    return missing


def start_process(recipe: Path) -> Callable[[Cell], int]:
    """Return a function that runs a cell in a process of its own, with the programs of a recipe's folder."""

    def start(cell: Cell) -> int:
        print(f"\n== {cell.name}: {cell.folder}", flush=True)
        return subprocess.run([sys.executable, str(recipe / cell.program), *cell.arguments]).returncode

    return start
