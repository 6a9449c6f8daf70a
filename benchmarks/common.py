"""What every benchmark shares: its options, and the JSON line at its end."""

import argparse
import json
import os
import platform
import shlex
import sys
from typing import Any

import torch


def make_parser(description: str, quick: str, repeats: int) -> argparse.ArgumentParser:
    """Make a command line with the options of every benchmark.

    Parameters
    ----------
    description : str
        The script's docstring; its first line is shown.
    quick : str
        What ``--quick`` makes smaller.
    repeats : int
        The default of ``--repeats``.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{quick}: a check, no result")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def read_arguments(parser: argparse.ArgumentParser, quick_repeats: int = 2) -> argparse.Namespace:
    """Read the command line and set the number of threads."""
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats = quick_repeats
    torch.set_num_threads(arguments.threads)
    return arguments


def print_line(benchmark: str, arguments: argparse.Namespace, **measured: Any) -> None:
    """Print what was measured, and on what, as one JSON line."""
    machine = {"torch": torch.__version__, "machine": platform.machine()}
    options = {"threads": arguments.threads, "dtype": "float32", "load": round(os.getloadavg()[0], 2)}
    command = shlex.join(["python", f"benchmarks/{benchmark}.py", *sys.argv[1:]])
    line = {"benchmark": benchmark, "command": command, "quick": arguments.quick}
    print(json.dumps({**line, **options, **machine, **measured}))
