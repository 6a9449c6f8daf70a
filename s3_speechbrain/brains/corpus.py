"""Prepared data of one language, or of several: manifests, tokenizers, datasets."""

import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain.utils.distributed import if_main_process, run_on_main

from s3_speechbrain.brains.batches import Clips, make_dataset
from s3_speechbrain.brains.tokens import Characters, Phones, Pieces, Tokenizer
from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.librispeech import prepare_librispeech
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.data.phones import pronounce
from s3_speechbrain.data.preparation import format_table
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

CORPORA = ("common_voice", "librispeech")
Rows = dict[str, dict[str, dict]]  # split -> clip -> duration, wav, text


@dataclass
class Corpus:
    """What a Brain needs to know about its data.

    Attributes
    ----------
    name, language : str
        For the record.
    clips : dict of str to Clips
        By split: ``train``, ``dev``, ``test`` and further test sets.
    tokenizer : Tokenizer
        Made from training text alone.
    sha256 : str
        Of the manifests.
    train_minutes : float
        Audio in the training set.
    dropped : dict of str to dict of str to int
        By split, how many rows were left out for which reason; ``report.json`` beside the manifests lists them.
    """

    name: str
    language: str
    clips: dict[str, Clips]
    tokenizer: Tokenizer
    sha256: str
    train_minutes: float
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)


def load_corpus(hparams: Mapping) -> Corpus:
    """Prepare a corpus (once, on the main process) and open it.

    Parameters
    ----------
    hparams : mapping
        ``corpus``, ``corpus_name``, ``data_folder``, ``manifest_folder``, ``unpack_folder``,
        ``output_folder``, ``language``, ``train_minutes``, ``subset_seed``, ``limit``, ``prepare`` (further
        options of the preparation), ``tokenizer``, ``pieces`` and ``extra_tests``.

    Returns
    -------
    Corpus
        The opened data.

    Raises
    ------
    UserError
        If the corpus is unknown, the data folder is missing or no split has a usable row.
    """
    read = _prepare(hparams)
    return _open(hparams, read, run_on_main(_tokenizer, args=[hparams, _texts(read.rows)]))


def load_corpora(
    hparams: Mapping, languages: Sequence[str], shared_vocabulary: bool = False
) -> dict[str, Corpus]:
    """Prepare and open the corpora of several languages.

    Parameters
    ----------
    hparams : mapping
        As for `load_corpus`. Each language has its own folder ``<output_folder>/<language>``.
    languages : sequence of str
        Which.
    shared_vocabulary : bool
        Make one tokenizer, from the training text of all languages, instead of one for each.

    Returns
    -------
    dict of str to Corpus
        By language.

    Raises
    ------
    UserError
        As `load_corpus`.
    """
    views = {
        language: {
            **hparams,
            "language": language,
            "output_folder": str(Path(hparams["output_folder"]) / language),
        }
        for language in languages
    }
    prepared = {language: _prepare(view) for language, view in views.items()}
    if shared_vocabulary:
        texts = [text for read in prepared.values() for text in _texts(read.rows)]
        one = run_on_main(_tokenizer, args=[hparams, texts])
        tokenizers = dict.fromkeys(languages, one)
    else:
        tokenizers = {
            language: run_on_main(_tokenizer, args=[view, _texts(prepared[language].rows)])
            for language, view in views.items()
        }
    return {
        language: _open(view, prepared[language], tokenizers[language]) for language, view in views.items()
    }


@dataclass
class _Read:
    """What the manifests of a language hold: rows by split, their hash, and how many were left out and why."""

    rows: Rows
    sha256: str
    dropped: dict[str, dict[str, int]]


def _prepare(hparams: Mapping) -> _Read:
    """Write the manifests, tell what was left out, and read them."""
    kind, data = hparams["corpus"], Path(str(hparams["data_folder"])).expanduser()
    if kind not in CORPORA:
        raise UserError(f"corpus is {kind!r}: choose one of {', '.join(CORPORA)}")
    if not data.exists():
        raise UserError(f"no data folder {data}: give --data_folder a folder or tar that exists")
    prepare = prepare_common_voice if kind == "common_voice" else prepare_librispeech
    arguments = {
        "data_folder": data,
        "save_folder": hparams["manifest_folder"],
        "train_minutes": hparams["train_minutes"],
        "seed": hparams["subset_seed"],
        "limit": hparams["limit"],
        **hparams["prepare"],
    }
    if kind == "common_voice":
        arguments |= {"languages": [hparams["language"]], "cache_folder": hparams["unpack_folder"]}
    known = inspect.signature(prepare).parameters
    for name in arguments.keys() - known.keys():
        raise UserError(f"prepare has the unknown option {name!r}: {kind} knows {', '.join(known)}")
    prepared = run_on_main(prepare, kwargs=arguments).get(hparams["language"])
    if prepared is None:
        raise UserError(f"{kind} has no language {hparams['language']!r}; it was prepared for another one")
    if if_main_process():
        logger.info("%s", format_table({hparams["language"]: prepared}))
    rows = {name: _rows(csv, prepared.data_root) for name, csv in prepared.csvs.items()}
    sha256 = prepared.sha256
    if hparams["tokenizer"] == "phones":
        file = Path(hparams["manifest_folder"]) / f"phones-{hparams['language']}.json"
        rows, sha256 = run_on_main(pronounce, args=[rows, hparams["language"], file, sha256])
    dropped = {name: dict(facts["dropped"]) for name, facts in prepared.report["splits"].items()}
    return _Read(rows, sha256, {name: reasons for name, reasons in dropped.items() if reasons})


def name_of(data_folder: str | Path) -> str:
    """Return what a corpus is called if nobody says so: its folder or archive, without ``.tar.gz`` and the like."""
    return re.sub(r"\.(tar(\.(gz|bz2|xz|zst))?|tgz|zip)$", "", Path(data_folder).resolve().name)


def _open(hparams: Mapping, read: _Read, tokenizer: Tokenizer) -> Corpus:
    rows = read.rows
    wanted = ["train", "dev", "test", *hparams["extra_tests"]]
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise UserError(f"extra_tests names {unknown[0]!r}: this data has {', '.join(sorted(rows))}")
    return Corpus(
        name=hparams["corpus_name"] or name_of(hparams["data_folder"]),
        language=hparams["language"],
        clips={name: Clips(make_dataset(rows[name], tokenizer)) for name in wanted},
        tokenizer=tokenizer,
        sha256=read.sha256,
        dropped=read.dropped,
        train_minutes=sum(row["duration"] for row in rows["train"].values()) / 60,
    )


def _texts(rows: Rows) -> list[str]:
    return [row["text"] for row in rows["train"].values()]


def _rows(csv: Path, data_root: Path) -> dict[str, dict]:
    rows = {}
    for row in read_manifest(csv):
        wav = row.wav.replace("$data_root", str(data_root), 1)
        rows[row.id] = {"duration": row.duration, "wav": wav, "text": row.text}
    return rows


def _tokenizer(hparams: Mapping, texts: list[str]) -> Tokenizer:
    folder, kind = Path(hparams["output_folder"]), hparams["tokenizer"]
    if kind == "characters":
        return Characters.load_or_create(folder / "characters.txt", texts)
    if kind == "sentencepiece":
        return Pieces.load_or_create(folder / "pieces.model", texts, hparams["pieces"])
    if kind == "phones":
        if hparams.get("searcher") is not None:
            raise UserError("searcher spells words from letters or pieces: leave it out for phones")
        return Phones.load_or_create(folder / "phones.txt", texts)
    raise UserError(f"tokenizer is {kind!r}: choose characters, sentencepiece or phones")
