"""What can be transcribed with: a model folder, a mask bank, a finished run, or a name of the hub."""

import re
from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import Tokenizer, tokenizer_from_record
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.chunks import Chunking
from s3_speechbrain.inference.recogniser import SharedRecogniser
from s3_speechbrain.inference.transcriber import Models, OneModel, Transcriber
from s3_speechbrain.maskbank import Entry, fingerprint, read_entry
from s3_speechbrain.masking import bake_, load_keep_masks_
from s3_speechbrain.modelfolder import fetch, find_backbone, is_model, read_model

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
MODEL, BANK = "model", "bank"


@dataclass(frozen=True)
class Source:
    """Where a model is.

    Attributes
    ----------
    kind : {"model", "bank", "language"}
        A model folder, a mask bank, or the file of one language for mask banks.
    path : Path
        Of the folder or file.
    """

    kind: str
    path: Path


def find_source(name: str | Path, revision: str | None = None) -> Source:
    """Find the model that a name means, on this machine or on the hub.

    Parameters
    ----------
    name : str or Path
        A model folder, a mask bank, the file of one of its languages, a finished run (its ``model/`` or ``bank/``
        is taken), or ``owner/name`` on the hub.
    revision : str, optional
        Tag, branch or commit on the hub.

    Returns
    -------
    Source
        What it is.

    Raises
    ------
    UserError
        If it is none of these.
    """
    path = Path(name)
    if not path.exists():
        if not HUB_NAME.fullmatch(str(name)):
            raise UserError(
                f"no folder {name}: give a model folder, a mask bank, a finished run or a hub name (owner/name)"
            )
        try:
            path = fetch(str(name), revision)
        except UserError as error:
            raise UserError(f"no folder {name} here, and on the hub: {error}") from None
    elif revision is not None:
        raise UserError(f"{name} is a folder here, which has no revision: leave the revision out")
    if path.is_file() and path.suffix == ".safetensors":
        return Source("language", path)
    for folder in (path, path / MODEL, path / BANK):
        if (folder / "bank.json").is_file():
            return Source("bank", folder)
        if is_model(folder):
            return Source("model", folder)
    languages = [file for file in sorted(path.glob("*.safetensors")) if file.stem not in ("mask", "detector")]
    if (path / "metrics.json").is_file() and len(languages) == 1:
        return Source("language", languages[0])
    if (path / "metrics.json").is_file():
        raise UserError(f"the run {name} kept no model: run it again with --save_model True in a new folder")
    raise UserError(
        f"{name} is neither a model folder nor a mask bank nor a finished run: give a folder with config.json and "
        "model.safetensors, with bank.json, or with metrics.json"
    )


def load(
    source: str | Path,
    language: str | None = None,
    revision: str | None = None,
    backbone: str | None = None,
    chunking: Chunking | None = None,
) -> Transcriber:
    """Load a model for transcription; no code of its folder is run.

    Parameters
    ----------
    source : str or Path
        See `find_source`.
    language : str, optional
        What is spoken; where a model has only one language it need not be said.
    revision : str, optional
        On the hub: a commit pins the files for ever.
    backbone : str, optional
        Where the backbone of a mask bank or a language is on this machine; default the one that lies beside it, or
        what it names.
    chunking : Chunking, optional
        How long audio is cut.

    Returns
    -------
    Transcriber
        Ready to use.

    Raises
    ------
    UserError
        If there is no such model, it is damaged, or it has no such language.

    Examples
    --------
    >>> asr = load("results/demo", "fr")  # doctest: +SKIP
    >>> asr.transcribe_file("clip.mp3").text  # doctest: +SKIP
    """
    found = find_source(source, revision)
    if found.kind == "model" and backbone is not None:
        raise UserError(f"{source} is a whole model, which needs no backbone: leave the backbone out")
    return Transcriber(_models(found, backbone), language, chunking)


def _models(source: Source, backbone: str | None) -> Models:
    if source.kind == "model":
        model = read_model(source.path)
        return OneModel(model.recogniser, model.tokenizer, model.languages)
    if source.kind == "bank":
        return SharedRecogniser.from_bank(source.path, backbone)
    entry = read_entry(source.path)
    return OneModel(*_one_language(entry, source.path, backbone), [entry.language])


def _one_language(entry: Entry, path: Path, backbone: str | None) -> tuple[Recogniser, Tokenizer]:
    """Write one language's masks into its backbone."""
    encoder = find_backbone(path.parent, entry.backbone, backbone)
    if fingerprint(encoder) != entry.backbone.fingerprint:
        raise UserError(
            f"{encoder.source} is not the backbone of {path}: give the folder or hub name of {entry.backbone.source} "
            f"({entry.backbone.fingerprint[:12]})"
        )
    load_keep_masks_(encoder, entry.masks)
    bake_(encoder)
    head = CTCHead(labels=len(entry.tokenizer["labels"]), **entry.head_options)
    head.load_state_dict(entry.head)
    return Recogniser(encoder, head), tokenizer_from_record(entry.tokenizer)
