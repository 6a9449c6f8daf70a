"""Read a grid file and lay it out: one cell per combination of the values that an entry varies."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3_speechbrain.brains.yaml_files import read_mapping
from s3_speechbrain.errors import UserError

PLACES = ("recipe", "program", "file", "corpus", "source")  # of a cell, beside its options
DEFAULTS = {"program": "train.py", "file": "demo.yaml", "source": "builtin"}
KEYS = (*PLACES, "set", "vary", "needs")
OF_THE_RUNNER = ("data_folder", "corpus_name", "task", "output_folder", "unpack_folder", "threads")


@dataclass(frozen=True)
class Need:
    """A run that another one builds on.

    Attributes
    ----------
    option : str
        What the recipe calls it, such as ``dense_run``.
    entry : str
        The entry that makes it.
    inside : str
        Folder below its output folder; empty for the output folder itself.
    fixed : mapping
        Axes whose value is not that of the run that needs it.
    """

    option: str
    entry: str
    inside: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One run that a grid asks for.

    Attributes
    ----------
    entry : str
        Its entry.
    recipe, program, file, corpus, source : str
        Folder below ``recipes/``, Python file in it, YAML file below its ``hparams/``, names of corpus and backbone.
    axes : tuple of str
        What its entry varies.
    options : mapping
        What is set and what is varied.
    needs : tuple of Need
        The runs that it builds on.
    """

    entry: str
    recipe: str
    file: str
    corpus: str
    source: str
    axes: tuple[str, ...]
    options: Mapping[str, Any]
    needs: tuple[Need, ...] = ()
    program: str = DEFAULTS["program"]

    @property
    def values(self) -> dict[str, Any]:
        """Everything that axes can vary."""
        return {**self.options, **{place: getattr(self, place) for place in PLACES}}

    @property
    def label(self) -> str:
        """The entry and the values of its axes; language and seed are told apart elsewhere."""
        told = [
            f"{axis}-{_short(self.values[axis])}" for axis in self.axes if axis not in ("language", "seed")
        ]
        return "-".join([self.entry, *told])


@dataclass(frozen=True)
class Grid:
    """A grid file: its name and the cells of each entry."""

    name: str
    cells: Mapping[str, tuple[Cell, ...]]


def read_grid(path: str | Path) -> Grid:
    """Read and check a grid file.

    Raises
    ------
    UserError
        If the file is missing or wrong, or a need names no entry.
    """
    path = Path(path)
    tree = plain(read_mapping(path))
    unknown = sorted(set(tree) - {"defaults", "grid"})
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; a grid file has defaults and grid")
    defaults, entries = _mapping(tree.get("defaults"), f"{path}: defaults"), tree.get("grid")
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"{path}: grid must be a mapping of entries, each with its set and vary")
    cells = {
        name: expand(name, _mapping(entry, f"{path}: {name}"), defaults, str(path))
        for name, entry in entries.items()
    }
    for group in cells.values():
        for need in group[0].needs:
            if need.entry not in cells:
                raise UserError(
                    f"{path}: {group[0].entry} needs the unknown entry {need.entry!r}; it has {', '.join(cells)}"
                )
    return Grid(path.stem, cells)


def expand(name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> tuple[Cell, ...]:
    """Lay out one entry.

    Parameters
    ----------
    name : str
        Of the entry.
    entry, defaults : mapping
        What the file says of it and of all entries; ``set`` and ``vary`` of both are joined.
    where : str
        The file, for messages.

    Returns
    -------
    tuple of Cell
        In the order of the values, the last axis fastest.
    """
    for given in (entry, defaults):
        unknown = sorted(set(given) - set(KEYS))
        if unknown:
            raise UserError(
                f"{where}: {name} has the unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}"
            )
    place = {key: str(entry.get(key, defaults.get(key, DEFAULTS.get(key, "")))) for key in PLACES}
    fixed, vary = _joined(entry, defaults, f"{where}: {name}")
    _check_axes(vary, fixed, f"{where}: {name}")
    varied = {axis for axes in vary for axis in axes}
    for key in ("recipe", "corpus"):
        if not place[key] and key not in varied:
            raise UserError(f"{where}: {name} lacks {key}; give it there or in defaults")
    needs = tuple(
        _need(option, value, f"{where}: {name}")
        for option, value in _mapping(entry.get("needs"), where).items()
    )
    cells = []
    for row in itertools.product(*vary.values()):
        varied = {}
        for axes, value in zip(vary, row, strict=True):
            varied |= dict(zip(axes, value if len(axes) > 1 else [value], strict=True))
        places = {key: str(varied.get(key, place[key])) for key in PLACES}
        options = fixed | {key: value for key, value in varied.items() if key not in PLACES}
        cells.append(Cell(name, **places, axes=tuple(varied), options=options, needs=needs))
    return tuple(cells)


def needed_cell(cell: Cell, need: Need, candidates: Sequence[Cell]) -> Cell:
    """Choose the one cell of another entry that agrees on every axis which both have.

    Raises
    ------
    UserError
        If there is none or more than one.
    """
    strange = sorted(set(need.fixed) - set(candidates[0].values))
    if strange:
        raise UserError(f"{cell.entry} needs {need.entry} with {strange[0]}, which {need.entry} does not set")
    wanted = {axis: cell.values[axis] for axis in candidates[0].axes if axis in cell.values} | dict(
        need.fixed
    )
    found = [each for each in candidates if all(each.values[axis] == value for axis, value in wanted.items())]
    if len(found) == 1:
        return found[0]
    told = ", ".join(f"{axis} {value}" for axis, value in wanted.items()) or "any values"
    count = f"{len(found)} runs" if found else "no run"
    hint = f"fix its axes, as in {need.option}: {{job: {need.entry}, AXIS: VALUE}}"
    raise UserError(f"{cell.label} needs {need.entry} with {told}, and {count} of it fit; {hint}")


def plain(value: Any) -> Any:
    """Turn what the YAML parser returns into ordinary dicts, lists and numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(getattr(value, "value", value))


def _joined(
    entry: Mapping[str, Any], defaults: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[tuple[str, ...], Any]]:
    """Join what is set and varied; what an entry says of an option counts, not what the defaults say of it."""
    parts = []
    for given in (entry, defaults):
        vary = {
            tuple(str(axes).split()): values for axes, values in _mapping(given.get("vary"), where).items()
        }
        parts.append((_mapping(given.get("set"), where), vary))
    (fixed, vary), (usual, usually) = parts
    own = {*fixed, *(axis for axes in vary for axis in axes)}
    fixed = {**{key: value for key, value in usual.items() if key not in own}, **fixed}
    vary = {**{axes: values for axes, values in usually.items() if not own & {*axes}}, **vary}
    for option in fixed:
        if option in PLACES:
            raise UserError(f"{where}: {option} is no option to set; write it beside set")
    for option in (*fixed, *(axis for axes in vary for axis in axes)):
        if option in OF_THE_RUNNER:
            raise UserError(f"{where}: {option} is set by the runner; leave it out")
    return fixed, vary


def _check_axes(vary: Mapping[tuple[str, ...], Any], fixed: Mapping[str, Any], where: str) -> None:
    for axes, values in vary.items():
        told = " ".join(axes)
        if not axes or not isinstance(values, list) or not values:
            raise UserError(f"{where}: vary {told} must be a list of values")
        if len(axes) > 1 and not all(isinstance(row, list) and len(row) == len(axes) for row in values):
            raise UserError(f"{where}: vary {told} must be a list of lists of {len(axes)} values")
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise UserError(f"{where}: vary {told} names {twice} twice; name it once")
    names = [axis for axes in vary for axis in axes]
    both = next((axis for axis in names if axis in fixed or names.count(axis) > 1), None)
    if both is not None:
        raise UserError(f"{where}: {both} is set or varied twice")


def _need(option: str, value: Any, where: str) -> Need:
    given = {"job": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or not isinstance(given.get("job"), str):
        raise UserError(f"{where}: needs {option} must name an entry, or be {{job: ENTRY, AXIS: VALUE}}")
    entry, _, inside = given["job"].partition("/")
    return Need(option, entry, inside, {axis: item for axis, item in given.items() if axis != "job"})


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a mapping")
    return value


def _short(value: Any) -> str:
    return "+".join(map(_short, value)) if isinstance(value, list) else str(value)
