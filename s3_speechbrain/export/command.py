"""Export a finished run, check it on real clips, measure it side by side, keep what is as good as the run."""

import argparse
import math
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s3_speechbrain import measure
from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.data.common_voice import prepare_common_voice
from s3_speechbrain.data.manifest import read_manifest
from s3_speechbrain.errors import UserError
from s3_speechbrain.export import comparison
from s3_speechbrain.export.comparison import Variant
from s3_speechbrain.export.eight_bits import to_eight_bits
from s3_speechbrain.export.graph import OPSET, export_onnx
from s3_speechbrain.export.parity import Parity, compare
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.macs import count_macs
from s3_speechbrain.modelfolder import LoadedModel, is_model, read_model
from s3_speechbrain.report.deployment import deployment_table
from s3_speechbrain.report.gather import canonical_name, portable
from s3_speechbrain.report.metrics import dump, read_metrics, write_text_atomic
from s3_speechbrain.report.provenance import portable_command, portable_path
from s3_speechbrain.report.schema import error_name
from s3_speechbrain.report.sweep import slug
from s3_speechbrain.report.tables import plain

FORMATS = {"fp32": "float32", "int8": "int8"}
RECORD = "export.json"
CLIPS = 500  # every variant holds them in memory
PARITY_CLIPS = 16


@dataclass(frozen=True)
class Speech:
    """Test clips with what is said in them."""

    clips: list[Tensor]
    texts: list[str]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_speechbrain.export",
        description="Export a finished run to ONNX, check it on test clips, and measure it side by side with PyTorch.",
        epilog="The folder of the export then holds model.fp32.onnx, model.int8.onnx and export.json, which "
        "python -m s3_speechbrain.report gather keeps as evidence. docs/deployment.md explains the table.",
    )
    parser.add_argument("run", type=Path, help="output folder of a run, or a model folder")
    parser.add_argument(
        "--data_folder", required=True, help="corpus in Common Voice layout, for its test clips"
    )
    parser.add_argument("--language", help="of the clips (default: the run's, if it has one)")
    parser.add_argument("--output_folder", type=Path, help="default: export/ in the run's folder")
    parser.add_argument("--formats", default="fp32,int8", help="fp32, int8 or both (default: fp32,int8)")
    parser.add_argument("--threads", type=int, default=2, help="per variant (default: 2)")
    parser.add_argument("--repeats", type=int, default=20, help="latency measurements (default: 20)")
    parser.add_argument(
        "--clips",
        type=int,
        default=CLIPS,
        help=f"test clips to use, drawn if there are more; 0 takes all (default: {CLIPS})",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        help="how much worse than PyTorch's float32 an export's error rate may be, in percent of it (default: 1)",
    )
    parser.add_argument("--keep_worse", action="store_true", help="keep exports that are worse than that")
    parser.add_argument("--noprogressbar", action="store_true", help="no progress bars")
    given = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    given.command = portable_command(shlex.join(["python", "-m", "s3_speechbrain.export", *words]))
    given.formats = given.formats.split(",")
    unknown = sorted(set(given.formats) - set(FORMATS))
    if unknown:
        raise UserError(f"--formats has {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    if min(given.threads, given.repeats) < 1 or given.clips < 0:
        raise UserError("--threads and --repeats are at least 1, --clips at least 0")
    return given


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status, 1 if an export was not kept."""
    given = parse_arguments(arguments)
    folder = model_folder(given.run)
    model = read_model(folder)
    language = given.language or (model.languages[0] if len(model.languages) == 1 else None)
    if language not in model.languages:
        raise UserError(f"--language is {language!r}: this model knows {', '.join(model.languages)}")
    if model.tokenizer.error == "PER":
        raise UserError("this model outputs phones, and test texts are in letters; export a run on letters")
    out = given.output_folder or given.run / "export"
    speech = read_speech(given, language, out / "manifests")
    (out / RECORD).unlink(missing_ok=True)  # it tells of the files beside it, which are made anew
    try:
        return export(given, model, language, out, speech)
    except BaseException:  # stopped as well: a file that was not checked to the end must not stay
        for name in FORMATS:
            onnx_file(out, name).unlink(missing_ok=True)
        raise


def onnx_file(out: Path, name: str) -> Path:
    """Return where an export in a format goes."""
    return out / f"model.{name}.onnx"


def export(given: argparse.Namespace, model: LoadedModel, language: str, out: Path, speech: Speech) -> int:
    """Write the files, measure them beside PyTorch, drop those that are worse, and write the record."""
    files, parities = write_files(given, model, language, out, speech)
    folder = model_folder(given.run)
    variants = [
        *comparison.torch_variants(folder),
        *(Variant("onnxruntime", FORMATS[name], path) for name, path in files.items()),
    ]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    waves = [clip.numpy() for clip in speech.clips]
    rows = comparison.measure(
        variants,
        waves,
        speech.texts,
        model.tokenizer,
        threads=given.threads,
        repeats=given.repeats,
        progress=not given.noprogressbar,
    )
    refused = gate(rows, model.tokenizer.error, given.tolerance)
    for name, path in files.items():
        if FORMATS[name] in refused and not given.keep_worse:
            path.unlink()
    record = describe(given, model, language, speech, load) | {"parity": parities, "variants": rows}
    write_text_atomic(out / RECORD, dump(record))
    print(plain(deployment_table([record])))
    for dtype, why in refused.items():
        print(f"{dtype}: {why}; {'kept all the same' if given.keep_worse else '--keep_worse keeps it'}")
    print(f"wrote {out}")
    return int(bool(refused) and not given.keep_worse)


def model_folder(folder: Path) -> Path:
    """Return the model folder that a path names: itself, or ``model/`` of a run."""
    for place in (folder, folder / "model"):
        if is_model(place):
            return place
    raise UserError(f"{folder} holds no model: give a model folder, or a finished run with its model/")


def read_speech(given: argparse.Namespace, language: str, manifests: Path) -> Speech:
    """Read test clips of a corpus; no more of any split is looked at than of the test set is wanted."""
    limit = given.clips or None
    prepared = prepare_common_voice(
        given.data_folder, manifests, [language], limit=limit, progress=not given.noprogressbar
    )[language]
    clips, texts = [], []
    for row in read_manifest(prepared.csvs["test"]):
        try:
            clips.append(read_audio(row.wav.replace("$data_root", str(prepared.data_root), 1)))
        except ValueError as error:
            raise UserError(f"{row.wav}: {error}; prepare the corpus again") from None
        texts.append(row.text)
    return Speech(clips, texts)


def write_files(
    given: argparse.Namespace, model: LoadedModel, language: str, out: Path, speech: Speech
) -> tuple[dict[str, Path], dict[str, dict]]:
    """Export the formats and compare each with PyTorch on real clips; a float32 file has to be the same.

    Raises
    ------
    UserError
        If no test clip is long enough to compare anything, or the float32 file differs from the recogniser by
        more than rounding; it is deleted.
    """
    clip = OneClip(model.recogniser)
    sample = [wave for wave in speech.clips if wave.numel() >= clip.least_samples][:PARITY_CLIPS]
    if not sample:
        raise UserError(
            f"none of {len(speech.clips)} test clips has the {clip.least_samples} samples of a frame, so an export "
            "cannot be checked: give a corpus with longer clips"
        )
    paths = {name: onnx_file(out, name) for name in FORMATS}
    export_onnx(
        clip, model.tokenizer, paths["fp32"], {"language": language, "method": model.config.facts.method}
    )
    parities: dict[str, Parity] = {
        "fp32": compare(clip, OnnxRecogniser(paths["fp32"], given.threads), sample)
    }
    if not parities["fp32"].exact:
        error = parities["fp32"].error
        how = "it keeps other frames of a clip" if error is None else f"error {error:.3g}"
        raise UserError(f"the exported graph differs from PyTorch ({how}); nothing was kept")
    if "int8" in given.formats:
        to_eight_bits(paths["fp32"], paths["int8"])
        parities["int8"] = compare(clip, OnnxRecogniser(paths["int8"], given.threads), sample)
    if "fp32" not in given.formats:
        paths["fp32"].unlink()
    wanted = {name: path for name, path in paths.items() if name in given.formats}
    return wanted, {name: parities[name].as_record() for name in wanted}


def gate(rows: Sequence[dict[str, Any]], error: str, tolerance: float) -> dict[str, str]:
    """Mark exports that are worse than PyTorch's float32 by more than a tolerance.

    Parameters
    ----------
    rows : sequence of dict
        From `comparison.measure`; those of ONNX Runtime get ``worse``, true or false.
    error : str
        The error rate that counts.
    tolerance : float
        In percent of PyTorch's.

    Returns
    -------
    dict of str to str
        The number types of those that are worse, with the reason.
    """
    exact = next(row[error] for row in rows if row["runtime"] == "torch")
    found = {}
    for row in rows:
        if row["runtime"] == "onnxruntime":
            row["worse"] = row[error] > exact * (1 + tolerance / 100) + 1e-9
            if row["worse"]:
                found[row["dtype"]] = (
                    f"{error} {row[error]:.2f} % is worse than {exact:.2f} % by more than {tolerance:g} % of it"
                )
    return found


def describe(
    given: argparse.Namespace, model: LoadedModel, language: str, speech: Speech, load: float
) -> dict[str, Any]:
    """Return what a record says about the model and the conditions."""
    facts, recogniser = model.config.facts, model.recogniser
    record: dict[str, Any] = {
        "recipe": facts.recipe,
        "method": facts.method,
        "backbone": portable_path(facts.backbone).removeprefix("PATH/"),
        "language": language,
        "error": model.tokenizer.error,
        "size": {"parameters": measure.count_parameters(recogniser).total},
        "macs_10s": count_macs(recogniser.encoder, comparison.TIMED_SECONDS).total,
        "data": {
            "name": Path(str(given.data_folder)).name,
            "clips": len(speech.clips),
            "audio_s": round(sum(clip.numel() for clip in speech.clips) / 16000, 3),
        },
        "opset": OPSET,
        "threads": given.threads,
        "repeats": given.repeats,
        "load": None if math.isnan(load) else round(load, 2),
        "tolerance_percent": given.tolerance,
        "machine": platform.machine(),
        "versions": measure.versions() | package_versions(),
        "command": given.command,
    }
    selector = recogniser.selector
    if selector is not None:
        record["selector"] = model.config.selector.selector
    place = next(
        (place for place in (given.run, given.run / "model") if (place / "metrics.json").is_file()), None
    )
    if place is not None:
        metrics = read_metrics(place)
        record["run"] = canonical_name(portable(metrics)).as_posix().removesuffix(".json")
        record["run_error"] = metrics["test"][error_name(metrics)]
    else:
        record["run"] = "/".join(map(slug, (facts.recipe, facts.backbone, language, facts.method)))
    return record


def package_versions() -> dict[str, str]:
    """Return the versions of what wrote and ran the files."""
    import onnx
    import onnxruntime

    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
