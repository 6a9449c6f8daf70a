"""A folder takes the place of an earlier one: only of one that is ours, and whole or not at all."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3_speechbrain.atomic import flush
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.maskbank.bank import SUFFIX
from s3_speechbrain.maskbank.entry import is_language
from s3_speechbrain.maskbank.header import parse_json
from s3_speechbrain.modelfolder.config import KEY, MOST_CONFIG_BYTES
from s3_speechbrain.modelfolder.files import BACKBONE, CONFIG, METRICS, WEIGHTS, read_text, refusing

CARD, BANK_FILE = "README.md", "bank.json"
_EXTRACTOR = "preprocessor_config.json"
# What `write_model` and `publish` write; the tokenizer's files differ between versions of transformers.
OF_MODELS = {
    *(CARD, CONFIG, WEIGHTS, METRICS, _EXTRACTOR, "vocab.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "hyperparams.yaml", "model.ckpt", "tokenizer.ckpt"),
}
OF_BANKS = {CARD, BANK_FILE, *(f"{BACKBONE}/{name}" for name in (CONFIG, WEIGHTS, _EXTRACTOR))}
_EXAMPLE = re.compile(r"example-(.+)\.(wav|flac|mp3|ogg|opus|m4a)", re.ASCII)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def is_generated(name: str, bank: bool) -> bool:
    """Tell whether this project writes a file of this name into a model folder, or into a bank.

    Parameters
    ----------
    name : str
        Relative to the folder, with ``/``.
    bank : bool
        Whether the folder is a mask bank.
    """
    example = _EXAMPLE.fullmatch(name)
    if example is not None:
        return is_language(example.group(1))
    if bank and name.endswith(SUFFIX) and is_language(name.removesuffix(SUFFIX)):
        return True
    return name in (OF_BANKS if bank else OF_MODELS)


def why_not_ours(folder: Path, banks: bool) -> str | None:
    """Say why a folder may not be replaced; None if it is absent, empty, or nothing but what this project wrote.

    A config and weights alone say nothing: every folder of the Hugging Face hub has them.

    Parameters
    ----------
    folder : Path
        As from `place_of`.
    banks : bool
        Whether a mask bank may be replaced as well as a model folder.
    """
    try:
        if not folder.exists():
            return None
        if not folder.is_dir():
            return "it is no folder"
        found = sorted(folder.iterdir())
        if not found:
            return None
        bank = banks and (folder / BANK_FILE).is_file()
        with refusing(folder):
            ours = MaskBank(folder).backbone is not None if bank else _has_our_config(folder)
        if not ours:
            return "it has no config.json of this project"
        if bank and (folder / BACKBONE).is_dir() and not (folder / BACKBONE).is_symlink():
            found.remove(folder / BACKBONE)
            found += (folder / BACKBONE).iterdir()
        names = {path.relative_to(folder).as_posix(): path for path in found}
        odd = (
            name
            for name, path in names.items()
            if path.is_symlink() or not path.is_file() or not is_generated(name, bank)
        )
        name = next(odd, None)
    except UserError as error:
        return str(error).split(";", 1)[0]
    except OSError as error:
        return f"it cannot be looked at, {error.strerror}"
    return None if name is None else f"{name} in it is not of this project"


def _has_our_config(folder: Path) -> bool:
    if not (folder / CONFIG).is_file():
        return False
    top = parse_json(read_text(folder, CONFIG, MOST_CONFIG_BYTES), "its config")
    return isinstance(top.get(KEY), dict)


def place_of(folder: Path) -> Path:
    """Return where a folder really is: its full path, links followed; it need not exist.

    Raises
    ------
    UserError
        If its links go round in a circle, or it is the root of the disk.
    """
    try:
        found = folder.resolve()
    except (OSError, RuntimeError):  # the latter for links in a circle
        raise UserError(f"{folder} is a link that leads nowhere: give a new folder") from None
    if not found.name:
        raise UserError(f"{folder} is the root of the disk: give a new folder")
    return found


@contextmanager
def under_construction(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder`, which takes its place when all went well and is deleted otherwise.

    Parameters
    ----------
    folder : Path
        As from `place_of`.

    Raises
    ------
    UserError
        If it cannot be written; `folder` is as it was then.
    """
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        with _blaming(folder):
            part.mkdir(parents=True)
        try:
            yield part
        except OSError as error:
            written = error.errno in _FULL or str(error.filename or "").startswith(str(part))
            if written:
                raise _cannot_write(folder, error) from None
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"cannot make {folder}: {reason}; mend this and try again") from None
        with _blaming(folder):
            put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put_in_place(part: Path, folder: Path) -> None:
    """Give a finished folder its name; what had it before is gone afterwards, or has it again if that fails."""
    former = None
    if folder.exists():
        former = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
        os.rename(folder, former)
    try:
        os.rename(part, folder)
    except BaseException:
        if former is not None:
            os.rename(former, folder)
        raise
    with suppress(OSError):  # the folder has its name; some disks of the network cannot flush names
        flush(folder.parent)
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


@contextmanager
def _blaming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(folder, error) from None


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {folder} ({error.strerror}): give a folder that can be written to")
