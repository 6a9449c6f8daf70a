"""The settings that a run would start with, and what makes two runs the same run."""

import functools
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from s3_speechbrain.brains.experiment import VOLATILE, read_settings
from s3_speechbrain.brains.yaml_files import tag_of
from s3_speechbrain.errors import UserError

# A name for others to read, what is known apart from the settings, and what a run builds on.
APART = frozenset({"name", "corpus_name", "task", "__set_seed"})
BUILT_ON = ("_run", "mask_file")
DATA = "{data}"  # in a value of a grid: the place of the job's corpus
ELSEWHERE = "ELSEWHERE"  # stands for a path, which says nothing about what a run is
STAND_INS = {"language": "LANGUAGE", "seed": "1"}


def builds_on(option: str) -> bool:
    """Tell whether an option names what another run left."""
    return option.endswith(BUILT_ON)


def as_text(value: Any) -> str:
    """Write a value as a recipe's command line takes it."""
    if value is None:
        return "null"
    if isinstance(value, float):  # 3e-05 is a text to some YAML parsers
        return format(Decimal(repr(value)), "f")
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def resolve(
    recipe: Path, file: str, options: Mapping[str, Any], program: str = "train.py"
) -> Mapping[str, Any]:
    """Return the settings that a recipe's command would start with.

    Parameters
    ----------
    recipe : Path
        Its folder.
    file : str
        A YAML file below its ``hparams/``.
    options : mapping
        What the command line sets. Paths to other runs are named there, but what they are does not matter.
    program : str
        Its Python file.

    Raises
    ------
    UserError
        If the recipe, the program, the file or an option is unknown, or one is missing.
    """
    if not (recipe / "train.py").is_file():
        known = sorted(
            str(path.parent.relative_to(recipe.parents[1])) for path in recipe.parents[1].glob("*/*/train.py")
        )
        raise UserError(
            f"no such recipe: {recipe.parent.name}/{recipe.name}; the recipes are {', '.join(known) or 'none'}"
        )
    if not (recipe / program).is_file():
        raise UserError(f"{recipe.parent.name}/{recipe.name} has no {program}")
    # Reading YAML takes a tenth of a second, and most runs of a grid differ in these alone. Nodes that refer to
    # them keep the stand-in, which hides nothing: the options themselves are settings too.
    given = {key: STAND_INS.get(key, as_text(value)) for key, value in options.items()}
    own = {key: value for key, value in options.items() if key in STAND_INS}
    return {**_resolved(recipe / "hparams" / file, tuple(sorted(given.items()))), **own}


@functools.lru_cache(maxsize=4096)
def _resolved(file: Path, options: tuple[tuple[str, str], ...]) -> Mapping[str, Any]:
    given = {"data_folder": ELSEWHERE, "output_folder": ELSEWHERE, **dict(options)}
    words = [word for key, text in given.items() for word in (f"--{key}", text)]
    return read_settings([str(file), *words])


def settings_key(settings: Mapping[str, Any]) -> str:
    """Return the settings as one text, equal for two runs that differ only in where they happen."""
    kept = {
        str(key): _kept(value)
        for key, value in settings.items()
        if key not in VOLATILE and key not in APART and not builds_on(str(key))
    }
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def identity(recipe: str, settings: Mapping[str, Any], corpus: str, needs: Mapping[str, str]) -> str:
    """Return eight hex digits that tell a run from others.

    Parameters
    ----------
    recipe : str
        Its folder below ``recipes/``, and its program where that is not ``train.py``.
    settings : mapping
        From `resolve`, with the name of the backbone instead of its path.
    corpus : str
        Its name.
    needs : mapping
        By option, the identity (and folder below it) of what it builds on.
    """
    whole = json.dumps([recipe, settings_key(settings), corpus, sorted(needs.items())])
    return hashlib.sha256(whole.encode()).hexdigest()[:8]


def _kept(node: Any) -> Any:
    """Return what a node says: 1 and 1.0 are the same setting, and so are 0.5 and the text 0.5."""
    if isinstance(node, Mapping):
        return [tag_of(node), {str(key): _kept(value) for key, value in node.items()}]
    if isinstance(node, list | tuple):
        return [_kept(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    text = str(getattr(node, "value", node)).replace(DATA, "PATH")  # as the evidence writes places
    try:
        return float(text)
    except ValueError:
        return text
