"""The charts and tables of the page, from runs."""

import difflib
import re
import statistics
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from s3_speechbrain.analysis.overlap import overlaps, total
from s3_speechbrain.report.schema import error_name, value_of
from s3_speechbrain.report.tables import amount, number, size
from s3_speechbrain.webpage.gathering import Example, Run
from s3_speechbrain.webpage.svg import bars, chart

COLUMNS = (
    ("language", "language", str),
    ("method", "method", str),
    ("sparsity", "sparsity.masked", lambda value: f"{100 * value:.1f} %"),
    ("test CER %", "test.CER", number),
    ("test WER %", "test.WER", number),
    ("test PER %", "test.PER", number),
    ("test error %", "test.ERR", number),
    ("dev CER %", "dev.CER", number),
    ("per language", "size.bytes_per_language", size),
    ("parameters", "size.parameters", amount),
    ("frames kept", "tokens.keep_ratio", lambda value: f"{100 * value:.0f} %"),
    ("RTF", "speed.rtf", lambda value: number(value, 4)),
    ("updates", "cost.updates", lambda value: f"{value:,}"),
    ("training", "cost.wall_s", lambda value: f"{value / 60:.1f} min"),
)
TEXT_COLUMNS = ("run", "language", "method")
COSTS = (
    ("macs.total", "multiply-accumulates of 10 s", 1.0),
    ("size.bytes_per_language", "MB stored per language", 1e-6),
    ("sparsity.masked", "share of the masked weights removed (%)", 100.0),
)
_LAYER = re.compile(r"layers\.(\d+)\.(attention|self_attn|feed_forward|fc\d)?")


def table(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of what was measured; columns that no run fills are left out."""
    shown = [
        column for column in COLUMNS if any(value_of(run.metrics, column[1]) is not None for run in runs)
    ]
    rows = []
    for run in runs:
        cells = [(value_of(run.metrics, field), write) for _, field, write in shown]
        rows.append([run.name, *("" if value is None else write(value) for value, write in cells)])
    return ["run", *(name for name, _, _ in shown)], rows


def curves(run: Run) -> list[Markup]:
    """Draw losses and dev errors over training."""
    history = [row for row in run.metrics.get("history") or [] if row.get("updates") is not None]

    def series(names: dict[str, str]) -> dict[str, list]:
        points = {
            label: [(row["updates"], row[name]) for row in history if row.get(name) is not None]
            for name, label in names.items()
        }
        return {label: found for label, found in points.items() if found}

    losses = series({"train_loss": "training", "valid_loss": "dev"})
    errors = series({f"valid_{name}": f"dev {name}" for name in ("CER", "WER", "PER")})
    drawn = [
        chart(losses, f"Loss of {run.name} over training", "updates", "loss"),
        chart(
            errors,
            f"Dev error rates of {run.name} over training",
            "updates",
            "error rate (%)",
            from_zero=True,
        ),
    ]
    return [figure for figure in drawn if figure is not None]


def layers(run: Run) -> Markup | None:
    """Draw the sparsity of each layer; of many matrices the means by transformer layer and part."""
    found: dict[str, float] = run.metrics.get("per_layer_sparsity") or {}
    if len(found) > 16:
        groups: dict[str, list[float]] = {}
        for name, share in found.items():
            place = _LAYER.search(name)
            part = (
                {"attention": "attention", "self_attn": "attention"}.get(place[2] or "", "FFN")
                if place
                else ""
            )
            groups.setdefault(f"layer {place[1]}, {part}" if place else "elsewhere", []).append(share)
        found = {name: statistics.fmean(shares) for name, shares in groups.items()}
    shown = [(name.removeprefix("model.").removeprefix("encoder."), share) for name, share in found.items()]
    return bars(shown, f"Share of weights removed in each layer of {run.name}")


def pareto(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Draw test error against cost for each language with at least three runs of different cost.

    Returns
    -------
    list of dict
        ``language``, ``figure`` and ``text``: which runs are on the frontier.
    """
    found = []
    keys = dict.fromkeys(
        (run.metrics["language"], run.metrics["data"].get("manifest_sha256")) for run in runs
    )
    for language, data in keys:
        alike = [
            run
            for run in runs
            if (run.metrics["language"], run.metrics["data"].get("manifest_sha256")) == (language, data)
        ]
        for field, label, scale in COSTS:
            points = [(run, value_of(run.metrics, field)) for run in alike]
            points = [
                (run, scale * cost, run.metrics["test"][error_name(run.metrics)])
                for run, cost in points
                if cost is not None
            ]
            if len({cost for _, cost, _ in points}) >= 3:
                found.append(_pareto(language, label, points, high_is_good=field.startswith("sparsity")))
                break
    return found


def _pareto(
    language: str, label: str, points: list[tuple[Run, float, float]], high_is_good: bool
) -> dict[str, Any]:
    ordered = sorted(points, key=lambda point: (-point[1] if high_is_good else point[1], point[2]))
    best: list[tuple[Run, float, float]] = []
    for point in ordered:
        if not best or point[2] < best[-1][2]:
            best.append(point)
    series: dict[str, list[tuple[float, float]]] = {}
    for run, cost, error in points:
        series.setdefault(run.metrics["method"], []).append((cost, error))
    name = error_name(points[0][0].metrics)
    title = f"Test {name} against {label}, {language}"
    frontier = [(cost, error) for _, cost, error in best]
    figure = chart(
        series, title, label, f"test {name} (%)", lines=False, frontier=frontier, log_x=not high_is_good
    )
    text = ", ".join(run.name for run, _, _ in best)
    return {
        "language": language,
        "figure": figure,
        "text": f"Nothing here is both cheaper and better than: {text}.",
    }


def overlap(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Compare the masks of runs over the same layers pair by pair: the most runs that can be compared.

    Returns
    -------
    dict or None
        ``names`` and ``rows`` of cells with ``text``, ``share`` (for the colour) and ``told``; None for fewer
        than two comparable runs.
    """
    groups: dict[frozenset, list[Run]] = {}
    for run in runs:
        if run.masks:
            shapes = frozenset((name, tuple(mask.shape)) for name, mask in run.masks.items())
            groups.setdefault(shapes, []).append(run)
    alike = max(groups.values(), key=len, default=[])
    if len(alike) < 2:
        return None
    rows = []
    for first in alike:
        row = []
        for second in alike:
            if first is second:
                row.append({"text": "", "share": 0.0, "told": "the same run"})
                continue
            both = total(overlaps(first.masks, second.masks).values())
            told = f"kappa {both.kappa:.3f}; kept weights: intersection over union {both.iou:.3f}, by chance "
            told += f"{both.chance_iou:.3f}"
            row.append({"text": f"{both.kappa:.2f}", "share": max(0.0, both.kappa), "told": told})
        rows.append({"name": first.name, "cells": row})
    strongest = max(cell["share"] for row in rows for cell in row["cells"]) or 1.0
    for cell in (cell for row in rows for cell in row["cells"]):
        cell["share"] /= strongest  # the colours say which pairs are more alike, the numbers how much
    return {"names": [run.name for run in alike], "rows": rows}


def differences(example: Example) -> tuple[Markup, Markup]:
    """Mark the words of the reference and of the hypothesis in which they differ (``u``); everything is escaped."""
    said, heard = example.reference.split(), example.hypothesis.split()
    left: list[Markup] = []
    right: list[Markup] = []
    for action, a, b, c, d in difflib.SequenceMatcher(None, said, heard, autojunk=False).get_opcodes():
        form = Markup("{}") if action == "equal" else Markup("<u>{}</u>")
        left += [form.format(" ".join(said[a:b]))] if a < b else []
        right += [form.format(" ".join(heard[c:d]))] if c < d else []
    space = Markup(" ")
    return space.join(left), space.join(right) if right else Markup("<em>(nothing)</em>")
