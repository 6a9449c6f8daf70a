"""Write the prompts as a Common Voice folder, with a report and the licence, and recognise a finished one."""

import csv
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from s3_speechbrain.data.prompts_catalogue import VOICES
from s3_speechbrain.data.prompts_source import Tree
from s3_speechbrain.data.prompts_text import Dropped, count_reasons
from s3_speechbrain.errors import UserError

SPLITS = ("train", "dev", "test")
COLUMNS = (
    "client_id",
    "path",
    "sentence_id",
    "sentence",
    "sentence_domain",
    "up_votes",
    "down_votes",
    "age",
    "gender",
    "accents",
    "variant",
    "locale",
    "segment",
)
# Raised whenever the same source and options give other files: an old folder is then done anew.
LAYOUT = 1
TITLE = "# Asterisk core sounds, "  # of ATTRIBUTION.md: other corpora have such a file, too
SOURCE_NOTE = "source.sha256"

# split, file name in clips/, sentence, seconds, sentence key
Row = tuple[str, str, str, float, str]


def tell(message: str) -> None:
    """Print a message for the user where it does not mix with results."""
    print(message, file=sys.stderr)


def write_text(path: Path, text: str) -> None:
    """Write a file that is either complete or not there."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def table(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as Common Voice writes them: tabs between columns, no quoting."""
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def check_own(folder: Path) -> None:
    """Refuse to write into a corpus that was not made here: its clips would be deleted.

    Parameters
    ----------
    folder : Path
        `save_folder/LANGUAGE`; may not exist yet.

    Raises
    ------
    UserError
        If there are clips or tables, and no mark of an earlier run.
    """
    notice = folder / "ATTRIBUTION.md"
    ours = (folder / "clips" / SOURCE_NOTE).is_file() or (
        notice.is_file() and notice.read_text(encoding="utf-8", errors="replace").startswith(TITLE)
    )
    others = [folder / name for name in ("clips", *(f"{split}.tsv" for split in SPLITS))]
    there = next((path for path in others if path.exists()), None)
    if there is not None and not ours:
        raise UserError(f"{there} is of another corpus and would be replaced: give another --save_folder")


def open_clips(folder: Path, source: str) -> None:
    """Make `clips`, emptied first unless an interrupted run decoded the same source there.

    Parameters
    ----------
    folder : Path
        `save_folder/LANGUAGE`.
    source : str
        `content_digest` of what will be decoded; empty to start anew in any case.
    """
    note = folder / "clips" / SOURCE_NOTE
    known = note.read_text(encoding="utf-8") if note.exists() else ""
    if not source or known != source:
        shutil.rmtree(folder / "clips", ignore_errors=True)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    write_text(note, source)


def remove_strays(folder: Path, keep: set[str]) -> None:
    """Delete decoded clips that are not in the tables, as other options or an interruption leave them."""
    for path in (folder / "clips").glob("prompts_*"):
        if path.name not in keep:
            path.unlink()


def write_corpus(
    folder: Path, tree: Tree, rows: Sequence[Row], dropped: Sequence[Dropped], options: dict[str, Any]
) -> dict[str, Any]:
    """Write tables, licence and report; the report comes last and marks the folder as finished.

    Parameters
    ----------
    folder : Path
        `save_folder/LANGUAGE`, whose `clips` are decoded already.
    tree : Tree
        For the language and the licence files.
    rows : sequence of (split, file name, sentence, seconds, sentence key)
        What was kept.
    dropped : sequence of Dropped
        What was not.
    options : dict
        What the result depends on; goes into the report.

    Returns
    -------
    dict
        The report: language, options, splits (clips, minutes, sentences), dropped (count by reason),
        dropped_rows, and files (SHA-256 of each table).
    """
    (folder / "report.json").unlink(missing_ok=True)
    voice = VOICES[tree.language]
    tables: dict[str, list[Sequence[object]]] = {f"{split}.tsv": [COLUMNS] for split in SPLITS}
    tables["clip_durations.tsv"] = [("clip", "duration[ms]")]
    for split, file, sentence, seconds, key in rows:
        sentence_id = hashlib.sha256(key.encode()).hexdigest()[:16]
        tables[f"{split}.tsv"].append(
            [
                voice.speaker,
                file,
                sentence_id,
                sentence,
                "",
                2,
                0,
                "",
                voice.gender,
                voice.accent,
                "",
                tree.language,
                "",
            ]
        )
        tables["clip_durations.tsv"].append((file, round(seconds * 1000)))
    for name, lines in tables.items():
        write_text(folder / name, table(lines))
    write_licence(folder, tree)
    report = {
        "language": tree.language,
        "layout": LAYOUT,
        "options": options,
        "splits": {split: summary(split, rows) for split in SPLITS},
        "dropped": count_reasons(dropped),
        "dropped_rows": [row.as_dict() for row in sorted(dropped, key=lambda row: (row.line, row.name))],
        "files": {name: digest(folder / name) for name in sorted(tables)},
    }
    write_text(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def summary(split: str, rows: Iterable[Row]) -> dict[str, float]:
    """Count one split."""
    chosen = [row for row in rows if row[0] == split]
    return {
        "clips": len(chosen),
        "minutes": round(sum(row[3] for row in chosen) / 60, 3),
        "sentences": len({row[4] for row in chosen}),
    }


def digest(path: Path) -> str:
    """Return a small file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_licence(folder: Path, tree: Tree) -> None:
    """Write ATTRIBUTION.md, and the source's own licence and credit files."""
    voice = VOICES[tree.language]
    name, address = voice.licence
    write_text(
        folder / "ATTRIBUTION.md",
        f"{TITLE}{tree.language}\n\n"
        f"{voice.credit}\n\n"
        f"Licence: {name} ({address}).\n"
        "Source: https://downloads.asterisk.org/pub/telephony/sounds/ and the Debian packages\n"
        f"asterisk-core-sounds-{tree.language} and asterisk-core-sounds-{tree.language}-g722.\n\n"
        "Changed: G.722 decoded to FLAC at 16 kHz; entries that are no speech, have no certain\n"
        "text or are too long left out; lost accents restored; arranged as train, dev and test in Common\n"
        "Voice layout.\n",
    )
    for notice in tree.notices:
        write_text(folder / notice.name, notice.read_text(encoding="utf-8", errors="replace"))


def done_before(folder: Path, options: dict[str, Any]) -> dict[str, Any] | None:
    """Return the report of an earlier run with the same options whose files are all still there, or None."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        same = report["layout"] == LAYOUT and all(report["options"][key] == options[key] for key in options)
        if not same or any(digest(folder / name) != known for name, known in report["files"].items()):
            return None
        with (folder / "clip_durations.tsv").open(encoding="utf-8", newline="") as stream:
            clips = [row["clip"] for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)]
        complete = all((folder / "clips" / clip).stat().st_size > 0 for clip in clips)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if complete else None


def format_report(reports: dict[str, dict[str, Any]]) -> str:
    """Return the table of what was kept and why rows were dropped, for the terminal."""
    lines = ["language" + "".join(f"{split:>16}" for split in SPLITS) + f"{'dropped':>9}"]
    for language, report in reports.items():
        splits = [report["splits"][split] for split in SPLITS]
        cells = "".join(f"{s['clips']:>5} / {s['minutes']:>4.1f} min" for s in splits)
        lines.append(f"{language:8}{cells}{sum(report['dropped'].values()):>9}")
    reasons = sorted({reason for report in reports.values() for reason in report["dropped"]})
    if reasons:
        lines += ["", f"{'dropped because':44}" + "".join(f"{language:>5}" for language in reports)]
    for reason in reasons:
        counts = "".join(f"{report['dropped'].get(reason, 0):>5}" for report in reports.values())
        lines.append(f"{reason:44}{counts}")
    return "\n".join(lines)
