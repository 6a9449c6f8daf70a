"""The command behind a run, as another person on another machine would type it."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# what metrics.json calls a recipe (its folder below recipes/, its program), where it is not the name of its folder
RECORDED = {("Text/parp", "train.py"): "text_parp", ("CommonVoice/parp", "joint.py"): "parp_joint"}

# defaults that have changed: what they were, in which recipes; a record that does not tell another value had this one
FORMER = {"max_grad_norm": (5.0, ("finetuning", "mask_finetuning", "multilingual", "parp", "parp_joint"))}

LIBRISPEECH = "librispeech"  # the name of the corpus in records; its recipes have a folder of their own
PLAIN = re.compile(r"[\w@%+=:,./-]+")  # a word that a shell leaves as it is, in any script


def portable_path(text: str) -> str:
    """Replace an absolute or home path, or each in a list, by ``PATH/`` and its last name; leave other text alone."""
    if text.startswith("[") and text.endswith("]"):
        return f"[{', '.join(_portable_part(part.strip()) for part in text[1:-1].split(','))}]"
    if text.startswith("/") and re.search(
        r"/hparams/[^/]+\.yaml$", text
    ):  # of a recipe, whose folder is known
        return "/".join(Path(text).parts[-2:])
    if text.startswith(("/", "~/")):  # blanks in it or not
        return f"PATH/{Path(text).name}".rstrip("/")
    return text


def _portable_part(text: str) -> str:
    """Clean one entry of a list, which may stand in quotes; they stay where there is nothing to clean."""
    bare = text.strip("\"'")
    cleaned = portable_path(bare)
    return text if cleaned == bare else cleaned


def portable_command(command: str) -> str:
    """Return a command that says nothing about this machine's folders.

    ``~/bin/python train.py --data_folder=/data/cv`` becomes ``python train.py --data_folder=PATH/cv``.
    """
    quote = shlex.quote
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is never closed
        words, quote = command.split(), str
    if words and Path(words[0]).name.startswith("python"):
        words[0] = "python"
    cleaned = []
    for word in words:
        option, equals, value = word.partition("=")
        cleaned.append(f"{option}={portable_path(value)}" if equals else portable_path(word))
    return " ".join(word if PLAIN.fullmatch(word) else quote(word) for word in cleaned)


def former_defaults(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record that it does not tell, since they were defaults, and that are none any more."""
    config = run.get("config") or {}
    return {
        name: value
        for name, (value, recipes) in FORMER.items()
        if run["recipe"] in recipes and name not in config
    }


def command_today(run: Mapping[str, Any]) -> str:
    """Return the command of a record with the defaults of its time that have changed, so that it gives the same run."""
    added = [
        f"--{name} {value}"
        for name, value in former_defaults(run).items()
        if f"--{name}" not in run["command"]
    ]
    return " ".join([run["command"], *added])


def recipe_folder(run: Mapping[str, Any]) -> str:
    """Return the folder, below the project's, that a run's command is given in."""
    apart = {name: folder for (folder, _), name in RECORDED.items()}
    command, recipe = run["command"], run["recipe"]
    if recipe not in apart and ("--languages" in command or "add_language.py" in command):
        recipe = "multilingual"  # which trains what other recipes train, language by language
    folder = apart.get(recipe, f"CommonVoice/{recipe}")
    if run["data"]["name"] == LIBRISPEECH:
        folder = folder.replace("CommonVoice", "LibriSpeech")
    return f"recipes/{folder}"


def command_line() -> str:
    """Return the command that started this process, as another person would type it."""
    script = Path(sys.argv[0])
    if script.is_absolute() and script.is_relative_to(Path.cwd()):
        script = script.relative_to(Path.cwd())
    return portable_command(shlex.join(["python", str(script), *sys.argv[1:]]))
