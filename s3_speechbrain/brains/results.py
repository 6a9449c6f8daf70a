"""The end of a run: test once, write metrics, transcripts and plots."""

import csv
import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import if_main_process, run_on_main
from speechbrain.utils.metric_stats import ErrorRateStats

from s3_speechbrain import measure
from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.errors import in_words
from s3_speechbrain.report import plot_curves, plot_layer_sparsity, write_metrics
from s3_speechbrain.report.provenance import portable_path

logger = logging.getLogger(__name__)

# Settings that were or could be tuned, for the record of a run.
TUNED = (
    "lr",
    "head_lr",
    "final_lr",
    "updates",
    "batch_seconds",
    "grad_accumulation_factor",
    "precision",
    "sparsity",
    "groups",
    "init",
    "rank",
    "head_only_updates",
    "layerdrop",
    "time_mask",
    "channel_mask",
    "tokenizer",
)
EXAMPLES = 5
TIMED_CLIPS = 8


def say_if_finished(hparams: Mapping) -> bool:
    """Tell the user about a run that is complete already, and whether it is."""
    if not hparams["run"]["finished"]:
        return False
    if if_main_process():
        folder = Path(hparams["output_folder"])
        test = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["test"]
        print(f"{folder} is finished (test {in_words(test)}); delete the folder to run it again")
    return True


def finish(brain: CTCBrain, recipe: str, method: str) -> dict[str, Any]:
    """Test the best checkpoint once and write ``metrics.json``, transcripts and plots into the output folder.

    Parameters
    ----------
    brain : CTCBrain
        After `CTCBrain.train`.
    recipe, method : str
        For the record.

    Returns
    -------
    dict
        The metrics.
    """
    folder = Path(brain.hparams.output_folder)
    tests, examples = {}, []
    for name, clips in brain.corpus.clips.items():
        if name in ("train", "dev"):
            continue
        brain.evaluate(brain.loader(clips))
        tests[name] = brain.errors.rates()
        run_on_main(_write_transcripts, args=[folder, name, brain.transcripts])
        examples = examples or brain.transcripts
    metrics = collect_metrics(brain, recipe, method, tests)
    spread = sorted(examples)[:: max(1, len(examples) // EXAMPLES)][:EXAMPLES]
    metrics["examples"] = [dict(zip(("id", "reference", "hypothesis"), row, strict=True)) for row in spread]
    run_on_main(_write_all, args=[folder, metrics])
    logger.info("test %s; see %s", in_words(tests["test"]), folder)
    return metrics


def collect_metrics(
    brain: CTCBrain, recipe: str, method: str, tests: Mapping[str, Mapping]
) -> dict[str, Any]:
    """Gather every field of ``metrics.json`` from a trained Brain and its test results."""
    hparams, corpus, history = brain.hparams, brain.corpus, brain.history
    error = f"valid_{corpus.tokenizer.error}"
    best = min(history.rounds, key=lambda row: (row[error], -row["epoch"]))
    sparsity = brain.sparsity()
    stored = measure.language_bytes(brain.masks(), brain.language_tensors(), corpus.tokenizer.labels)
    counted = measure.count_parameters(brain.recogniser)
    brain.deploy()
    speed = _speed(brain)
    brain.keep_time()
    metrics = {
        "recipe": recipe,
        "method": method,
        "backbone": portable_path(str(hparams.source)) + ("" if hparams.pretrained else "-random"),
        "language": corpus.language,
        "seed": hparams.seed,
        "data": {
            "name": corpus.name,
            "train_minutes": corpus.train_minutes,
            "manifest_sha256": corpus.sha256,
        },
        "sparsity": {name: sparsity[name] for name in ("masked", "linears", "model")},
        "dev": {name: best[f"valid_{name}"] for name in tests["test"]},
        "test": tests["test"],
        "cost": {
            "wall_s": history.seconds,
            "updates": history.rounds[-1]["updates"],
            "best_update": best["updates"],
            "peak_rss_mb": measure.peak_rss_mb(),
            "trainable": counted.trainable,
            **history.counts,
        },
        "size": {
            "parameters": counted.total,
            "bytes_per_language": stored.packed,
            "bytes_bound": stored.bound,
        },
        "speed": speed.as_metrics(),
        "versions": measure.versions(),
        "command": hparams.run["command"],
        "config_hash": hparams.run["config_hash"],
        "config": {name: _as_json(getattr(hparams, name)) for name in TUNED if hasattr(hparams, name)},
        "history": history.rounds,
    }
    others = {name: rates for name, rates in tests.items() if name != "test"}
    if others:
        metrics["extra_tests"] = others
    if sparsity["per_layer"]:
        metrics["per_layer_sparsity"] = sparsity["per_layer"]
    return metrics


def _speed(brain: CTCBrain) -> measure.Speed:
    clips = brain.corpus.clips["test"]
    waves = []
    for clip in clips.ids:
        try:
            waves.append(read_audio(clips.dataset.data[clip]["wav"]).to(brain.device))
        except ValueError:
            continue
        if len(waves) == TIMED_CLIPS:
            break
    model = brain.recogniser.eval()
    whole = torch.ones(1, device=brain.device)

    def transcribe(wave: torch.Tensor) -> None:
        with brain.evaluation_ctx:
            logits, frames = model(wave[None], whole)
        brain.decode(logits, frames)

    dtype = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[brain.eval_precision]
    brain.searcher = None  # greedy decoding, so that runs compare
    return measure.real_time_factor(transcribe, waves, dtype=dtype)


def _as_json(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def _write_transcripts(folder: Path, name: str, transcripts: list[tuple[str, str, str]]) -> None:
    rows = sorted(transcripts)
    with (folder / f"{name}_transcripts.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([("id", "reference", "hypothesis"), *rows])
    stats = ErrorRateStats()
    stats.append([row[0] for row in rows], [row[2].split() for row in rows], [row[1].split() for row in rows])
    with (folder / f"{name}_wer.txt").open("w", encoding="utf-8") as file:
        stats.write_stats(file)


def _write_all(folder: Path, metrics: Mapping) -> None:
    plot_curves(folder, metrics["history"])
    if "per_layer_sparsity" in metrics:
        plot_layer_sparsity(folder, metrics["per_layer_sparsity"])
    write_metrics(folder, metrics)  # last: its presence says that the run is complete
