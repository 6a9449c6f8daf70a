"""Sentences with sentiment ratings from the VADER study, made into labelled data sets with fixed splits.

The ratings (Hutto and Gilbert, ICWSM 2014: mean of 20 people, from -4 to 4) lie in the source distribution of the
Python package vaderSentiment, which is under the MIT licence. The movie reviews are those that the Stanford Sentiment
Treebank (SST-2 of GLUE) was made from; the authors of the sentences keep their rights in them.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s3_speechbrain.data.manifest import write_atomically, write_json
from s3_speechbrain.errors import UserError

PACKAGE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SETS = {
    "movie": "movieReviewSnippets",
    "amazon": "amazonReviewSnippets",
    "nyt": "nytEditorialSnippets",
    "tweets": "tweets",
}
NEUTRAL = 0.5  # ratings nearer to 0 are left out, as SST-2 leaves out the neutral class
SPLITS = {"test": 10, "dev": 10, "train": 80}  # percent


def prepare_reviews(
    folder: Path, names: Sequence[str] = tuple(SETS), archive: Path | None = None
) -> dict[str, Any]:
    """Write ``<folder>/<name>/{train,dev,test}.tsv`` (id, label, text) and ``report.json``.

    Label 1 is a mean rating of 0.5 or more, label 0 one of -0.5 or less. Splits are drawn by a hash of the
    document (sentences of one review stay together) and equal texts stay together.

    Parameters
    ----------
    folder : Path
        Made if needed.
    names : sequence of str
        Some of `SETS`.
    archive : Path, optional
        The package's source distribution; fetched with pip by default.

    Returns
    -------
    dict
        By name: counts per split and label, and what was left out.

    Raises
    ------
    UserError
        If a name is unknown, or the archive cannot be fetched, is another one, or is damaged.
    """
    for name in names:
        if name not in SETS:
            raise UserError(f"no set {name!r}: choose among {', '.join(SETS)}")
    files = _read(_fetch() if archive is None else Path(archive).read_bytes())
    reports = {}
    for name in names:
        rows, left_out = _labelled(files[SETS[name]])
        counts: dict[str, Counter] = {split: Counter() for split in SPLITS}
        lines = {split: ["id\tlabel\ttext"] for split in SPLITS}
        for row, label, text in rows:
            split = _split(row, text)
            counts[split][str(label)] += 1
            lines[split].append(f"{row}\t{label}\t{text}")
        for split in SPLITS:
            write_atomically(folder / name / f"{split}.tsv", "\n".join(lines[split]) + "\n")
        reports[name] = {"source": PACKAGE, "sha256": SHA256, "rows": counts, "left_out": left_out}
        write_json(folder / name / "report.json", reports[name])
    return reports


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary=:all:", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True)
        found = list(Path(folder).glob("*.tar.gz"))
        if done.returncode or len(found) != 1:
            reason = (done.stderr.strip().splitlines() or ["nothing was downloaded"])[-1]
            raise UserError(
                f"pip cannot download the source of {PACKAGE} ({reason}): check the network, or fetch it "
                "elsewhere and pass --archive"
            )
        return found[0].read_bytes()


def _read(content: bytes) -> dict[str, str]:
    """Read the text files of the archive in the archive, without writing any of them."""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UserError(f"the archive is not the source of {PACKAGE}: download it again")
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = outer.extractfile(INNER).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        return {
            stem: archive.extractfile(f"hutto_ICWSM_2014/{stem}_GroundTruth.txt").read().decode()
            for stem in SETS.values()
        }


def _labelled(content: str) -> tuple[list[tuple[str, int, str]], dict[str, int]]:
    rows, left_out, seen = [], Counter(neutral=0, repeated=0), set()
    for row, rating, text in _rows(content):
        if abs(float(rating)) < NEUTRAL:
            left_out["neutral"] += 1
        elif text.lower() in seen:
            left_out["repeated"] += 1
        else:
            seen.add(text.lower())
            rows.append((row, int(float(rating) > 0), text))
    return rows, dict(left_out)


def _rows(content: str) -> Iterator[tuple[str, str, str]]:
    for line in content.splitlines():
        row, rating, text = line.split("\t")
        yield row.strip(), rating, " ".join(text.split())


def _split(row: str, text: str) -> str:
    # "12_3" is sentence 3 of document 12; without a document a text stands for itself
    document = row.split("_")[0] if "_" in row else text.lower()
    place = int.from_bytes(hashlib.sha256(document.encode()).digest()[:8]) % 100
    for split, share in SPLITS.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("the shares add up to 100")
