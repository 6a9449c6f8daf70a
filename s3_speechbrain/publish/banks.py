"""A mask bank as a folder that anyone can load, and one of its languages as an ordinary model."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import tokenizer_from_record
from s3_speechbrain.encoders import BUILTIN
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import Backbone, MaskBank, MaskSwitch, fingerprint, read_header
from s3_speechbrain.modelfolder import (
    LoadedModel,
    ModelFacts,
    load_backbone,
    read_model,
    write_backbone,
    write_model,
)
from s3_speechbrain.modelfolder.files import BACKBONE
from s3_speechbrain.publish.card import CardFacts, make_card
from s3_speechbrain.publish.examples import Example
from s3_speechbrain.publish.selftest import Check, check
from s3_speechbrain.publish.source import Clip


def public_backbone(bank: MaskBank, name: str | None, revision: str | None, carried: bool) -> Backbone:
    """Name a bank's backbone so that the name means something on another machine.

    Raises
    ------
    UserError
        If the bank names a folder of this machine and no better name is given.
    """
    known = bank.backbone
    if name is not None:
        return Backbone(name, revision, known.fingerprint)
    if carried:
        return Backbone(
            BACKBONE if Path(known.source).is_absolute() else known.source, known.revision, known.fingerprint
        )
    if known.source != BUILTIN and Path(known.source).is_absolute():
        raise UserError(
            f"the bank's backbone is the folder {known.source} of this machine: name it for others "
            "(--backbone owner/name), or publish it along (--with_backbone)"
        )
    return known


def fill_bank(
    folder: Path,
    bank: MaskBank,
    languages: Sequence[str],
    backbone: Backbone,
    carried: bool,
    source: str | None,
) -> None:
    """Write languages of a bank, under a public name of its backbone, and by option the backbone itself."""
    copy = MaskBank(folder)
    for language in languages:
        copy.add(dataclasses.replace(bank.read(language), backbone=backbone))
    if carried:
        encoder = load_backbone(bank, source)
        if fingerprint(encoder) != backbone.fingerprint:
            raise UserError(
                f"{encoder.source} is not the backbone of {bank.folder}: give --source, the right folder"
            )
        write_backbone(folder / BACKBONE, encoder)


def check_bank(
    folder: Path, clips: Mapping[str, Sequence[Clip]], expected: Mapping[str, Sequence[str] | None]
) -> list[Check]:
    """Try each language of a bank; see `selftest.check`."""
    audio = {language: [clip.audio for clip in own] for language, own in clips.items()}
    return check(folder, "bank", audio, expected) if audio else []


def bake_language(
    bank: MaskBank, language: str, folder: Path, metrics: Mapping[str, Any], source: str | None
) -> LoadedModel:
    """Write one language of a bank as a model folder: its masks become zeros of an ordinary network.

    Parameters
    ----------
    bank : MaskBank
        With the language.
    language : str
        Which.
    folder : Path
        The new model folder.
    metrics : mapping
        What is recorded about the language.
    source : str or None
        Where the backbone is on this machine; None for what the bank carries or names.

    Returns
    -------
    LoadedModel
        The folder, read back.
    """
    entry, encoder = bank.read_packed(language), load_backbone(bank, source)
    if fingerprint(encoder) != entry.backbone.fingerprint:
        raise UserError(
            f"{encoder.source} is not the backbone of {bank.folder}: give --source, the right folder"
        )
    shapes = {name: mask.shape for name, mask in entry.masks.items()}
    MaskSwitch(encoder, [shapes]).apply(entry.masks)
    head = CTCHead(labels=len(entry.tokenizer["labels"]), **entry.head_options)
    head.load_state_dict(entry.head)
    known = entry.backbone.source
    facts = ModelFacts(
        languages={language: entry.normaliser},
        recipe=metrics["recipe"],
        method=metrics["method"],
        backbone=Path(known).name if Path(known).is_absolute() else known,
        revision=entry.backbone.revision,
    )
    recogniser = Recogniser(encoder, head).eval()
    write_model(folder, recogniser, tokenizer_from_record(entry.tokenizer), facts, metrics)
    return read_model(folder)


def bank_card(
    folder: Path,
    name: str,
    metrics: Mapping[str, Mapping[str, Any]],
    licence: str,
    examples: Sequence[Example],
    checks: Sequence[Check],
    address: str | None = None,
) -> str:
    """Return the card of a bank; `address` (default: `name`) is what its command loads."""
    bank = MaskBank(folder)
    sizes = {language: bank.path(language).stat().st_size for language in bank.languages}
    sound = examples[0].file if examples else "clip.wav"
    language = examples[0].language if examples else bank.languages[0]
    carried = (folder / BACKBONE).is_dir()
    revision = f" at revision {bank.backbone.revision}" if bank.backbone.revision else ""
    where = (
        "It lies in `backbone/`."
        if carried
        else f"It is not in this repository: it is `{bank.backbone.source}`{revision}."
    )
    rows = "\n".join(f"| {one} | {size:,d} | {_layers(bank, one)} |" for one, size in sizes.items())
    usage = [
        "## Use it\n\nReads data only and runs no code of this folder.\n\n"
        f"```\ns3sb transcribe {sound} --model {shlex.quote(address or name)} --language {language}\n```\n",
        f"## What is in it\n\nOne frozen encoder, with fingerprint `{bank.backbone.fingerprint[:16]}`, and for each "
        f"language a file with its masks, head and vocabulary. {where}\n\n"
        f"| language | bytes | masked layers |\n|---|---|---|\n{rows}\n",
    ]
    notes = [
        "Plain SpeechBrain and plain transformers know no masks: bake a language first "
        "(`s3sb publish BANK FOLDER --language fr`), which makes an ordinary model of it.",
        "Masks save storage, not time: the network computes with zeros.",
        "Error rates are those of the test set named above; other speakers, noise and accents do worse.",
    ]
    return make_card(
        CardFacts(
            title=name,
            kind=f"Speech recognition in {len(sizes)} languages ({', '.join(sizes)}): masks over one shared encoder "
            "(S3-Router's mask finetuning), made with S3-SpeechBrain.",
            metrics=metrics,
            licence=licence,
            backbone=bank.backbone.source,
            revision=bank.backbone.revision,
            library="s3-speechbrain",
            tags=["mask-bank", "multilingual"],
            usage=usage,
            notes=notes,
            examples=examples,
            checks=checks,
        )
    )


def _layers(bank: MaskBank, language: str) -> int:
    return len(read_header(bank.path(language)).layers)
