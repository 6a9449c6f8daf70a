"""Read YAML files, and the chain of files that a variant leads to."""

from pathlib import Path

import ruamel.yaml
from ruamel.yaml.comments import CommentedMap

from s3_speechbrain.errors import UserError

BASE = "base"
ADD = "add"


def yaml_parser() -> ruamel.yaml.YAML:
    """Make a parser that keeps tags and comments."""
    yaml = ruamel.yaml.YAML()
    yaml.width = 4096  # long lines would be folded, and folded references do not resolve
    return yaml


def read_mapping(file: Path) -> CommentedMap:
    """Read one YAML file.

    Raises
    ------
    UserError
        If there is no such file, or it is not a valid mapping.
    """
    if not file.is_file():
        others = ", ".join(sorted(path.name for path in file.parent.glob("*.yaml"))) or "none"
        raise UserError(f"no such YAML file: {file} (YAML files there: {others})")
    try:
        tree = yaml_parser().load(file)
    except ruamel.yaml.error.YAMLError as error:
        raise UserError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, CommentedMap):
        raise UserError(f"{file} must hold a mapping of options to values")
    return tree


def read_chain(file: Path) -> list[tuple[Path, CommentedMap]]:
    """Read a YAML file and those it is a variant of.

    Parameters
    ----------
    file : Path
        May begin with ``base: other.yaml``, relative to itself, and so may that file.

    Returns
    -------
    list of (Path, CommentedMap)
        The file first, the full YAML file last.

    Raises
    ------
    UserError
        If a file is missing or not valid, or a chain leads back to itself.
    """
    chain = [(file, read_mapping(file))]
    seen = {file.resolve()}
    while BASE in chain[-1][1]:
        file = file.parent / str(chain[-1][1][BASE])
        if file.resolve() in seen:
            raise UserError(f"{file} is its own base; a base: line must lead to a full YAML file")
        seen.add(file.resolve())
        chain.append((file, read_mapping(file)))
    return chain


def options_added(file: Path, variant: CommentedMap) -> tuple[Path, CommentedMap]:
    """Return the options that a variant adds (``add:``, a mapping or the name of a file), and the file they are in."""
    added = variant.get(ADD, CommentedMap())
    if isinstance(added, str):
        file = file.parent / added
        added = read_mapping(file)
    return file, added


def tag_of(node: object) -> str:
    """Return the YAML tag of a value, such as ``!ref``; empty if it has none."""
    tag = getattr(node, "tag", None)
    return str(getattr(tag, "value", None) or "")
