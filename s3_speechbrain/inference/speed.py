"""How fast a model is on this machine."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from s3_speechbrain import measure
from s3_speechbrain.brains.batches import RATE
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.audio import audio_blocks
from s3_speechbrain.inference.transcriber import Transcriber

LONGEST = 600.0  # seconds of a clip; more would only take time and memory


def benchmark(
    load: Callable[[], Transcriber],
    files: Sequence[Path] = (),
    seconds: Sequence[float] = (1.0, 5.0, 15.0),
    repeats: int = 3,
) -> dict[str, Any]:
    """Measure how long a model takes to load and to recognise clips, one at a time.

    Parameters
    ----------
    load : callable
        Returns the model with its language chosen.
    files : sequence of Path
        Clips to use; read before the clock runs.
    seconds : sequence of float
        Lengths of noise to use where there are no files.
    repeats : int
        Passes over all clips; the fastest counts.

    Returns
    -------
    dict
        ``load_s``; ``speed`` as in ``metrics.json``; ``clips``: name, seconds and latency (ms) of each;
        ``peak_rss_mb`` of the process.

    Raises
    ------
    UserError
        If a file cannot be read, no language is chosen, or a length is not between 0.1 s and ten minutes.
    """
    if not files and not all(0.1 <= length <= LONGEST for length in seconds):
        raise UserError(f"lengths {', '.join(map(str, seconds))}: give seconds from 0.1 to {LONGEST:g}")
    start = time.perf_counter()
    transcriber = load()
    if transcriber.language is None:
        raise UserError(f"several languages: choose one of {', '.join(transcriber.languages)} (--language)")
    transcriber.transcribe_batch([torch.zeros(RATE)])  # a language of a bank is read when it is first used
    loaded = time.perf_counter() - start
    noise = torch.Generator().manual_seed(0)
    clips = {str(file): torch.cat(list(audio_blocks(file)))[: round(LONGEST * RATE)] for file in files} or {
        f"noise, {length:g} s": 0.1 * torch.randn(round(length * RATE), generator=noise) for length in seconds
    }

    def recognise(wave: torch.Tensor) -> None:
        transcriber.transcribe_batch([wave])

    speed = measure.real_time_factor(recognise, list(clips.values()), repeats=repeats)
    rows = []
    for name, wave in clips.items():
        alone = measure.real_time_factor(recognise, [wave], repeats=repeats, warmup=0)
        rows.append({"clip": name, "seconds": alone.audio_s, "latency_ms": 1000 * alone.rtf * alone.audio_s})
    return {
        "load_s": loaded,
        "speed": speed.as_metrics(),
        "clips": rows,
        "peak_rss_mb": measure.peak_rss_mb(),
    }
