"""The end of a run: test once, write metrics, transcripts and plots."""

import csv
import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import main_process_only, run_on_main
from speechbrain.utils.metric_stats import ErrorRateStats

from s3_speechbrain import measure
from s3_speechbrain.brains.banking import entry_of, keep_entry
from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.errors import by_utterance, in_words
from s3_speechbrain.brains.keeping import keep_model
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.multilingual import MultilingualBrain
from s3_speechbrain.brains.record import shared_fields
from s3_speechbrain.brains.stages import Stage, cost_of_stages
from s3_speechbrain.maskbank import Backbone
from s3_speechbrain.report import plot_curves, plot_layer_sparsity, write_metrics

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
USUAL = {  # recorded where they differ, so that older records of the same setting stay equal
    "train_weights": False,
    "layer_sparsity": None,
    "structure": "element",
    "ste": "identity",
    "dropout": 0.0,
    "pieces": 200,
    "max_grad_norm": 5.0,
}
Transcript = tuple[str, str, str]
EXAMPLES = 5
TIMED_CLIPS = 8
TIMED_PASSES = {1: 3, 2: 7}  # more where a ratio is asked for


def say_if_finished(hparams: Mapping) -> bool:
    """Tell the user about a run that is complete already, and whether it is."""
    if hparams["run"]["finished"]:
        say_finished(Path(hparams["output_folder"]))
    return hparams["run"]["finished"]


@main_process_only
def say_finished(folder: Path, languages: Sequence[str] = ("",)) -> None:
    """Tell the user that a folder, or one folder in it for each language, holds a complete run."""
    for place in (folder / language for language in languages):
        test = json.loads((place / "metrics.json").read_text(encoding="utf-8"))["test"]
        print(f"{place} is finished (test {in_words(test)}); delete the folder to run it again")


def finish(
    brain: CTCBrain,
    recipe: str,
    method: str,
    earlier: Sequence[Stage] = (),
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Test the best checkpoint once and write ``metrics.json``, transcripts and plots into the output folder.

    Parameters
    ----------
    brain : CTCBrain
        After `CTCBrain.train`.
    recipe, method : str
        For the record.
    earlier : sequence of Stage
        What was trained before; its cost counts too.
    options : mapping, optional
        The method's own tuned settings, for ``config``.

    Returns
    -------
    dict
        The metrics.
    """
    folder = Path(brain.hparams.output_folder)
    tests, transcripts = run_tests(brain, folder)
    run_on_main(brain.leave_behind, args=[folder])
    metrics = collect_metrics(brain, recipe, method, tests) | told_of(transcripts, brain)
    metrics["cost"] |= cost_of_stages(metrics["cost"], earlier)
    metrics["config"] |= options or {}
    _keep_language(brain, metrics, brain.backbone(), folder)
    dense = brain.undiminished()
    brain.deploy()
    metrics["speed"] = measure_speed(brain, dense)
    keep_model(brain, {metrics["language"]: metrics}, folder)
    run_on_main(write_results, args=[folder, metrics])
    logger.info("test %s; see %s", in_words(tests["test"]), folder)
    return metrics


def finish_languages(
    brain: MultilingualBrain, recipe: str, method: str, options: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Test the best checkpoint once in every language, and write a folder of results for each.

    Parameters
    ----------
    brain : MultilingualBrain
        After `MultilingualBrain.train`.
    recipe, method : str
        For the record.
    options : mapping, optional
        The method's own tuned settings, for ``config``.

    Returns
    -------
    dict of str to dict
        The metrics by language. Time and updates are the language's share, ``cost.run_wall_s`` and
        ``cost.run_updates`` those of the whole run; ``size.shared_bytes`` are retrained weights of the backbone.
        The real-time factor is measured once, in the first language.
    """
    folder, count = Path(brain.hparams.output_folder), len(brain.corpora)
    found, backbone = {}, None
    for language in brain.corpora:
        brain.select(language)
        tests, transcripts = run_tests(brain, folder / language)
        metrics = collect_metrics(brain, recipe, method, tests) | told_of(transcripts, brain)
        whole = {"run_wall_s": metrics["cost"]["wall_s"], "run_updates": metrics["cost"]["updates"]}
        own = {"wall_s": whole["run_wall_s"] / count, "updates": brain.updates_of(language)}
        metrics["cost"] |= {**whole, **own, "run_languages": count}
        metrics["config"] |= {"languages": list(brain.corpora)} | brain.sampling() | dict(options or {})
        metrics["size"]["shared_bytes"] = brain.shared_bytes()
        backbone = backbone or brain.backbone()  # of the best checkpoint, which testing has loaded
        _keep_language(brain, metrics, backbone, folder / language)
        found[language] = metrics
    brain.select(next(iter(found)))
    brain.deploy()
    speed = measure_speed(brain)
    found = {language: {**metrics, "speed": speed} for language, metrics in found.items()}
    keep_model(brain, found, folder)
    for language, metrics in found.items():
        run_on_main(write_results, args=[folder / language, metrics])
    return found


def _keep_language(brain: CTCBrain, metrics: dict, backbone: Backbone | None, folder: Path) -> None:
    """Write the language for mask banks, and count its bytes there."""
    if backbone is not None:
        metrics["size"]["bytes_in_bank"] = keep_entry(folder, entry_of(brain, metrics, backbone))


def run_tests(brain: CTCBrain, folder: Path) -> tuple[dict[str, dict[str, float]], list[Transcript]]:
    """Test the best checkpoint on every test set of the Brain's corpus.

    Parameters
    ----------
    brain : CTCBrain
        After `CTCBrain.train`.
    folder : Path
        Transcripts are written here.

    Returns
    -------
    tests : dict
        Error rates in percent by name of the test set.
    transcripts : list of (str, str, str)
        Clip, reference and hypothesis of the first set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tests, transcripts = {}, []
    for name, clips in brain.corpus.clips.items():
        if name in ("train", "dev"):
            continue
        brain.evaluate(brain.loader(clips))
        tests[name] = brain.errors.rates()
        run_on_main(_write_transcripts, args=[folder, name, brain.transcripts])
        transcripts = transcripts or brain.transcripts
    return tests, transcripts


def told_of(transcripts: Sequence[Transcript], brain: CTCBrain) -> dict[str, Any]:
    """Return what ``metrics.json`` tells of single utterances: a few examples, the errors of each."""
    spread = sorted(transcripts)[:: max(1, len(transcripts) // EXAMPLES)][:EXAMPLES]
    examples = [dict(zip(("id", "reference", "hypothesis"), row, strict=True)) for row in spread]
    return {"examples": examples, "utterances": by_utterance(transcripts, brain.corpus.tokenizer.error)}


def collect_metrics(
    brain: CTCBrain, recipe: str, method: str, tests: Mapping[str, Mapping]
) -> dict[str, Any]:
    """Gather the fields of ``metrics.json``, but for its speed, from a trained Brain and its test results."""
    hparams, corpus, history, rounds = brain.hparams, brain.corpus, brain.history, brain.past_rounds()
    error = corpus.tokenizer.error
    best = min(
        filter(brain.selectable, rounds),
        key=lambda row: (row.get(f"mean_{error}", row[f"valid_{error}"]), -row["epoch"]),
    )
    sparsity = brain.sparsity()
    brain.keep_time()
    metrics = {
        "recipe": recipe,
        "method": method,
        "language": corpus.language,
        "data": {
            "name": corpus.name,
            "train_minutes": corpus.train_minutes,
            "manifest_sha256": corpus.sha256,
            "dropped": corpus.dropped,
        },
        "dev": {name: best[f"valid_{name}"] for name in tests["test"]},
        "test": tests["test"],
        "config": tuned_settings(brain),
        **shared_fields(hparams, history, rounds, best, sparsity, brain.count_parameters(), brain.stored()),
        **brain.details(),
    }
    others = {name: rates for name, rates in tests.items() if name != "test"}
    if others:
        metrics["extra_tests"] = others
    if sparsity["per_layer"]:
        metrics["per_layer_sparsity"] = sparsity["per_layer"]
    return metrics


def tuned_settings(brain: CTCBrain) -> dict[str, Any]:
    """Return the settings that tell a run from others with the same method and data."""
    hparams = brain.hparams
    named = {name: getattr(hparams, name) for name in TUNED if hasattr(hparams, name)}
    # A Brain takes these two from SpeechBrain's run options, whatever the settings say.
    named |= {name: getattr(brain, name) for name in ("precision", "grad_accumulation_factor")}
    named |= {
        name: value for name, usual in USUAL.items() if (value := getattr(hparams, name, usual)) != usual
    }
    if "layer_sparsity" in named:
        named.pop("sparsity", None)  # it has no effect then
    return {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
        for name, value in named.items()
    }


def measure_speed(brain: CTCBrain, dense: Recogniser | None = None) -> dict[str, Any]:
    """Measure the real-time factor of greedy recognition of the first clips of the test set.

    Parameters
    ----------
    brain : CTCBrain
        After `CTCBrain.deploy`.
    dense : Recogniser, optional
        Measured in turns with the Brain's.

    Returns
    -------
    dict
        The field ``speed`` of the metrics; ``dense_rtf`` is that of `dense`.
    """
    clips = brain.corpus.clips["test"]
    waves = []
    for clip in clips.ids:
        try:
            waves.append(read_audio(clips.dataset.data[clip]["wav"]).to(brain.device))
        except ValueError:
            continue
        if len(waves) == TIMED_CLIPS:
            break
    models = [brain.recogniser.eval(), *([] if dense is None else [dense.to(brain.device).eval()])]
    whole = torch.ones(1, device=brain.device)

    def transcribe(wave: torch.Tensor, model: Recogniser) -> None:
        with brain.evaluation_ctx:
            logits, frames = model(wave[None], whole)
        brain.decode(logits, frames)

    dtype = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[brain.eval_precision]
    brain.searcher = None  # greedy decoding, so that runs compare
    timed = [partial(transcribe, model=model) for model in models]
    speeds = measure.real_time_factors(timed, waves, dtype=dtype, repeats=TIMED_PASSES[len(timed)])
    beside = {} if dense is None else {"dense_rtf": speeds[1].rtf}
    return speeds[0].as_metrics() | beside


def _write_transcripts(folder: Path, name: str, transcripts: list[tuple[str, str, str]]) -> None:
    rows = sorted(transcripts)
    with (folder / f"{name}_transcripts.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerows([("id", "reference", "hypothesis"), *rows])
    stats = ErrorRateStats()
    stats.append([row[0] for row in rows], [row[2].split() for row in rows], [row[1].split() for row in rows])
    with (folder / f"{name}_wer.txt").open("w", encoding="utf-8") as file:
        stats.write_stats(file)


def write_results(folder: Path, metrics: Mapping) -> None:
    """Write plots and ``metrics.json`` into a folder."""
    plot_curves(folder, metrics["history"])
    if "per_layer_sparsity" in metrics:
        plot_layer_sparsity(folder, metrics["per_layer_sparsity"])
    write_metrics(folder, metrics)  # last: its presence says that the run is complete
