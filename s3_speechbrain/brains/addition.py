"""One more language for a mask bank: the settings to train it with, and proof that nothing else changed."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import run_on_main

from s3_speechbrain.brains.banking import deposit_file, entry_file
from s3_speechbrain.brains.results import TUNED, USUAL
from s3_speechbrain.data.manifest import file_sha256
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank, fingerprint, read_header
from s3_speechbrain.masking import MaskConfig
from s3_speechbrain.report import read_metrics, write_metrics

# What one more language takes over from those of a bank, where its run recorded it. Precision is a matter of hardware.
SHARED = {*TUNED, *USUAL, *MaskConfig.__dataclass_fields__, "freeze_updates", "valid_every"} - {
    *("precision", "rank", "head_only_updates", "seed", "magnitude_scale", "train_weights")
}
# YAML 1.1 takes a number without a point, as in 5e-05, for a text.
_POINTLESS = re.compile(r"(?<=^[1-9])e(?=-)")


def digests(folder: str | Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by relative path."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def add_to_bank(bank: MaskBank, folder: Path, language: str) -> int:
    """Copy a finished run's new language into a bank, and make sure that nothing else in the bank changed.

    Parameters
    ----------
    bank : MaskBank
        From `open_bank`.
    folder : Path
        The run's; ``added_to_bank`` in its ``metrics.json`` then says what was found.
    language : str
        Which.

    Returns
    -------
    int
        How many other files the bank has, all as they were.

    Raises
    ------
    UserError
        As `deposit`, or if another file is not what it was.
    """
    return run_on_main(_add_to_bank, args=[bank, folder, language])


def _add_to_bank(bank: MaskBank, folder: Path, language: str) -> int:
    before = digests(bank.folder)
    before.pop(bank.path(language).name, None)  # written already, by this command before it was killed
    languages = [other for other in bank.languages if other != language]
    deposit_file(bank.folder, entry_file(folder, language))
    after = digests(bank.folder)
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    if changed:
        raise UserError(f"{changed[0]} in {bank.folder} changed meanwhile: see what else writes there")
    found = {"languages_before": languages, "files_before": len(before), "files_unchanged": len(before)}
    found["bytes"] = bank.path(language).stat().st_size
    write_metrics(folder, {**read_metrics(folder), "added_to_bank": found})
    return len(before)


def open_bank(folder: str | Path, new: str, run: Path) -> MaskBank:
    """Open a bank that is to get one more language.

    Parameters
    ----------
    folder : path
        The bank's.
    new : str
        The language.
    run : Path
        The folder that it is trained in.

    Returns
    -------
    MaskBank
        The bank, unchanged.

    Raises
    ------
    UserError
        If there is no bank, or it has the language from another run.
    """
    bank, own = MaskBank(folder), entry_file(run, new)
    if bank.backbone is None:
        raise UserError(f"{folder} is no mask bank: give --bank a folder with a bank.json")
    there = bank.path(new)
    if there.exists() and not (own.is_file() and own.read_bytes() == there.read_bytes()):
        raise UserError(f"{folder} has {new!r} already: remove {there} to train it anew")
    return bank


def check_backbone(bank: MaskBank, build: Callable[[], SpeechEncoder]) -> None:
    """Refuse to train a language for a bank over another backbone than the bank's.

    Raises
    ------
    UserError
        Before any training.
    """
    with torch.random.fork_rng():  # training then draws what it would have drawn
        encoder = build()
    found, ours = fingerprint(encoder), bank.backbone
    if found != ours.fingerprint:
        raise UserError(
            f"{encoder.source} ({found[:12]}) is not the backbone of {bank.folder}: give --source a folder or hub "
            f"name of {ours.source} ({ours.fingerprint[:12]})"
        )


def settings_of(bank: MaskBank) -> tuple[dict[str, Any], list[str]]:
    """Read the backbone of a bank, and the settings that its languages were trained with.

    Parameters
    ----------
    bank : MaskBank
        From `open_bank`.

    Returns
    -------
    shared : dict
        Options with the values that all languages have.
    differing : list of str
        Options that differ between languages.
    """
    each: list[dict[str, Any]] = []
    for language in bank.languages:
        header = read_header(bank.existing(language))
        recorded = header.metrics.get("config")
        recorded = USUAL | dict(recorded) if isinstance(recorded, Mapping) else {}
        config = {name: value for name, value in recorded.items() if name in SHARED}
        head = {name: value for name, value in header.head_options.items() if name != "width"}
        each.append({**config, "head": head})
    names = sorted(set().union(*each))
    shared = {
        name: each[0].get(name) for name in names if all(one.get(name) == each[0].get(name) for one in each)
    }
    shared |= {"source": bank.backbone.source, "encoder": {"revision": bank.backbone.revision}}
    return shared, [name for name in names if name not in shared]


def as_options(settings: Mapping[str, Any]) -> list[str]:
    """Write settings as command-line options.

    Examples
    --------
    >>> as_options({"lr": 5e-05, "groups": ["ffn"], "head_lr": None})
    ['--lr=5.0e-05', '--groups=["ffn"]', '--head_lr=null']
    """
    texts = {name: json.dumps(value) for name, value in settings.items()}
    return [f"--{name}={_POINTLESS.sub('.0e', text)}" for name, text in texts.items()]
