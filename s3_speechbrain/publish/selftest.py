"""Try a folder before anyone else does: in a new process, without a network, on real clips."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import s3_speechbrain
from s3_speechbrain.brains.errors import ErrorCounter
from s3_speechbrain.errors import UserError
from s3_speechbrain.publish import checks

# Characters that may differ (%): fused kernels and merged adapters round differently, and a tie can fall otherwise.
TOLERANCE = 1.0
TIMEOUT_S = 1800


@dataclass(frozen=True)
class Check:
    """How a folder did.

    Attributes
    ----------
    way : str
        ``model`` or ``bank`` (this project), ``speechbrain``, ``transformers``.
    language : str
        Of the clips.
    clips, equal : int
        Clips transcribed, and those whose text is the run's own.
    difference : float
        Differing characters, in percent.
    seconds : float
        Loading and transcribing.
    """

    way: str
    language: str
    clips: int
    equal: int
    difference: float
    seconds: float

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.way} {self.language}: {self.equal} of {self.clips} texts equal, {self.difference:.2f} % differ"


def check(
    folder: Path,
    way: str,
    clips: Mapping[str, Sequence[Path]],
    expected: Mapping[str, Sequence[str] | None] | None = None,
) -> list[Check]:
    """Transcribe clips with a folder in a new process without network, and compare.

    Parameters
    ----------
    folder : Path
        To be tried.
    way : str
        One of `checks.WAYS`.
    clips : mapping of str to sequence of Path
        Audio files by language; a model is loaded once for all.
    expected : mapping of str to sequence of str, optional
        The texts that should come; where there are none, whatever comes is taken, which still shows that the folder
        loads.

    Returns
    -------
    list of Check
        What was found, by language.

    Raises
    ------
    UserError
        If the folder does not load that way, its texts are others, or it takes more than `TIMEOUT_S` seconds.
    """
    answer = _in_new_process(folder, way, clips)
    return [
        _compare(folder, way, language, texts, (expected or {}).get(language), answer["seconds"])
        for language, texts in answer["texts"].items()
    ]


def _in_new_process(folder: Path, way: str, clips: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place) / "clips.json"
        names = {language: [str(clip.resolve()) for clip in own] for language, own in clips.items()}
        wanted.write_text(json.dumps(names), encoding="utf-8")
        command = [sys.executable, checks.__file__, way, str(folder.resolve()), str(wanted)]
        options = {"capture_output": True, "text": True, "timeout": TIMEOUT_S, "check": False}
        try:
            done = subprocess.run(command, env=_offline(way), cwd=place, **options)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{folder} took more than {TIMEOUT_S} s to be tried with {way}: try fewer clips (--clips)"
            ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it was stopped"])[-1]
        raise UserError(f"{folder} does not load with {way}: {reason[:300]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _compare(
    folder: Path, way: str, language: str, texts: list[str], expected: Sequence[str] | None, seconds: float
) -> Check:
    wanted = texts if expected is None else [" ".join(text.split()) for text in expected]
    errors = ErrorCounter()
    for reference, text in zip(wanted, texts, strict=True):
        errors.add(reference, text)
    difference = errors.rates()["CER"]
    if difference > TOLERANCE:
        found, right = next(pair for pair in zip(texts, wanted, strict=True) if pair[0] != pair[1])
        raise UserError(
            f"with {way}, {folder.name} gives other texts than its run ({difference:.1f} % of the characters), "
            f"as {found[:60]!r} for {right[:60]!r}: do not publish it"
        )
    equal = sum(a == b for a, b in zip(texts, wanted, strict=True))
    return Check(way, language, len(texts), equal, difference, seconds)


def _offline(way: str) -> dict[str, str]:
    """Return the environment of a check: no network, and this project only where it is what is tried."""
    found = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    if way in ("model", "bank"):
        found["PYTHONPATH"] = str(Path(s3_speechbrain.__file__).parent.parent)
    return found
