"""Variants of one recogniser side by side: latency, real-time factor, memory, size and errors."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from s3_speechbrain.brains.errors import ErrorCounter
from s3_speechbrain.brains.tokens import Tokenizer
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.export.worker import TIMED

TIMED_SECONDS = 10.0
PASSES = 2


@dataclass(frozen=True)
class Variant:
    """A way to run a recogniser.

    Attributes
    ----------
    runtime : str
        ``torch`` or ``onnxruntime``.
    dtype : str
        For the table.
    model : Path
        A model folder, or an exported file.
    levers : str or None
        What `optimize_for_inference` is asked for; None to run PyTorch as it comes.
    """

    runtime: str
    dtype: str
    model: Path
    levers: str | None = None


def torch_variants(folder: Path) -> list[Variant]:
    """Return the variants of a model folder in PyTorch, as it comes first."""
    names = {"float32": None, "float32, oneDNN": "float32", "bfloat16": "bfloat16", "int8": "int8"}
    return [Variant("torch", dtype, folder, levers) for dtype, levers in names.items()]


def ten_seconds(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Return ten seconds of speech: clips one after another, from the start again if they are too short."""
    wanted = int(TIMED_SECONDS * SpeechEncoder.sampling_rate)
    return np.resize(np.concatenate(clips), wanted).astype(np.float32)


def measure(
    variants: Sequence[Variant],
    clips: Sequence[np.ndarray],
    references: Sequence[str],
    tokenizer: Tokenizer,
    *,
    threads: int = 2,
    repeats: int = 20,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Measure variants in turns, each in a process of its own.

    Parameters
    ----------
    variants : sequence of Variant
        Which.
    clips, references : sequence of ndarray, sequence of str
        Waveforms (N,), float32 at 16 kHz, and what is said in them.
    tokenizer : Tokenizer
        Of the recogniser's labels.
    threads, repeats : int
        What each variant computes with, while the others wait; how often latency is measured.
    progress : bool
        Show a bar.

    Returns
    -------
    list of dict
        By variant: ``runtime``, ``dtype``, ``levers``, ``latency_ms`` (``median``, ``p95`` of a clip of 10 s), ``rtf``
        (the fastest of two passes over all clips, one at a time), ``peak_mb`` (of the process from its second pass
        on, interpreter and libraries included), ``bytes`` (of the file; in PyTorch of the stored weights) and error
        rates in percent. A variant that was refused has the reason in ``refused`` and no numbers.

    Raises
    ------
    UserError
        If a variant cannot be run.
    """
    audio_s = sum(map(len, clips)) / SpeechEncoder.sampling_rate
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        numbered = {str(number): clip for number, clip in enumerate(clips)}
        np.savez(folder / "clips.npz", **{TIMED: ten_seconds(clips)}, **numbered)
        workers = [
            stack.enter_context(_started(variant, folder, number, threads))
            for number, variant in enumerate(variants)
        ]
        rows, asked = [], []
        for variant, worker in tqdm(
            list(zip(variants, workers, strict=True)), "loading variants", disable=not progress
        ):
            told = worker.answer()
            rows.append({"runtime": variant.runtime, "dtype": variant.dtype, **told})
            if not told.get("refused"):
                asked.append((rows[-1], worker))
        _ask(asked, audio_s, references, tokenizer, repeats, progress)
    return rows


def _ask(
    asked: list, audio_s: float, references: Sequence[str], tokenizer: Tokenizer, repeats: int, progress: bool
) -> None:
    """Let the workers take turns, and fill their rows."""
    latencies: list[list[float]] = [[] for _ in asked]
    for _ in tqdm(range(repeats), "latency", disable=not progress):
        for found, (_, worker) in zip(latencies, asked, strict=True):
            found.append(1000 * worker.ask("time")["seconds"])
    seconds: list[list[float]] = [[] for _ in asked]
    for number in tqdm(range(PASSES * len(asked)), "passes over all clips", disable=not progress):
        row, worker = asked[number % len(asked)]
        told = worker.ask("pass")
        seconds[number % len(asked)].append(told["seconds"])
        row |= error_rates(told["labels"], references, tokenizer)
    for found, passes, (row, worker) in zip(latencies, seconds, asked, strict=True):
        row["latency_ms"] = {"median": statistics.median(found), "p95": float(np.percentile(found, 95))}
        row["rtf"] = min(passes) / audio_s
        row |= worker.ask("memory")


def error_rates(
    labels: Sequence[Sequence[int]], references: Sequence[str], tokenizer: Tokenizer
) -> dict[str, float]:
    """Return error rates in percent of label sequences against texts."""
    errors = ErrorCounter(error=tokenizer.error)
    for indices, reference in zip(labels, references, strict=True):
        errors.add(reference, tokenizer.decode(indices))
    return errors.rates()


class _Worker:
    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def ask(self, question: str) -> dict[str, Any]:
        with suppress(BrokenPipeError):  # its process has ended: there is no answer, and that is told
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        answer = (
            json.loads(line)
            if line.endswith("\n")
            else {"failed": "its process ended; see the messages above"}
        )
        if "failed" in answer:
            raise UserError(f"a variant cannot be measured: {answer['failed']}")
        return answer


@contextmanager
def _started(variant: Variant, folder: Path, number: int, threads: int) -> Iterator[_Worker]:
    job = {"runtime": variant.runtime, "model": str(variant.model), "levers": variant.levers}
    path = folder / f"job-{number}.json"
    path.write_text(json.dumps({**job, "threads": threads, "clips": str(folder / "clips.npz")}), "utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "s3_speechbrain.export.worker", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TRANSFORMERS_VERBOSITY": "error"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    process = subprocess.Popen(command, **pipes)
    try:
        yield _Worker(process)
    finally:
        with suppress(BrokenPipeError):  # a question that an ended process never read
            process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
