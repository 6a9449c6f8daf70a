"""From finished mask runs to a mask bank."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import run_on_main

from s3_speechbrain.brains.tokens import tokenizer_record
from s3_speechbrain.data.languages import normaliser_id
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import (
    Backbone,
    Entry,
    MaskBank,
    fingerprint,
    read_entry,
    write_entry,
)
from s3_speechbrain.masking import SELECTION

# What a bank remembers of a run beside its masks and head.
RECORDED = ("recipe", "method", "seed", "data", "dev", "test", "config")


def backbone_of(encoder: SpeechEncoder, revision: str | None = None) -> Backbone:
    """Tell which backbone an encoder is; it may be masked by now."""
    folder = Path(encoder.source)
    source = str(folder.resolve()) if folder.is_dir() else encoder.source
    return Backbone(source, revision, fingerprint(encoder))


def write_backbone(encoder: SpeechEncoder, plain: SpeechEncoder, folder: Path) -> Backbone:
    """Write the weights of a masked encoder, without masks, as a folder that `SpeechEncoder` reads.

    Parameters
    ----------
    encoder : SpeechEncoder
        Masked; its weights were trained.
    plain : SpeechEncoder
        Built in the same way and not masked; it gets the weights.
    folder : Path
        Written by the main process.

    Returns
    -------
    Backbone
        The new backbone.
    """
    original = ".parametrizations.weight.original"
    weights = {
        f"{name.removesuffix(original)}.weight" if name.endswith(original) else name: weight
        for name, weight in encoder.model.state_dict().items()
        if not name.endswith((*SELECTION, ".keep"))
    }
    plain.model.load_state_dict(weights)
    run_on_main(plain.save_pretrained, args=[folder])
    return Backbone(str(folder.resolve()), None, fingerprint(encoder))


def entry_of(brain: Any, metrics: Mapping[str, Any], backbone: Backbone) -> Entry:
    """Collect what a bank stores of a trained language.

    Parameters
    ----------
    brain : MaskBrain
        With the best checkpoint loaded and its masks not baked in.
    metrics : mapping
        From `collect_metrics`.
    backbone : Backbone
        What the masks are for.

    Returns
    -------
    Entry
        The language. Its settings are those that `settings_of` reads.
    """
    hparams, corpus = brain.hparams, brain.corpus
    masks = asdict(hparams.mask)
    masks.pop("seed")
    record = {name: metrics[name] for name in RECORDED}
    # Of one language: a joint run waits, as it trains, once for each of its languages.
    updates = metrics["cost"]["updates"]
    budget = {
        "updates": updates,
        "valid_every": max(1, updates * hparams.valid_every // hparams.updates),
        "freeze_updates": hparams.freeze_updates,
    }
    record["config"] = {**record["config"], **masks, **budget}
    return Entry(
        language=corpus.language,
        backbone=backbone,
        masks=brain.masks(),
        head=brain.head.state_dict(),
        head_options={
            "width": brain.recogniser.encoder.width,
            "hidden": list(hparams.head["hidden"]),
            "layers": hparams.head["layers"],
        },
        tokenizer=tokenizer_record(corpus.tokenizer),
        normaliser=normaliser_id(corpus.language),
        sparsity=metrics["sparsity"],
        metrics=record,
    )


def keep_entry(folder: Path, entry: Entry) -> int:
    """Write a language into its run's folder, on the main process, and return its size in bytes."""
    return run_on_main(write_entry, args=[entry_file(folder, entry.language), entry])


def entry_file(folder: Path, language: str) -> Path:
    """Return where a run keeps its language for banks."""
    return folder / f"{language}.safetensors"


def deposit(bank: str | Path | None, folder: Path, languages: Sequence[str]) -> None:
    """Copy languages of finished runs into a bank, on the main process, unless they are there already.

    Parameters
    ----------
    bank : path or None
        The bank's folder; made if needed. None does nothing.
    folder : Path
        With a run's folder for each language.
    languages : sequence of str
        Which.

    Raises
    ------
    UserError
        If a run left no language, or one over another backbone than the bank's.
    """
    if bank is not None:
        for language in languages:
            run_on_main(deposit_file, args=[Path(bank), entry_file(folder / language, language)])


def deposit_file(bank: Path, file: Path) -> None:
    """Copy one language's file into a bank; see `deposit`."""
    if not file.is_file():
        raise UserError(f"{file} is missing: delete {file.parent} and train the language again")
    there = bank / file.name
    if not there.is_file() or there.read_bytes() != file.read_bytes():
        MaskBank(bank).add(read_entry(file), replace=True)
