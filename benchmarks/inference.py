"""How fast and how small half the structures and half the tokens make wav2vec2-base, alone and with other levers.

    python benchmarks/inference.py [--quick]

Prints a table and last one JSON line. Random weights: time, size and multiply-accumulates do not depend on values.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import make_parser, print_line, read_arguments
from torch import Tensor
from transformers import Wav2Vec2Config

from s3_speechbrain.brains import CTCHead, Recogniser
from s3_speechbrain.brains.shortened import token_macs
from s3_speechbrain.brains.tokens import Characters
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.export.eight_bits import to_eight_bits
from s3_speechbrain.export.graph import export_onnx
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference.one_clip import OneClip, kept_frames
from s3_speechbrain.inference.optimise import Limit, optimize_for_inference
from s3_speechbrain.macs import count_macs
from s3_speechbrain.structured import find_units, slice_
from s3_speechbrain.tokens import TokenConfig, TokenDetector, make_selector, threshold_for_keep_ratio

LABELS = ["", " ", *"abcdefghijklmnopqrstuvwxyz'-.,"]
SHAPES = {
    "dense": (False, False),
    "structures": (True, False),
    "tokens": (False, True),
    "both": (True, True),
}
LEVERS = {"oneDNN": "float32", "bf16": "bfloat16", "int8": "int8"}
# Random weights put every frame near a tie, so labels say nothing here; only a broken kernel is refused.
LIMITS = {name: Limit(0.5, float("inf")) for name in ("onednn", "bf16", "int8")}


def build(shape: str, layers: int, wave: Tensor) -> Recogniser:
    """Build wav2vec2-base with a CTC head, without half the heads and neurons of each layer, half the frames."""
    structures, tokens = SHAPES[shape]
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_config(Wav2Vec2Config(num_hidden_layers=layers), normalises=True)
    if structures:
        slice_(
            encoder, {name: torch.arange(unit.count) % 2 == 0 for name, unit in find_units(encoder).items()}
        )
    selector = None
    if tokens:
        # as the committed numbers were measured; positions of the whole clip cost about 3 % more
        config = TokenConfig("salad", cut="before_positions", reduce="drop")
        selector = make_selector(
            config, encoder, TokenDetector(encoder.extractor_width, config.detector)
        ).eval()
        features, frames = encoder.eval().extract(wave, torch.ones(1))
        scores = selector.scores(features, frames)
        selector.threshold.fill_(threshold_for_keep_ratio([scores[0]], 0.5))
    return Recogniser(encoder, CTCHead(encoder.width, len(LABELS)), selector).requires_grad_(False).eval()


def macs_of(recogniser: Recogniser, wave: Tensor) -> int:
    """Count the multiply-accumulates of a clip: encoder, token selector and head."""
    clip = OneClip(recogniser)
    seconds = wave.shape[1] / clip.encoder.sampling_rate
    features, _ = clip.encoder.extract(wave, None)
    extracted = frames = features.shape[1]
    counted = count_macs(clip.encoder, seconds).total
    if clip.selector is not None:
        frames = kept_frames(clip.selector, features, wave).index.shape[1]
        counted = token_macs(clip, frames / extracted, seconds)["total"]
    return counted + frames * clip.head.classifier.weight.numel()


def variants_of(
    shape: str, recogniser: Recogniser, folder: Path, wave: Tensor, threads: int
) -> tuple[dict[str, Callable], dict[str, int], list[str]]:
    """Return the ways to run one shape, the sizes of its exported files, and the levers that were refused."""
    clip = OneClip(recogniser)
    found: dict[str, Callable] = {"fp32": lambda: clip(wave)}
    refused = []
    for name, dtype in LEVERS.items():
        optimised = optimize_for_inference(recogniser, dtype, [wave[0]], LIMITS)
        refused += [f"{shape} {lever}" for lever in optimised.levers if not lever.applied]
        found[name] = lambda optimised=optimised: optimised(wave)
    tokenizer = Characters.from_labels(LABELS)
    plain = export_onnx(clip, tokenizer, folder / f"{shape}.fp32.onnx")
    files = {"fp32": plain, "int8": to_eight_bits(plain, folder / f"{shape}.int8.onnx")}
    for name, path in files.items():
        exported = OnnxRecogniser(path, threads)
        found[f"ONNX {name}"] = lambda exported=exported: exported.logits(wave[0].numpy())
    return found, {name: path.stat().st_size for name, path in files.items()}, refused


@torch.inference_mode()
def time_all(ways: dict[tuple[str, str], Callable], repeats: int) -> dict[tuple[str, str], float]:
    """Return the fastest pass of each way in seconds; they take turns, as a busy moment then hits all alike."""
    best = dict.fromkeys(ways, float("inf"))
    for repeat in range(repeats + 1):
        for key, way in ways.items():
            start = time.perf_counter()
            way()
            if repeat:  # the first pass meets empty allocators
                best[key] = min(best[key], time.perf_counter() - start)
    return best


def main() -> None:
    """Measure all variants and print the table and the JSON line."""
    arguments = read_arguments(make_parser(__doc__, "2 layers, 2 s of audio, 2 repeats", repeats=6))
    layers, seconds = (2, 2.0) if arguments.quick else (12, 10.0)
    wave = 0.1 * torch.randn(1, int(16000 * seconds), generator=torch.Generator().manual_seed(1))
    ways, sizes, macs, refused = {}, {}, {}, []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for shape in SHAPES:
            recogniser = build(shape, layers, wave)
            macs[shape] = macs_of(recogniser, wave)
            found, sizes[shape], without = variants_of(
                shape, recogniser, Path(folder), wave, arguments.threads
            )
            ways |= {(shape, name): way for name, way in found.items()}
            refused += without
        best = time_all(ways, arguments.repeats)
    report(best, macs, sizes, refused, seconds, arguments)


def report(
    best: dict, macs: dict, sizes: dict, refused: list[str], seconds: float, arguments: argparse.Namespace
) -> None:
    """Print the table and the JSON line."""
    base = best["dense", "fp32"]
    names = [name for shape, name in best if shape == "dense"]
    print(f"{'seconds (times faster)':22}" + "".join(f"{name:>15}" for name in names) + f"{'GMAC':>8}")
    for shape in SHAPES:
        cells = "".join(f"{best[shape, n]:8.3f} ({base / best[shape, n]:4.2f})" for n in names)
        print(f"{shape:22}{cells}{macs[shape] / 1e9:8.2f}")
    for line in refused:
        print(line)
    fastest = min((name for name in names if name != "fp32"), key=lambda name: best["both", name])
    speedup = base / best["both", "fp32"]
    print_line(
        "inference",
        arguments,
        fp32_speedup=round(speedup, 3),
        mac_fraction=round(speedup * macs["both"] / macs["dense"], 4),
        all_levers_speedup=round(base / best["both", fastest], 3),
        int8_size_ratio=round(sizes["both"]["int8"] / sizes["dense"]["fp32"], 4),
        best_lever=fastest,
        rtf={f"{shape} {name}": round(value / seconds, 5) for (shape, name), value in best.items()},
        macs=macs,
        bytes=sizes,
        refused=refused,
        audio_s=seconds,
        dtype="float32 unless named",
    )


if __name__ == "__main__":
    main()
