"""One variant of a recogniser in a process of its own, told and asked line by line.

A process of its own, because peak memory, threads and the number type are matters of a whole process; line by line,
because several of them then take turns on the same clips, and a busy moment of the machine hits all alike. Variants on
ONNX Runtime import no torch, as on a device.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from s3_speechbrain.errors import UserError, tell_user_errors
from s3_speechbrain.export.runtime import OnnxRecogniser, greedy
from s3_speechbrain.memory import peak_rss_mb, reset_peak_rss

TIMED = "timed"  # the name of the clip for latency; the others are numbered
CHECKED_CLIPS = 8
Recognise = Callable[[np.ndarray], list[int]]


def make_onnx(job: dict[str, Any]) -> tuple[Recognise, dict[str, Any]]:
    """Load an exported file: samples to label indices, and what there is to say about it."""
    model = OnnxRecogniser(job["model"], job["threads"])
    return lambda wave: greedy(model.logits(wave)), {"bytes": Path(job["model"]).stat().st_size}


def make_torch(job: dict[str, Any], clips: Sequence[np.ndarray]) -> tuple[Recognise, dict[str, Any]]:
    """Load a model folder into PyTorch and pull the levers of the job's number type, if it names one."""
    import torch

    from s3_speechbrain.inference.one_clip import OneClip
    from s3_speechbrain.inference.optimise import Optimised, optimize_for_inference
    from s3_speechbrain.modelfolder import read_model

    torch.set_num_threads(job["threads"])
    recogniser = read_model(job["model"]).recogniser
    if job["levers"] is None:
        network = Optimised(OneClip(recogniser), [])
    else:
        sample = [torch.from_numpy(clip) for clip in clips[:CHECKED_CLIPS]]
        network = optimize_for_inference(recogniser, job["levers"], sample)
    least = network.clip.least_samples

    def recognise(wave: np.ndarray) -> list[int]:
        return greedy(network(torch.from_numpy(wave)[None])[0].numpy()) if len(wave) >= least else []

    buffer = io.BytesIO()
    torch.save(network.clip.state_dict(), buffer)
    told: dict[str, Any] = {"bytes": buffer.tell(), "levers": [str(lever) for lever in network.levers]}
    reached = network.dtype == job["levers"] and any(lever.applied for lever in network.levers)
    if job["levers"] is not None and not reached:
        told["refused"] = "; ".join(str(lever) for lever in network.levers if not lever.applied)
    return recognise, told


def serve(
    recognise: Recognise, timed: np.ndarray, clips: Sequence[np.ndarray], asked: TextIO, answers: TextIO
) -> None:
    """Answer until the questions end.

    Parameters
    ----------
    recognise : callable
        Samples to label indices.
    timed : ndarray
        The clip for latency.
    clips : sequence of ndarray
        Those for the real-time factor and the errors.
    asked : file
        Lines ``time`` (one pass over `timed`), ``pass`` (one over all clips) or ``memory``.
    answers : file
        A line of JSON for each.
    """
    for line in asked:
        start = time.perf_counter()
        if line.strip() == "time":
            recognise(timed)
            answer: dict[str, Any] = {"seconds": time.perf_counter() - start}
        elif line.strip() == "pass":
            labels = [recognise(clip) for clip in clips]
            answer = {"seconds": time.perf_counter() - start, "labels": labels}
        else:
            answer = {"peak_mb": peak_rss_mb()}
        _say(answers, answer)


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


@tell_user_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job in a JSON file: ``runtime``, ``model``, ``levers``, ``threads``, ``clips`` (an npz file)."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed must not look like an answer
    with np.load(job["clips"]) as stored:
        timed = stored[TIMED]
        clips = [stored[str(number)] for number in range(len(stored.files) - 1)]
    try:
        recognise, told = make_onnx(job) if job["runtime"] == "onnxruntime" else make_torch(job, clips)
    except UserError as error:
        _say(answers, {"failed": str(error)})
        return 1
    recognise(timed)  # warm-up: kernels are chosen and buffers are taken in the first pass
    reset_peak_rss()
    _say(answers, told)
    serve(recognise, timed, clips, sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
