"""What `python train.py --help` prints: the recipe's purpose, its YAML files, and the options of one of them."""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarfloat import ScalarFloat
from speechbrain.utils.run_opts import HELP_TEXTS

from s3_speechbrain.brains.yaml_files import ADD, options_added, read_chain, read_mapping, tag_of, yaml_parser
from s3_speechbrain.errors import UserError

WIDTH = 110
COLUMN = 34  # where explanations begin
DEFAULT = "demo.yaml"  # whose options are shown if neither the user nor the purpose names a file
OBJECTS = ("!new:", "!name:", "!apply:")  # made from other options
RUN_OPTIONS = {
    "--device cpu": "or cuda:0; by default a GPU where there is one",
    "--test_only": "train nothing, test the best checkpoint of the output folder",
    "--distributed_backend gloo": "for several processes (torchrun) on CPUs",
    "--find_unused_parameters": "for several processes with layerdrop above 0",
}


@dataclass
class Option:
    """One option of a YAML file: what it is set to, and the comment behind it."""

    value: object
    comment: str


def help_text(program: str, purpose: str, folder: Path, file: Path | None = None) -> str:
    """Write the help of a recipe.

    Parameters
    ----------
    program : str
        The script's name.
    purpose : str
        Its docstring.
    folder : Path
        Of the recipe's YAML files.
    file : Path, optional
        The YAML file whose options to explain; by default that of the command in the purpose, or `DEFAULT`.

    Returns
    -------
    str
        The text, without a final newline.

    Raises
    ------
    UserError
        If the file does not exist or is not valid.
    """
    blocks = [purpose.replace("``", "").strip()]
    listed = ""
    if file is None:
        files = files_of(program, folder)
        listed = _list(program, files)
        named = re.search(rf"{re.escape(program)} \S*?([\w.]+\.yaml)", purpose)
        file = folder / (named[1] if named else DEFAULT)
        if file not in files:
            return "\n\n".join([*blocks, f"usage: python {program} FILE [--OPTION VALUE ...]", listed])
    blocks += [listed or _header(file), *_options(program, file)]
    return "\n\n".join(block for block in blocks if block)


def _options(program: str, file: Path) -> list[str]:
    found = sections(file)
    options = {name: option for part in found.values() for name, option in part.items()}
    required = [
        f"--{name} VALUE" for name, option in options.items() if tag_of(option.value) == "!PLACEHOLDER"
    ]
    blocks = [
        " ".join([f"usage: python {program} {file}", *required, "[--OPTION VALUE ...]"]),
        f"Options and what {file} sets them to; values are YAML (null, True, [a, b], {{name: value}}):",
    ]
    for title, part in found.items():
        rows = [_row(f"--{name} {_value(option.value)}", option.comment) for name, option in part.items()]
        blocks.append("\n".join([title, *rows]))
    blocks.append("\n".join(["How and where to run", *(_row(*row) for row in RUN_OPTIONS.items())]))
    shown = {name.split()[0].removeprefix("--") for name in RUN_OPTIONS}
    rest = ", ".join(f"--{name}" for name in HELP_TEXTS if name not in shown | options.keys())
    blocks.append(_wrap(f"SpeechBrain's other run options are taken too: {rest}."))
    return blocks


def sections(file: Path) -> dict[str, dict[str, Option]]:
    """Collect the options of a YAML file and of those it is a variant of.

    Parameters
    ----------
    file : Path
        As for `s3_speechbrain.brains.experiment.compose`.

    Returns
    -------
    dict of str to dict of str to Option
        By title, the recipe's own options first; a title is the comment above the first option of a section.
    """
    shared: dict[str, dict[str, Option]] = {}
    own: dict[str, dict[str, Option]] = {}
    *variants, (full, tree) = read_chain(file)
    _collect(shared, full, tree, "General")
    for place, tree in reversed(variants):
        source, added = options_added(place, tree)
        above = _above(place, tree.lc.key(ADD)[0]) if ADD in tree else ""
        _collect(own, source, added, above or "Of this recipe")
        for options in (*shared.values(), *own.values()):
            _override(options, place, tree)
    if any("languages" in options for options in own.values()):
        for options in shared.values():
            options.pop("language", None)  # set for each language in turn
    return {**own, **shared}


def _collect(found: dict[str, dict[str, Option]], file: Path, tree: CommentedMap, title: str) -> None:
    for key, value in tree.items():
        line = tree.lc.key(key)[0]
        above = _above(file, line)
        title = above if above and key != next(iter(tree)) else title
        comment = _behind(file, line)
        if tag_of(value).startswith("!include:"):
            included = file.parent / tag_of(value).removeprefix("!include:")
            names = [name for name, part in read_mapping(included).items() if not _is_object(part)]
            comment = f"{comment} Any of: {', '.join(names)}.".strip()
        if not _is_object(value) and not key.startswith("__"):
            found.setdefault(title, {})[key] = Option(value, comment)


def _override(options: dict[str, Option], file: Path, tree: CommentedMap) -> None:
    for key in options.keys() & tree.keys():
        if _is_object(tree[key]):
            del options[key]  # nothing to type on a command line
        else:
            comment = _behind(file, tree.lc.key(key)[0]) or options[key].comment
            options[key] = Option(tree[key], comment)


def _is_object(value: object) -> bool:
    return tag_of(value).startswith(OBJECTS)


def _above(file: Path, line: int) -> str:
    """Read the comment lines right above a line."""
    lines = file.read_text(encoding="utf-8").splitlines()[:line]
    comment: list[str] = []
    while lines and lines[-1].strip().startswith("#"):
        comment.insert(0, lines.pop().strip().lstrip("#").strip())
    return " ".join(comment)


def _behind(file: Path, line: int) -> str:
    found = re.search(r"\s#\s+(.*)$", file.read_text(encoding="utf-8").splitlines()[line])
    return found[1].strip() if found else ""


def _header(file: Path) -> str:
    """Return the comment that a YAML file begins with."""
    if not file.is_file():
        read_mapping(file)  # says which files there are
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines).strip()


def files_of(program: str, folder: Path) -> list[Path]:
    """List the YAML files of a program: those whose header shows how to run it, or shows no command.

    Raises
    ------
    UserError
        If there is none.
    """
    files = sorted(folder.glob("*.yaml"))
    shown = {file: set(re.findall(r"python (\w+\.py) ", _header(file))) for file in files}
    files = [file for file in files if program in shown[file] or not shown[file]]
    if not files:
        raise UserError(f"no YAML files for {program} in {folder}; give one: python {program} FILE")
    return files


def _list(program: str, files: Sequence[Path]) -> str:
    rows = [_row(str(file), (_header(file).splitlines() or [""])[0]) for file in files]
    return "\n".join([f"files (python {program} FILE --help explains the options of one)", *rows])


def _value(value: object) -> str:
    tag = tag_of(value)
    if tag == "!PLACEHOLDER":
        return "(required)"
    if tag.startswith("!include:"):
        return "{NAME: VALUE, ...}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_value(part)}' for key, part in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if value is None or isinstance(value, ScalarFloat):
        stream = io.StringIO()
        yaml_parser().dump([value], stream)  # a number as it is written, 0.00005 and not 5e-05
        return stream.getvalue().strip().removeprefix("-").strip() or "null"
    return str(getattr(value, "value", value))


def _row(name: str, text: str) -> str:
    name = textwrap.fill(name, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    if len(name) + 2 > COLUMN:
        return f"{name}\n{_wrap(text, COLUMN)}".rstrip()
    return f"{name.ljust(COLUMN)}{_wrap(text, COLUMN).lstrip()}".rstrip()


def _wrap(text: str, indent: int = 0) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
