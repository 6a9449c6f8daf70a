"""What a language costs as masks over one backbone: bytes in a file, bytes in memory, milliseconds to switch to it.

    python benchmarks/mask_bank.py [--quick]

Prints two tables and last one JSON line. Random weights and masks of wav2vec2-base's shapes: neither size nor time
depends on what the weights are. Measure on a quiet machine: one other busy process is enough to double a time.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import make_parser, print_line, read_arguments
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from s3_speechbrain.layers import select_layers
from s3_speechbrain.maskbank import (
    Backbone,
    Entry,
    MaskSwitch,
    PackedEntry,
    PackedMask,
    entry_bytes,
    read_packed,
    write_entry,
)
from s3_speechbrain.measure import entropy_bytes

GROUPS = {"ffn": ("ffn",), "all": ("ffn", "attention")}
SPARSITIES = (0.02, 0.04, 0.08, 0.2, 0.4, 0.5, 0.9)
SPARSITY = 0.08  # of the switches
LABELS = 32
RANK = 8
LANGUAGES = 100


def make_entry(encoder: nn.Module, groups: tuple[str, ...], sparsity: float) -> Entry:
    """Draw the masks of a language, each matrix with the same number of zeros, and a head for 32 labels."""
    masks = {}
    for name, layer in select_layers(encoder, groups).items():
        ranks = torch.rand(layer.weight.numel())
        zeros = max(1, round(sparsity * ranks.numel()))
        masks[name] = (ranks > ranks.kthvalue(zeros).values).view(layer.weight.shape)
    width = encoder.config.hidden_size
    return Entry(
        language="xx",
        backbone=Backbone("wav2vec2-base", None, "0" * 64),
        masks=masks,
        head={"classifier.weight": torch.randn(LABELS, width), "classifier.bias": torch.zeros(LABELS)},
        head_options={"width": width, "hidden": [], "layers": None},
        tokenizer={"kind": "characters", "labels": ["", *map(chr, range(97, 96 + LABELS))], "model": None},
        normaliser="xx/1",
        sparsity={"masked": sparsity},
        metrics={},
    )


def measure_sizes(encoder: nn.Module, sparsities: tuple[float, ...]) -> dict[str, dict[float, tuple]]:
    """Return bytes of the file and of the bound (entropy of each matrix, and the head) by groups and sparsity."""
    sizes: dict[str, dict[float, tuple]] = {name: {} for name in GROUPS}
    for name, groups in GROUPS.items():
        for sparsity in sparsities:
            entry = make_entry(encoder, groups, sparsity)
            bound = sum(entropy_bytes(int(mask.sum()), mask.numel()) for mask in entry.masks.values())
            head = sum(value.nbytes for value in entry.head.values())
            sizes[name][sparsity] = entry_bytes(entry), bound + head
    return sizes


def rotated(entry: PackedEntry, count: int) -> list[dict[str, PackedMask]]:
    """Make languages of the same density without drawing billions of numbers: rotate the masks by some bytes."""
    return [
        {
            name: PackedMask(mask.shape, mask.zeros, np.roll(mask.bits, 31 * index))
            for name, mask in entry.masks.items()
        }
        for index in range(count)
    ]


def forget(path: Path) -> None:
    """Drop a file from the system's cache, where the system can, so that it is read from disk again."""
    if not hasattr(os, "posix_fadvise"):
        return
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


class Merged:
    """Adapters of rank 8 merged into the weights, the usual way of running LoRA without a slower forward pass."""

    def __init__(self, weights: list[Tensor], count: int = 2) -> None:
        self.weights, self.active = weights, 0
        self.adapters = [
            [(torch.randn(w.shape[0], RANK) / 100, torch.randn(RANK, w.shape[1]) / 100) for w in weights]
            for _ in range(count)
        ]
        for weight, (up, down) in zip(weights, self.adapters[0], strict=True):
            weight.addmm_(up, down)

    def switch(self) -> None:
        """Take one adapter out of the weights and merge the other."""
        other = 1 - self.active
        for weight, old, new in zip(
            self.weights, self.adapters[self.active], self.adapters[other], strict=True
        ):
            weight.addmm_(*old, alpha=-1).addmm_(*new)
        self.active = other

    @property
    def bytes(self) -> int:
        """Bytes of one language."""
        return sum(up.nbytes + down.nbytes for up, down in self.adapters[0])


@torch.no_grad()
def measure_switches(layers: int, groups: tuple[str, ...], repeats: int, count: int, folder: Path) -> dict:
    """Time every way of switching in turn; return lists of milliseconds, and bytes per language."""
    draw = np.random.default_rng(0)
    encoder, peer = build(layers), build(layers)
    entry = make_entry(encoder, groups, SPARSITY)
    shapes = {name: tuple(mask.shape) for name, mask in entry.masks.items()}
    switch = MaskSwitch(encoder, [shapes])
    path = folder / "xx.safetensors"
    written = write_entry(path, entry)
    languages = rotated(read_packed(path), count)
    pristine = [encoder.get_submodule(name).weight.clone() for name in entry.masks]
    active = [peer.get_submodule(name).weight for name in entry.masks]
    copies = [{name: value.clone() for name, value in peer.state_dict().items()} for _ in range(2)]
    merged = Merged([weight.clone() for weight in active])

    def copy_weights() -> None:
        for target, source in zip(active, pristine, strict=True):
            target.copy_(source)

    actions: dict[str, Callable[[], object]] = {
        "memcpy": copy_weights,
        "mask, 1 language": lambda: switch.apply(languages[0]),
        "mask": lambda: switch.apply(languages[draw.integers(1, count)]),
        "mask, from file": lambda: switch.apply(read_packed(path).masks),
        "dense copies": lambda: peer.load_state_dict(copies[draw.integers(2)]),
        "LoRA, merged": merged.switch,
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for repeat in range(repeats + 2):  # interleaved: a busy moment of the machine hits all alike
        for name in draw.permutation([*actions]):  # in any order: each leaves other data in the caches
            forget(path)
            start = time.perf_counter()
            actions[name]()
            if repeat >= 2:  # warm-up: threads, pages
                times[name].append(1000 * (time.perf_counter() - start))
    held = sum(mask.nbytes for mask in languages[0].values()) + sum(v.nbytes for v in entry.head.values())
    return {
        "times": times,
        "weights": sum(mask.numel() for mask in entry.masks.values()),
        "bytes": {
            "mask": held,
            "mask, from file": written,
            "dense copies": sum(v.nbytes for v in copies[0].values()),
            "LoRA, merged": merged.bytes,
        },
    }


def build(layers: int) -> nn.Module:
    """Build wav2vec2-base with random weights."""
    torch.manual_seed(0)
    return Wav2Vec2Model(Wav2Vec2Config(num_hidden_layers=layers)).eval().requires_grad_(False)


def main() -> None:
    """Measure sizes and switches, print the tables and the JSON line."""
    parser = make_parser(__doc__, "1 layer, 3 languages, 3 repeats", repeats=60)
    arguments = read_arguments(parser, quick_repeats=3)
    repeats = arguments.repeats
    layers, count = (1, 3) if arguments.quick else (12, LANGUAGES)
    sizes = measure_sizes(build(layers), SPARSITIES[2:4] if arguments.quick else SPARSITIES)
    print(f"{'sparsity':>8} " + " ".join(f"{name + ' MB':>8} {'bound':>6} {'ratio':>6}" for name in GROUPS))
    for sparsity in sizes["ffn"]:
        rows = [sizes[name][sparsity] for name in GROUPS]
        cells = (f"{size / 1e6:8.3f} {bound / 1e6:6.3f} {size / bound:6.4f}" for size, bound in rows)
        print(f"{sparsity:8} " + " ".join(cells))
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure_switches(layers, groups, repeats, count, Path(folder))
            for name, groups in GROUPS.items()
        }
    for name, result in found.items():
        print(f"\n{name}: {result['weights'] / 1e6:.1f} M weights masked, {count} languages in memory")
        print(f"{'way':18} {'p50 ms':>8} {'p95 ms':>8} {'MB per language':>16}")
        for way, values in result["times"].items():
            size = f"{result['bytes'][way] / 1e6:16.3f}" if way in result["bytes"] else ""
            print(f"{way:18} {np.percentile(values, 50):8.1f} {np.percentile(values, 95):8.1f} {size}")
    report(sizes, found, arguments, count)


def report(sizes: dict, found: dict, arguments: argparse.Namespace, count: int) -> None:
    """Print the JSON line; names that end in ``_all`` are of masks on FFN and attention."""
    line = {"sparsity": SPARSITY, "languages": count, "lora_rank": RANK, "repeats": arguments.repeats}
    for name, result in found.items():
        end = "" if name == "ffn" else "_all"
        p50 = {way: round(float(np.percentile(values, 50)), 2) for way, values in result["times"].items()}
        p95 = {way: round(float(np.percentile(values, 95)), 2) for way, values in result["times"].items()}
        ratios = {str(s): round(size / bound, 4) for s, (size, bound) in sizes[name].items()}
        line |= {
            f"bytes_over_entropy{end}": ratios,
            f"warm_p50_ms{end}": p50["mask"],
            f"warm_p95_ms{end}": p95["mask"],
            f"cold_ms{end}": p50["mask, from file"],
            f"cold_p95_ms{end}": p95["mask, from file"],
            f"hundred_over_one{end}": round(p50["mask"] / p50["mask, 1 language"], 3),
            f"memcpy_ms{end}": p50["memcpy"],
            f"dense_copy_ms{end}": p50["dense copies"],
            f"lora_merge_ms{end}": p50["LoRA, merged"],
            f"bytes_per_language{end}": result["bytes"]["mask, from file"],
            f"idle_bytes{end}": result["bytes"]["mask"],
            f"dense_copy_bytes{end}": result["bytes"]["dense copies"],
            f"lora_bytes{end}": result["bytes"]["LoRA, merged"],
        }
    print_line("mask_bank", arguments, **line)


if __name__ == "__main__":
    main()
