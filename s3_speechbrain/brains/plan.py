"""What a command for several languages asks for: which languages, in which mode, which of them here."""

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.brains.experiment import read_settings
from s3_speechbrain.brains.methods import METHODS
from s3_speechbrain.data.languages import rules_for
from s3_speechbrain.errors import UserError

MODES = ("independent", "joint", "pooled")
_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE")  # set by torchrun


@dataclass(frozen=True)
class Plan:
    """A command for several languages.

    Attributes
    ----------
    languages, mine : tuple of str
        All of them, and those that this process trains (all, but for shards of independent languages).
    mode : str
        One of `MODES`.
    method : str
        ``mask`` or one of `METHODS`.
    folder : Path
        The output folder.
    bank : Path or None
        The mask bank that the languages go into; None for models that are no masks over one backbone.
    """

    languages: tuple[str, ...]
    mine: tuple[str, ...]
    mode: str
    method: str
    folder: Path
    bank: Path | None

    def unfinished(self) -> list[str]:
        """Return the languages without results so far."""
        return [name for name in self.languages if not (self.folder / name / "metrics.json").is_file()]


def read_plan(argv: Sequence[str], environment: MutableMapping[str, str] = os.environ) -> Plan:
    """Read what a command asks for, and check what can be checked before any training.

    Parameters
    ----------
    argv : sequence of str
        As for `start`, of a YAML file with the options of ``hparams/languages.yaml``.
    environment : mapping
        Where a launcher tells a process its number. With ``shard: rank`` these variables are removed from it,
        because the processes do not train together.

    Returns
    -------
    Plan
        What to do.

    Raises
    ------
    UserError
        If a language is unknown or named twice, there is none, the data folder is missing, or options do not go
        together.
    """
    settings = read_settings(argv)
    languages = languages_of(settings)
    if any(word.partition("=")[0] == "--language" for word in argv):
        raise UserError('language is an option of recipes for one: give a list such as --languages "[tr]"')
    mode, method, shard = settings["mode"], settings["method"], settings["shard"]
    if mode not in MODES:
        raise UserError(f"mode is {mode!r}: choose one of {', '.join(MODES)}")
    _check_method(mode, method, settings)
    if shard is not None and mode != "independent":
        raise UserError(f"shard divides independent languages, and mode is {mode}: leave --shard out")
    if not Path(str(settings["data_folder"])).expanduser().exists():
        raise UserError(f"no data folder {settings['data_folder']}: give --data_folder one that exists")
    mine = languages if shard is None else share(languages, str(shard), environment)
    folder = Path(str(settings["output_folder"]))
    return Plan(languages, mine, mode, method, folder, folder / "bank" if _has_bank(settings) else None)


def _has_bank(settings: Mapping) -> bool:
    if "mask" not in settings or not settings["pretrained"]:
        return False
    # Weights that each language trained for itself are no common backbone.
    return settings["mode"] == "joint" or not settings["train_weights"]


def share(
    languages: Sequence[str], shard: str, environment: MutableMapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the languages of one shard.

    Parameters
    ----------
    languages : sequence of str
        All of them.
    shard : str
        ``K/N``: every Nth from the Kth, counted from 1; ``rank``: from the process's number under torchrun.
    environment : mapping
        As for `read_plan`.

    Returns
    -------
    tuple of str
        Possibly none.

    Raises
    ------
    UserError
        If the shard is neither, or there is no launcher to tell the rank.
    """
    if shard == "rank":
        if any(name not in environment for name in _LAUNCHED):
            raise UserError("shard is rank, but no launcher tells one: use torchrun, or give --shard K/N")
        rank, local, world = (int(environment.pop(name)) for name in _LAUNCHED)
        # Each process has a device of its own: the first that it sees.
        devices = environment.get("CUDA_VISIBLE_DEVICES")
        seen = devices.split(",") if devices else [str(number) for number in range(local + 1)]
        if local >= len(seen):
            raise UserError(
                f"CUDA_VISIBLE_DEVICES is {devices}, too few for process {local + 1} of this machine: give each a "
                "device, or start fewer"
            )
        environment["CUDA_VISIBLE_DEVICES"] = seen[local]
        shard = f"{rank + 1}/{world}"
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", shard)
    if not found or int(found[1]) > int(found[2]):
        raise UserError(f"shard is {shard!r}: give K/N with K from 1 to N, for example 2/5, or rank")
    return tuple(languages[int(found[1]) - 1 :: int(found[2])])


def language_arguments(argv: Sequence[str], plan: Plan, language: str) -> list[str]:
    """Return the command that trains one of a plan's independent languages."""
    return [
        *argv,
        f"--languages=[{language}]",
        f"--language={language}",
        f"--output_folder={plan.folder / language}",
    ]


def languages_of(settings: Mapping) -> tuple[str, ...]:
    """Return the languages that the settings of a command for several name.

    Parameters
    ----------
    settings : mapping
        With ``languages``: a list, or one name.

    Returns
    -------
    tuple of str
        As they are named.

    Raises
    ------
    UserError
        If there is no such setting, or it names none, an unknown one or one twice.
    """
    if "languages" not in settings:
        raise UserError(
            "this YAML file is of another program, for one language: --help lists those of this one"
        )
    given = settings["languages"]
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'languages is {given!r}: give a list such as --languages "[en, fr]"')
    names = [str(name) for name in names]
    if not names:
        raise UserError('languages is empty: name at least one, for example --languages "[en, fr]"')
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"languages names {twice} twice: name it once")
    for name in names:
        rules_for(name)
    return tuple(names)


def _check_method(mode: str, method: str, settings: Mapping) -> None:
    masks = "mask" in settings
    if method != "mask" and method not in METHODS:
        raise UserError(f"method is {method!r}: choose one of mask, {', '.join(METHODS)}")
    if (method == "mask") != masks:
        file = "demo_finetuning.yaml" if masks else "demo.yaml"
        raise UserError(f"method is {method}, but this YAML file has no settings for it: start from {file}")
    if (mode == "joint" and not masks) or (mode == "pooled" and method != "dense"):
        file = f"demo_{mode}.yaml"
        raise UserError(f"mode {mode} does not go with method {method}: start from {file}")
    alone = [name for name in ("mask_file", "teacher_run") if mode == "joint" and settings[name] is not None]
    if alone:
        raise UserError(f"{alone[0]} is of one language, and mode is joint: leave --{alone[0]} out")
