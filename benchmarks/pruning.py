"""What re-pruning costs next to training (PARP), and whether scattered zeros make a network faster.

    python benchmarks/pruning.py [--quick]

Prints tables and last one JSON line. Random weights: times do not depend on their values, only on which are zero.
"""

import argparse
import copy
from collections.abc import Callable

import torch
from common import make_parser, print_line, read_arguments
from mask_step import clock, make_step
from torch import Tensor, nn

from s3_speechbrain.layers import select_layers
from s3_speechbrain.pruning import prunable, reprune_

INTERVAL = 50  # updates between re-prunes
GROUPS = ("ffn", "attention")
SPARSITIES = (0.5, 0.7, 0.9)


class CompressedLinear(nn.Module):
    """A linear layer that stores its non-zero weights only, in compressed rows (CSR)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight.detach().to_sparse_csr()
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., in) to (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        return ((self.weight @ rows.T).T + self.bias).view(*x.shape[:-1], -1)


def compressed(encoder: nn.Module) -> nn.Module:
    """Copy an encoder with its transformer's linears in compressed rows."""
    encoder = copy.deepcopy(encoder)
    for name, layer in select_layers(encoder, GROUPS).items():
        parent, _, child = name.rpartition(".")
        setattr(encoder.get_submodule(parent), child, CompressedLinear(layer))
    return encoder


def time_training(arguments: argparse.Namespace) -> tuple[nn.Module, float, float]:
    """Time a step of dense training and a re-prune of the same network, interleaved; return the network too."""
    encoder, step = make_step("dense", arguments.layers, arguments.seconds)
    steps, reprunes = [], []
    for _ in range(arguments.repeats + 1):
        steps.append(clock(step))
        reprunes.append(clock(lambda: reprune_(prunable(encoder), 0.5)))
    return encoder, min(steps[1:]), min(reprunes[1:])  # the first meets empty allocators


@torch.inference_mode()
def time_inference(encoder: nn.Module, arguments: argparse.Namespace) -> dict[str, float]:
    """Time one clip through the dense network, the same with zeros in it, and with compressed rows."""
    encoder.eval()
    wave = torch.randn(1, int(16000 * arguments.seconds))
    found: dict[str, float] = {}
    for sparsity in SPARSITIES:
        pruned = copy.deepcopy(encoder)
        reprune_(prunable(pruned), sparsity)
        variants: dict[str, Callable[[Tensor], object]] = {
            "dense": encoder,
            f"zeros {sparsity}": pruned,
            f"compressed {sparsity}": compressed(pruned),
        }
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(arguments.repeats + 1):  # interleaved: a busy moment of the machine hits all alike
            for name, network in variants.items():
                times[name].append(clock(lambda network=network: network(wave)))
        best = {name: min(values[1:]) for name, values in times.items()}
        found |= {name: best["dense"] / value for name, value in best.items() if name != "dense"}
        found["dense s"] = min(best["dense"], found.get("dense s", best["dense"]))
    return found


def main() -> None:
    """Measure, print the tables and the JSON line."""
    arguments = read_arguments(make_parser(__doc__, "2 layers, 1 s of audio, 2 repeats", repeats=6))
    arguments.layers, arguments.seconds = (2, 1.0) if arguments.quick else (12, 4.0)

    encoder, step_s, reprune_s = time_training(arguments)
    weights = sum(parameter.numel() for parameter in prunable(encoder).values())
    fraction = reprune_s / (INTERVAL * step_s + reprune_s)
    print(f"training step {step_s:.3f} s, re-prune of {weights / 1e6:.1f} M weights {reprune_s:.3f} s")
    print(f"share of training time at one re-prune in {INTERVAL} updates: {100 * fraction:.2f} %")

    inference = time_inference(encoder, arguments)
    print(f"{'inference, times faster than dense':36} {'zeros':>8} {'CSR':>8}")
    for sparsity in SPARSITIES:
        zeros, rows = (inference[f"{name} {sparsity}"] for name in ("zeros", "compressed"))
        print(f"{f'sparsity {sparsity}':36} {zeros:8.2f} {rows:8.2f}")
    print_line(
        "pruning",
        arguments,
        reprune_fraction=round(fraction, 5),
        reprune_s=round(reprune_s, 4),
        step_s=round(step_s, 4),
        interval=INTERVAL,
        weights=weights,
        inference_dense_s=round(inference["dense s"], 4),
        speedup_zeros={str(s): round(inference[f"zeros {s}"], 3) for s in SPARSITIES},
        speedup_csr={str(s): round(inference[f"compressed {s}"], 3) for s in SPARSITIES},
    )


if __name__ == "__main__":
    main()
