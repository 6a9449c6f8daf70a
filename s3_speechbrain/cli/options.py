"""Options that several subcommands share."""

import argparse
import glob
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_speechbrain.errors import UserError

if TYPE_CHECKING:
    from s3_speechbrain.inference import Transcriber

SOUND = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac"),
    *(".aiff", ".aif", ".au", ".caf", ".w64", ".amr", ".mka", ".mkv", ".mov", ".wma", ".g722"),
)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a model."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="a model folder, a mask bank, a finished run, or owner/name on the Hugging Face hub",
    )
    parser.add_argument(
        "--language", metavar="CODE", help="what is spoken, if the model has several languages"
    )
    parser.add_argument(
        "--revision", metavar="REV", help="hub only: tag, branch or (for ever the same) commit"
    )
    parser.add_argument(
        "--backbone",
        metavar="SOURCE",
        help="mask banks only: folder or hub name of the backbone, if it moved",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="of the processor (default: all cores)")


def positive(text: str) -> int:
    """Read a positive integer from the command line."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def printable(text: str | Path) -> str:
    """Replace what could steer a terminal, break a line or not be encoded: names and labels may come from anywhere."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


def json_line(fields: Mapping[str, Any]) -> str:
    """Return an object as JSON in one line that is safe to print.

    What `printable` replaces is escaped here instead, so that nothing is lost: of a file name that is not valid UTF-8,
    ``os.fsencode`` makes the name on the disk from what ``json.loads`` gives.
    """
    text = json.dumps(fields, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def load_model(given: argparse.Namespace, **options: object) -> "Transcriber":
    """Load the model that the options of `add_model` choose."""
    import torch
    from transformers.utils import logging

    from s3_speechbrain.inference import load

    logging.disable_progress_bar()
    if given.threads:
        torch.set_num_threads(given.threads)
    return load(given.model, given.language, given.revision, given.backbone, **options)


def sound_files(names: Iterable[str]) -> list[Path]:
    """Find the sound files that arguments mean.

    Parameters
    ----------
    names : iterable of str
        Files; folders, which are searched with all below them for names that end like sound; patterns with ``*``,
        ``?``, ``[...]`` and ``**``, for shells that leave them as they are.

    Returns
    -------
    list of Path
        Each once, in the order of the arguments, sorted within a folder or pattern. A file that is not there is
        among them: who reads it refuses it, and goes on with the others.

    Raises
    ------
    UserError
        If a folder or pattern gives none.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            here = sorted(file for file in path.rglob("*") if file.suffix.lower() in SOUND and file.is_file())
            if not here:
                raise UserError(f"{name} holds no sound files: give a folder with wav, flac, mp3, ... in it")
        elif not os.path.lexists(path) and glob.has_magic(name):
            here = [Path(file) for file in sorted(glob.glob(name, recursive=True)) if Path(file).is_file()]
            if not here:
                raise UserError(f"no file fits {name!r}: check the pattern")
        else:
            here = [path]
        found |= dict.fromkeys(here)
    return list(found)
