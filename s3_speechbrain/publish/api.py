"""`publish`: one call from a finished run to a folder that was tried."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_speechbrain.brains.yaml_files import read_mapping
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.modelfolder import LoadedModel, read_model
from s3_speechbrain.modelfolder.replacing import CARD, place_of, under_construction, why_not_ours
from s3_speechbrain.publish.banks import bake_language, bank_card, check_bank, fill_bank, public_backbone
from s3_speechbrain.publish.checks import with_model
from s3_speechbrain.publish.hub import is_repository
from s3_speechbrain.publish.models import (
    add_examples,
    check_model,
    dump_metrics,
    fill_model_folder,
    model_card,
)
from s3_speechbrain.publish.options import BAKED, MASKS, WHOLE, check_clips, check_options
from s3_speechbrain.publish.records import check_records
from s3_speechbrain.publish.selftest import Check
from s3_speechbrain.publish.source import BANK, Clip, Source, find_source, folder_of_tests, test_clips
from s3_speechbrain.report.gather import portable

logger = logging.getLogger(__name__)

# Backbones whose terms are known; a model made from another one needs its licence named.
LICENCES = {"builtin": "apache-2.0", "builtin-random": "apache-2.0"}


@dataclass(frozen=True)
class Published:
    """A published folder.

    Attributes
    ----------
    folder : Path
        Where it is.
    kind : str
        ``"model"`` or ``"bank"``.
    languages : tuple of str
        That it knows.
    files : tuple of (str, int)
        Names and bytes.
    checks : tuple of Check
        What the self-test found; empty if there were no clips to test with.
    """

    folder: Path
    kind: str
    languages: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    checks: tuple[Check, ...]


def publish(
    run: str | Path,
    destination: str | Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    language: str | None = None,
    source: str | None = None,
    backbone: str | None = None,
    revision: str | None = None,
    with_backbone: bool = False,
    dtype: str = "float32",
    clips: int = 10,
    examples: bool = True,
    hub: str | None = None,
) -> Published:
    """Make a folder of a finished run that others can load, and try it.

    Parameters
    ----------
    run : path
        Folder of a finished run, a model folder, or a mask bank.
    destination : path
        The new folder; one that was published before is replaced.
    name : str, optional
        How the card calls it; default `hub`, or the folder's name.
    licence : str, optional
        Of the weights, as the hub writes it (``apache-2.0``, ``cc-by-nc-4.0``); needed unless the backbone is the
        built-in one.
    language : str, optional
        Of a bank: bake this language into an ordinary model, instead of publishing the bank.
    source : str, optional
        Of a bank: where its backbone is on this machine, if not where the bank says.
    backbone, revision : str, optional
        Of a bank: name and revision of its backbone on the hub.
    with_backbone : bool
        Of a bank: carry the backbone along.
    dtype : {"float32", "float16"}
        Of a model's weights.
    clips : int
        Test clips to try the folder on, per language; 0 leaves the test out.
    examples : bool
        Add a test clip of each language where the corpus's licence allows it.
    hub : str, optional
        The ``owner/name`` that it will have on the hub, which the card's commands load; default `name` if it is of
        this form, else the folder's name.

    Returns
    -------
    Published
        The folder and what the test found.

    Raises
    ------
    UserError
        If there is nothing to publish, an option is missing, wrong or without effect on what is published, or the
        folder fails its test; the destination is as it was then.
    """
    found, destination = find_source(run), Path(destination)
    place = _place(destination)
    check_clips(clips)
    if hub is not None and not is_repository(hub):
        raise UserError(f"{hub!r} is no name of a repository: give --hub OWNER/NAME")
    kind = WHOLE if found.kind != BANK else MASKS if language is None else BAKED
    own = {"language": language, "source": source, "backbone": backbone, "revision": revision}
    stored = None if dtype == "float32" else dtype
    check_options(kind, {**own, "with_backbone": with_backbone, "dtype": stored})
    check_records(found.folder, found.metrics if kind != BAKED else _record(found, language))
    title = name or hub or place.name
    address = hub or (title if is_repository(title) else place.name)
    order = _Order(found, title, address, licence, source, clips, examples)
    with under_construction(place) as part:
        if kind == MASKS:
            languages, tried = order.fill_with_bank(part, backbone, revision, with_backbone)
        else:
            languages, tried = order.fill_with_model(part, language, dtype)
    return _published(destination, BANK if kind == MASKS else "model", languages, tried)


@dataclass(frozen=True)
class _Order:
    """What is to be published, and how; the fields are arguments of `publish`."""

    found: Source
    title: str
    address: str
    licence: str | None
    source: str | None
    clips: int
    examples: bool

    def fill_with_bank(
        self, part: Path, backbone: str | None, revision: str | None, with_backbone: bool
    ) -> tuple[Sequence[str], tuple[Check, ...]]:
        """Fill a folder with a bank; return its languages and what the test found."""
        bank = MaskBank(self.found.folder)
        if not bank.languages:
            raise UserError(f"the bank {self.found.folder} has no languages: train one into it first")
        public = public_backbone(bank, backbone, revision, with_backbone)
        terms = _licence(self.licence, public.source)
        metrics = _portable(self.found.metrics)
        fill_bank(part, bank, bank.languages, public, with_backbone, self.source)
        heard = _clips(self.found, bank.languages, self.clips)
        tried = check_bank(part, heard, _expected(self.found, heard, None))
        copied = add_examples(part, metrics, heard) if self.examples else []
        card = bank_card(part, self.title, metrics, terms, copied, tried, self.address)
        (part / CARD).write_text(card, encoding="utf-8")
        return bank.languages, tried

    def fill_with_model(
        self, part: Path, language: str | None, dtype: str
    ) -> tuple[Sequence[str], tuple[Check, ...]]:
        """Fill a folder with a model, of a bank with one language of it; return as `fill_with_bank` does."""
        model, metrics = _model(self.found, language, part, self.source)
        terms = _licence(self.licence, model.config.facts.backbone)
        fill_model_folder(part, model, dump_metrics(metrics), dtype)
        heard = _clips(self.found, model.languages, self.clips)
        tried = check_model(part, heard, _expected(self.found, heard, part))
        copied = add_examples(part, metrics, heard) if self.examples else []
        card = model_card(part, self.title, model, metrics, terms, copied, tried, self.address)
        (part / CARD).write_text(card, encoding="utf-8")
        return model.languages, tried


def bake(bank: str | Path, language: str, destination: str | Path, source: str | None = None) -> LoadedModel:
    """Make an ordinary model folder of one language of a mask bank, and nothing around it; see `publish`.

    Parameters
    ----------
    bank : path
        The bank, or the run that left it.
    language : str
        Which.
    destination : path
        The new model folder.
    source : str, optional
        Where the backbone is on this machine, if not where the bank says.
    """
    found = find_source(bank)
    if found.kind != BANK:
        raise UserError(f"{bank} is no mask bank: a model needs no baking")
    check_records(found.folder, _record(found, language))
    own = _portable(found.metrics)[language]
    return bake_language(MaskBank(found.folder), language, Path(destination), own, source)


def _record(found: Source, language: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded of a language that is in a bank."""
    MaskBank(found.folder).existing(language)
    return {language: found.metrics[language]}


def _model(
    found: Source, language: str | None, part: Path, source: str | None
) -> tuple[LoadedModel, dict[str, dict[str, Any]]]:
    """Return the model to publish with its metrics: the run's own, or a language of a bank, baked."""
    metrics = _portable(found.metrics)
    if found.kind == BANK:
        own = metrics[language]
        return bake_language(MaskBank(found.folder), language, part, own, source), {language: own}
    return read_model(found.folder), metrics


def _portable(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return metrics without this machine's folders; those of a bank have no command."""
    cleaned = {name: portable({"command": "", **record}) for name, record in metrics.items()}
    return {
        name: {key: value for key, value in record.items() if key != "command" or value}
        for name, record in cleaned.items()
    }


def _licence(given: str | None, backbone: str) -> str:
    licence = given or LICENCES.get(backbone)
    if licence is None:
        raise UserError(
            f"under which licence? The terms of the backbone {backbone} and of the data decide: "
            "give --licence, such as apache-2.0 or cc-by-nc-4.0"
        )
    return licence


def _clips(found: Source, languages: Sequence[str], count: int) -> dict[str, list[Clip]]:
    if count == 0:
        return {}
    if found.run is None:
        raise UserError(
            f"the run of {found.folder} is not around it, so there are no clips to try it on: give the run's "
            "folder, or --clips 0"
        )
    untried = [language for language in languages if folder_of_tests(found.run, language) is None]
    if untried and len(untried) < len(languages):  # of a bank, to which languages were added
        logger.warning("not tried on clips, as %s has none: %s", found.run, ", ".join(untried))
        languages = [language for language in languages if language not in untried]
    return {language: test_clips(found.run, language, count) for language in languages}


def _expected(
    found: Source, clips: Mapping[str, Sequence[Clip]], model: Path | None
) -> dict[str, list[str] | None]:
    """Return the texts that have to come: the run's own, or those of its model where it was tested with beam search."""
    texts: dict[str, list[str] | None] = {}
    for language, own in clips.items():
        beam = any(
            read_mapping(place).get("searcher") is not None
            for place in (found.run / "hyperparams.yaml", found.run / language / "hyperparams.yaml")
            if place.is_file()
        )
        texts[language] = [clip.hypothesis for clip in own]
        if beam:  # the folder decodes greedily
            audio = {language: [str(clip.audio) for clip in own]}
            texts[language] = None if model is None else with_model(str(model), audio)[language]
    return texts


def _place(destination: Path) -> Path:
    """Return where a destination really is, if it may be written to."""
    place = place_of(destination)
    reason = why_not_ours(place, banks=True)
    if reason is None and place.exists() and any(place.iterdir()) and not (place / CARD).is_file():
        reason = f"it has no {CARD}"
    if reason is not None:
        raise UserError(f"{destination} holds something that was not published ({reason}): give a new folder")
    return place


def _published(folder: Path, kind: str, languages: Sequence[str], checks: Sequence[Check]) -> Published:
    files = [
        (path.relative_to(folder).as_posix(), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return Published(folder, kind, tuple(languages), tuple(files), tuple(checks))
