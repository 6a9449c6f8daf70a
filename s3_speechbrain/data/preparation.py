"""What every preparation shares: check, select, write manifests and say what was dropped."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from s3_speechbrain.data.languages import rules_for
from s3_speechbrain.data.manifest import Utterance, file_sha256, manifest_hash, write_json, write_manifest
from s3_speechbrain.data.subsets import draw_minutes, seeded_order
from s3_speechbrain.data.validation import (
    FAULTS,
    Candidate,
    Drop,
    Limits,
    check_clip,
    check_text,
    drop_repeats,
)
from s3_speechbrain.errors import UserError

FORMAT = 1
_CHUNK = 256


@dataclass(frozen=True)
class Options:
    """Everything that changes the manifests; recorded in meta.json, so a changed option redoes the work."""

    train_minutes: float | None = None
    seed: int = 1
    limit: int | None = None
    min_seconds: float = 0.2
    max_seconds: float = 20.0
    spell_numbers: bool = True
    check_audio: bool = True
    disjoint_sentences: bool = True

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be at least 1, not {self.limit}: leave it out to take all clips")
        if self.train_minutes is not None and not self.train_minutes > 0:
            raise UserError(
                f"train_minutes must be above 0, not {self.train_minutes}: leave it out to take all clips"
            )
        if not 0 <= self.min_seconds < self.max_seconds:
            raise UserError(
                f"min_seconds ({self.min_seconds}) must lie below max_seconds ({self.max_seconds})"
            )


@dataclass(frozen=True)
class Prepared:
    """One prepared language.

    Attributes
    ----------
    locale : str
        The language.
    folder : pathlib.Path
        Holds ``<split>.csv``, ``report.json`` and ``meta.json``.
    data_root : pathlib.Path
        What "$data_root" stands for in the manifests.
    csvs : dict of str to pathlib.Path
        Manifest per split.
    report : dict
        The content of ``report.json``.
    sha256 : str
        `manifest_hash` of the folder.
    skipped : bool
        True when an earlier run with the same options had left everything in place.
    """

    locale: str
    folder: Path
    data_root: Path
    csvs: dict[str, Path]
    report: dict[str, Any]
    sha256: str
    skipped: bool


@dataclass
class Source:
    """Rows of one language as read, and the rows that reading already dropped."""

    splits: dict[str, list[Candidate]]
    drops: list[Drop]
    durations: Mapping[str, float]


def fingerprint(locale: str, options: Options, data_root: Path, tables: Mapping[str, Path]) -> dict[str, Any]:
    """Return what manifests depend on: options, language rules, place of the audio, hashes of the tables."""
    facts = {
        "format": FORMAT,
        "locale": locale,
        "options": asdict(options),
        "rules": asdict(rules_for(locale)),
        "data_root": str(data_root),
        "tables": {name: file_sha256(path) for name, path in tables.items() if path.is_file()},
    }
    return json.loads(json.dumps(facts))


def find_finished(folder: Path, facts: Mapping[str, Any]) -> Prepared | None:
    """Return an earlier result if it was made from the same facts and no manifest has changed since."""
    found = reopen(folder)
    return found if found is not None and _meta(folder)["made_from"] == facts else None


def reopen(folder: Path) -> Prepared | None:
    """Return what an earlier run left in a language's folder, if no manifest has changed since."""
    try:
        meta = _meta(folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        intact = all(file_sha256(folder / name) == digest for name, digest in meta["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    if not intact or "made_from" not in meta:
        return None
    csvs = {Path(name).stem: folder / name for name in meta["sha256"]}
    data_root = Path(meta["made_from"]["data_root"])
    return Prepared(meta["made_from"]["locale"], folder, data_root, csvs, report, manifest_hash(folder), True)


def _meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta.json").read_text(encoding="utf-8"))


def prepare_source(
    source: Source, locale: str, folder: Path, facts: dict[str, Any], options: Options, progress: bool = True
) -> Prepared:
    """Check, select and write one language.

    Parameters
    ----------
    source : Source
        Its rows.
    locale : str
        The language.
    folder : pathlib.Path
        Where the manifests go.
    facts : dict
        From `fingerprint`; stored in ``meta.json``.
    options : Options
        Limits and selection.
    progress : bool
        Show progress bars.

    Returns
    -------
    Prepared
        The written files.

    Raises
    ------
    UserError
        When a split has no usable row; the report is written first.
    """
    drops = list(source.drops)
    unique, faults = _check_texts(source, locale, options)
    drops += faults
    kept: dict[str, list[Candidate]] = {}
    left_out = {}
    for split in source.splits:
        kept[split], faults = _select(unique[split], source.durations, options, f"{locale} {split}", progress)
        drops += faults
        left_out[split] = len(unique[split]) - len(kept[split]) - len(faults)
    report = _report(locale, source, kept, left_out, drops)
    earlier = _made_before(folder)
    # it must never vouch for manifests or a report of another run
    (folder / "meta.json").unlink(missing_ok=True)
    write_json(folder / "report.json", report)
    empty = [split for split, rows in kept.items() if not rows]
    if empty:
        raise UserError(
            f"{locale}: no usable row in {', '.join(empty)} ({_main_reasons(report, empty[0])}); "
            f"see {folder / 'report.json'}"
        )
    csvs = {split: folder / f"{split}.csv" for split in kept}
    for stale in earlier - set(csvs.values()):
        stale.unlink(missing_ok=True)
    digests = {
        path.name: write_manifest(path, map(_utterance(locale), kept[split])) for split, path in csvs.items()
    }
    write_json(folder / "meta.json", {"made_from": facts, "sha256": digests})
    return Prepared(locale, folder, Path(facts["data_root"]), csvs, report, manifest_hash(folder), False)


def _made_before(folder: Path) -> set[Path]:
    """Return the manifests of an earlier run; other tables that lie there are the user's."""
    try:
        return {folder / Path(name).name for name in _meta(folder)["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _check_texts(
    source: Source, locale: str, options: Options
) -> tuple[dict[str, list[Candidate]], list[Drop]]:
    drops: list[Drop] = []
    texts: dict[str, list[Candidate]] = {}
    for split, rows in source.splits.items():
        checked = [check_text(row, locale, options.spell_numbers) for row in rows]
        texts[split] = [row for row in checked if isinstance(row, Candidate)]
        drops += [row for row in checked if isinstance(row, Drop)]
    unique, repeats = drop_repeats(texts, options.disjoint_sentences)
    return unique, drops + repeats


def _utterance(locale: str) -> Any:
    return lambda row: Utterance(row.id, row.duration, row.wav, locale, row.text)


def _select(
    rows: list[Candidate], durations: Mapping[str, float], options: Options, title: str, progress: bool
) -> tuple[list[Candidate], list[Drop]]:
    """Check clips until the split is full (without a budget: all) and keep them in the order of the table."""
    budget = options.train_minutes if rows and rows[0].split == "train" else None
    bounded = budget is not None or options.limit is not None
    # A budget takes clips in seeded order: it spreads over all speakers, and reading stops when it is full.
    order = seeded_order([row.id for row in rows], options.seed) if bounded else list(range(len(rows)))
    good: dict[int, Candidate] = {}
    faults: list[Drop] = []
    for position, result in zip(
        order, _checked([rows[i] for i in order], durations, options, title, progress), strict=False
    ):
        if isinstance(result, Drop):
            faults.append(result)
            continue
        good[position] = result
        full = options.limit is not None and len(good) >= options.limit
        if full or (budget is not None and sum_seconds(good) > budget * 60.0):
            break
    kept = [good[position] for position in sorted(good)]
    if budget is not None:
        kept = [
            kept[i]
            for i in draw_minutes([r.id for r in kept], [r.duration for r in kept], budget, options.seed)
        ]
    return kept, faults


def sum_seconds(rows: Mapping[int, Candidate]) -> float:
    """Return the total length of clips in seconds."""
    return sum(row.duration for row in rows.values())


def _checked(
    rows: list[Candidate], durations: Mapping[str, float], options: Options, title: str, progress: bool
) -> Iterator[Candidate | Drop]:
    """Check clips in parallel, lazily in chunks, in the order given."""
    limits = Limits(options.min_seconds, options.max_seconds)
    check = partial(_check_one, limits=limits, durations={} if options.check_audio else durations)
    with (
        ThreadPoolExecutor(min(8, (os.cpu_count() or 1) * 2)) as pool,
        tqdm(total=len(rows), desc=title, unit="clip", disable=not progress, leave=False) as bar,
    ):
        for start in range(0, len(rows), _CHUNK):
            for result in pool.map(check, rows[start : start + _CHUNK]):
                bar.update()
                yield result


def _check_one(row: Candidate, limits: Limits, durations: Mapping[str, float]) -> Candidate | Drop:
    return check_clip(row, limits, durations.get(row.audio.name))


def _report(
    locale: str,
    source: Source,
    kept: Mapping[str, list[Candidate]],
    left_out: Mapping[str, int],
    drops: list[Drop],
) -> dict[str, Any]:
    early = Counter(drop.split for drop in source.drops)
    splits = {}
    for split, rows in kept.items():
        reasons = Counter(drop.reason for drop in drops if drop.split == split)
        splits[split] = {
            "rows": len(source.splits[split]) + early[split],
            "kept": len(rows),
            "minutes": round(sum(row.duration for row in rows) / 60.0, 3),
            "not_drawn": left_out[split],
            "dropped": {reason: reasons[reason] for reason in FAULTS if reasons[reason]},
        }
    return {"locale": locale, "splits": splits, "dropped": [drop._asdict() for drop in drops]}


def _main_reasons(report: Mapping[str, Any], split: str) -> str:
    facts = report["splits"][split]
    reasons = sorted(facts["dropped"].items(), key=lambda item: -item[1])[:3]
    if not facts["rows"]:
        return "it lists no clips: move some of train or validated.tsv there, of speakers that train has not"
    hint = (
        "; disjoint_sentences: False (--keep_shared_sentences) keeps these"
        if "sentence_in_other_split" in dict(reasons)
        else ""
    )
    if facts["not_drawn"]:
        hint += "; train_minutes is shorter than the first clip drawn"
    return f"{facts['rows']} rows" + "".join(f", {count} {reason}" for reason, count in reasons) + hint


def format_table(prepared: Mapping[str, Prepared]) -> str:
    """Return a table of what was kept and why rows were dropped, one line per language and split.

    Parameters
    ----------
    prepared : mapping of str to Prepared
        The results of a preparation.

    Returns
    -------
    str
        Text for a terminal.
    """
    lines = [
        f"{'language':<9} {'split':<11} {'rows':>8} {'kept':>8} {'minutes':>9} {'not drawn':>9}  dropped"
    ]
    for locale, result in prepared.items():
        for split, facts in result.report["splits"].items():
            why = ", ".join(f"{count} {reason}" for reason, count in facts["dropped"].items()) or "none"
            lines.append(
                f"{locale:<9} {split:<11} {facts['rows']:>8} {facts['kept']:>8} {facts['minutes']:>9.1f} "
                f"{facts['not_drawn']:>9}  {why}"
            )
        dropped = any(facts["dropped"] for facts in result.report["splits"].values())
        lines.append(
            f"{'':<9} manifests in {result.folder}{' (already there, unchanged)' if result.skipped else ''}"
            f"{'; report.json there lists what was dropped, with line and reason' if dropped else ''}"
        )
    return "\n".join(lines)


def tables_digest(paths: Mapping[str, Path]) -> str:
    """Return one sha256 over many small tables, by name and content."""
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{name}\0{file_sha256(paths[name])}\n".encode())
    return total.hexdigest()
