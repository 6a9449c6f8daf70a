"""What a mask-finetuning step costs next to a dense one: time, peak memory, renewing the masks.

    python benchmarks/mask_step.py [--quick]

Prints a table and last one JSON line. Random weights: neither time nor memory depends on their values.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import make_parser, print_line, read_arguments
from transformers import Wav2Vec2Config, Wav2Vec2Model

from s3_speechbrain.masking import MaskConfig, mask_, masks_of, renew_masks_
from s3_speechbrain.memory import peak_rss_mb

VARIANTS = {"dense": (), "mask_ffn": ("ffn",), "mask_all": ("ffn", "attention")}
LABELS = {
    "dense": "dense finetuning",
    "mask_ffn": "masks, FFN (default)",
    "mask_all": "masks, FFN + attention",
}
MEMORY_STEPS = 3  # the second is the first with the optimiser's state, the third meets the heap as it left it


def build(variant: str, layers: int) -> torch.nn.Module:
    """Build wav2vec2-base with the variant's parameters trainable; the convolutions are frozen in all."""
    torch.manual_seed(0)
    # No dropout, layerdrop or SpecAugment: the same work in each variant, nothing that hides a difference.
    off = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0)
    config = Wav2Vec2Config(num_hidden_layers=layers, apply_spec_augment=False, feat_proj_dropout=0.0, **off)
    encoder = Wav2Vec2Model(config)
    encoder.freeze_feature_encoder()
    if VARIANTS[variant]:
        encoder.requires_grad_(False)
        mask_(encoder, MaskConfig(sparsity=0.08, groups=VARIANTS[variant]))
    return encoder


def make_step(variant: str, layers: int, seconds: float) -> tuple[torch.nn.Module, Callable[[], None]]:
    """Build an encoder and one training step of it: forward, CTC loss, backward, AdamW."""
    encoder = build(variant, layers).train()
    head = torch.nn.Linear(encoder.config.hidden_size, 32)
    trained = [p for p in (*encoder.parameters(), *head.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5)
    wavs = torch.randn(2, int(16000 * seconds))
    targets = torch.randint(1, 32, (2, 10))

    def step() -> None:
        hidden = encoder(wavs).last_hidden_state
        log_probs = head(hidden).log_softmax(-1).transpose(0, 1)
        frames = torch.full((2,), hidden.shape[1])
        loss = F.ctc_loss(log_probs, targets, frames, torch.tensor([10, 10]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # where SpeechBrain does it: no gradients are held during the forward pass

    return encoder, step


def clock(action: Callable[[], None]) -> float:
    """Time one call, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def peak_mb(variant: str, arguments: argparse.Namespace) -> float:
    """Measure the peak resident memory of a fresh process that trains the variant, in units of 1e6 bytes."""
    command = [sys.executable, __file__, "--memory-of", variant, "--threads", str(arguments.threads)]
    command += ["--quick"] if arguments.quick else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_own_peak(variant: str, layers: int, seconds: float) -> None:
    """Train the variant for a few steps and print this process's peak resident memory, in units of 1e6 bytes."""
    _, step = make_step(variant, layers, seconds)
    for _ in range(MEMORY_STEPS):
        step()
    print(peak_rss_mb())


def main() -> None:
    """Measure all variants and print the table and the JSON line."""
    parser = make_parser(__doc__, "2 layers, 1 s of audio, 2 repeats", repeats=6)
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = read_arguments(parser)
    layers, seconds = (2, 1.0) if arguments.quick else (12, 4.0)
    if arguments.memory_of:
        print_own_peak(arguments.memory_of, layers, seconds)
        return
    # Memory first: where only getrusage tells it, a process inherits the peak of the one that starts it.
    memory = {variant: peak_mb(variant, arguments) for variant in VARIANTS}
    built = {variant: make_step(variant, layers, seconds) for variant in VARIANTS}
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    renewals = []
    for repeat in range(arguments.repeats + 1):  # interleaved: a busy moment hits all alike
        for variant, (_, step) in built.items():
            times[variant].append(clock(step))
        renewals.append(clock(lambda: renew_masks_(built["mask_all"][0])))
        if repeat == 0:  # warm-up: allocators, optimiser state
            times, renewals = {variant: [] for variant in VARIANTS}, []
    report(times, memory, min(renewals), masks_of(built["mask_all"][0]), arguments)


def report(times: dict, memory: dict, renew_s: float, masks: dict, arguments: argparse.Namespace) -> None:
    """Print the table and the JSON line."""
    best = {variant: min(values) for variant, values in times.items()}
    print(f"{'variant':24} {'step s':>8} {'ratio':>6} {'peak MB':>8} {'ratio':>6}")
    for variant in VARIANTS:
        ratios = best[variant] / best["dense"], memory[variant] / memory["dense"]
        cells = f"{best[variant]:8.3f} {ratios[0]:6.3f} {memory[variant]:8.0f} {ratios[1]:6.3f}"
        print(f"{LABELS[variant]:24} {cells}")
    scores = sum(mask.score.numel() for mask in masks.values())
    print(f"renewing the masks of {scores / 1e6:.1f} M scores: {renew_s:.3f} s")
    print_line(
        "mask_step",
        arguments,
        step_ratio=round(best["mask_ffn"] / best["dense"], 4),
        memory_ratio=round(memory["mask_ffn"] / memory["dense"], 4),
        renew_s=round(renew_s, 4),
        step_ratio_all=round(best["mask_all"] / best["dense"], 4),
        memory_ratio_all=round(memory["mask_all"] / memory["dense"], 4),
        step_s={variant: round(value, 4) for variant, value in best.items()},
        peak_mb={variant: round(value) for variant, value in memory.items()},
        scores=scores,
    )


if __name__ == "__main__":
    main()
