"""``s3sb inspect``: what is in a folder or file."""

import argparse
from typing import Any

from s3_speechbrain.cli.options import json_line, printable

HELP = "tell what is in a model folder, mask bank, run or sound file"
EPILOG = """\
examples:
  s3sb inspect results/demo/bank
  s3sb inspect results/demo/fr --json
  s3sb inspect owner/name --revision v1
  s3sb inspect clip.mp3

For models: languages, what made them (method, backbone), sizes, sparsity, error rates, licence, and a fingerprint
that tells two models apart (of a bank: of its backbone). Nothing is run, and weights are not loaded.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("what", nargs="+", metavar="WHAT", help="folder, file, or owner/name on the hub")
    parser.add_argument("--revision", metavar="REV", help="hub only: tag, branch or commit")
    parser.add_argument("--json", action="store_true", help="one JSON object per argument and line")


def run(given: argparse.Namespace) -> int:
    """Describe each argument."""
    from s3_speechbrain.inference.contents import describe

    for number, name in enumerate(given.what):
        found = describe(name, given.revision)
        if given.json:
            print(json_line({"name": name, **found}))
        else:
            print(*([""] if number else []), printable(name), *_lines(found), sep="\n")
    return 0


def _lines(found: dict[str, Any], indent: str = "  ") -> list[str]:
    """Write a table of plain data with aligned values; tables of tables are indented."""
    shown = {name: value for name, value in found.items() if value not in (None, {}, [], "")}
    width = max((len(name) for name, value in shown.items() if not _is_deep(value)), default=0)
    lines = []
    for name, value in shown.items():
        if _is_deep(value):
            lines += [f"{indent}{printable(name)}", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{printable(name):<{width}}  {printable(_text(name, value))}")
    return lines


def _is_deep(value: Any) -> bool:
    """Tell a table with long values or tables in it from one that fits a line."""
    return isinstance(value, dict) and any(isinstance(part, dict | list) for part in value.values())


def _text(name: str, value: Any) -> str:
    from s3_speechbrain.report.tables import amount, size

    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(key, part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if "bytes" in name and isinstance(value, int):
        return size(value)
    if name == "parameters" and isinstance(value, int):
        return amount(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
