"""Decode G.722 to 16 kHz FLAC clips, in parallel and so that an interrupted run can go on."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import soundfile
from tqdm import tqdm

from s3_speechbrain.data.prompts_catalogue import SAMPLES_PER_BYTE, SAMPLING_RATE


def decode_g722(raw: bytes) -> np.ndarray:
    """Decode one G.722 recording (64 kbit/s).

    Parameters
    ----------
    raw : bytes
        The whole file; the format has no header.

    Returns
    -------
    numpy.ndarray, shape (2 * len(raw),), int16
        Mono samples at 16 kHz.
    """
    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate = SAMPLING_RATE
    decoder.layout = "mono"
    frames = decoder.decode(av.Packet(raw)) + decoder.decode(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16, copy=False)


def write_clip(source: Path, target: Path) -> None:
    """Decode `source` into the FLAC file `target`, which appears only when it is complete."""
    part = target.with_suffix(".part")
    soundfile.write(part, decode_g722(source.read_bytes()), SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    os.replace(part, target)


def is_decoded(source: Path, target: Path) -> bool:
    """Say whether `target` already holds as many samples as `source` has."""
    try:
        return soundfile.info(target).frames == source.stat().st_size * SAMPLES_PER_BYTE
    except (OSError, soundfile.LibsndfileError):
        return False


def decode_all(
    jobs: Iterable[tuple[Path, Path]], label: str, workers: int | None = None, progress: bool = True
) -> dict[Path, str]:
    """Decode what is not there yet.

    Parameters
    ----------
    jobs : iterable of (Path, Path)
        G.722 file and FLAC file.
    label : str
        Shown with the progress bar.
    workers : int, optional
        Threads (both libraries release the interpreter lock); default: one per core, at most 8.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of Path to str
        The sources that could not be decoded, with the reason.
    """
    failed = {}

    def work(job: tuple[Path, Path]) -> None:
        source, target = job
        if is_decoded(source, target):
            return
        try:
            write_clip(source, target)
        except (OSError, ValueError, av.FFmpegError, soundfile.LibsndfileError) as error:
            failed[source] = str(error)

    jobs = list(jobs)
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        # Going through the results raises what a worker raised.
        for _ in tqdm(pool.map(work, jobs), label, len(jobs), unit="clip", disable=not progress, leave=False):
            pass
    return failed
