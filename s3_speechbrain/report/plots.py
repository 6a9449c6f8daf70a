"""Plots of one run, and error against sparsity over several, drawn without a display."""

import hashlib
import json
import os
import re
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

from s3_speechbrain.report.runs import Stat

# the Okabe-Ito colours, told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# more curves than colours differ in marker and line as well
STYLES = [
    {"color": colour, "marker": marker, "linestyle": line}
    for marker, line in (("o", "-"), ("s", "--"), ("^", ":"))
    for colour in COLOURS
]
DIGEST = "s3-data"  # name of the image's text field that says which numbers it was drawn from
SPARSITY = "sparsity (fraction removed)"
LABEL_WIDTH = 44  # characters of an axis label's line
WIDE = 2.0  # largest over smallest error of a figure, from where its scale is logarithmic
LEVELS = ("#000000", "#777777", "#AAAAAA")  # references, told from curves by their greys
LAYER = re.compile(r"layers\.(\d+)\.")


def digest(data: Any) -> str:
    """Return the fingerprint of the numbers behind a figure.

    Pixels depend on the version of matplotlib and its fonts; the numbers do not. So a figure counts as up to
    date when the fingerprint stored in it matches.
    """
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def stored_digest(path: str | Path) -> str | None:
    """Read the fingerprint out of a figure; None if there is no such figure or no fingerprint in it."""
    try:
        with Image.open(path) as image:
            return getattr(image, "text", {}).get(DIGEST)
    except OSError:
        return None


def save_figure(figure: Figure, path: Path, data: Any) -> Path:
    """Write a figure with the fingerprint of its numbers in it, atomically; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".png")
    os.close(handle)
    try:
        # no software version and no date: drawing again on the same machine gives the same bytes
        figure.savefig(temporary, dpi=110, metadata={"Software": None, DIGEST: digest(data)})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return path


def _figure(panels: int = 1) -> tuple[Figure, list]:
    figure = Figure(figsize=(5.2 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _draw_series(axis: Any, history: Sequence[Mapping], names: Mapping[str, str], steps: str) -> None:
    for colour, (name, label) in zip(COLOURS, names.items(), strict=False):
        points = [(row[steps], row[name]) for row in history if row.get(name) is not None]
        if points:
            axis.plot(
                *zip(*points, strict=True),
                color=colour,
                label=label,
                marker="." if len(points) < 40 else None,
            )
    axis.set_xlabel("updates" if steps == "updates" else "epoch")
    if axis.lines:
        axis.legend(frameon=False)


def plot_curves(folder: str | Path, history: Sequence[Mapping[str, Any]]) -> Path | None:
    """Draw losses and error rates over training as ``curves.png``.

    Parameters
    ----------
    folder : path
        Where to write.
    history : sequence of mappings
        Rows with ``epoch`` and any of ``updates``, ``train_loss``, ``valid_loss``, ``valid_CER``,
        ``valid_WER``, ``valid_PER`` (percent). Missing or None cells leave a gap.

    Returns
    -------
    Path or None
        The figure; None where there is no history to draw.
    """
    if not history:
        return None
    steps = "updates" if all(row.get("updates") is not None for row in history) else "epoch"
    figure, (losses, errors) = _figure(2)
    _draw_series(losses, history, {"train_loss": "training", "valid_loss": "dev"}, steps)
    losses.set_ylabel("loss")
    _draw_series(errors, history, {f"valid_{name}": f"dev {name}" for name in ("CER", "WER", "PER")}, steps)
    errors.set_ylabel("error rate (%)")
    errors.set_ylim(bottom=0)
    return save_figure(figure, Path(folder) / "curves.png", list(map(dict, history)))


def plot_layer_sparsity(folder: str | Path, per_layer: Mapping[str, float]) -> Path | None:
    """Draw the sparsity of each masked layer as bars in ``layer_sparsity.png``.

    Parameters
    ----------
    folder : path
        Where to write.
    per_layer : mapping
        Dotted layer name to the fraction removed, as in ``sparsity_report(encoder)["per_layer"]``.

    Returns
    -------
    Path or None
        The figure; None where no layer is masked.
    """
    if not per_layer:
        return None
    places: list[str] = []
    kinds: dict[str, dict[str, float]] = {}
    for name, value in per_layer.items():
        found = LAYER.search(name)
        place, kind = (found[1], name[found.end() :]) if found else (name.split(".")[-1], "other")
        places += [place] if place not in places else []
        kinds.setdefault(kind, {})[place] = value
    figure, (axis,) = _figure()
    width = 0.8 / len(kinds)
    for index, (kind, values) in enumerate(kinds.items()):
        positions = [places.index(place) + (index - (len(kinds) - 1) / 2) * width for place in values]
        axis.bar(positions, values.values(), width, label=kind, color=COLOURS[index % len(COLOURS)])
    axis.set_xticks(range(len(places)), places)
    axis.set_xlabel("layer")
    axis.set_ylabel("sparsity (fraction removed)")
    axis.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return save_figure(figure, Path(folder) / "layer_sparsity.png", dict(per_layer))


def plot_sparsity_curve(
    path: str | Path,
    curves: Mapping[str, Sequence[tuple[float, Stat]]],
    levels: Mapping[str, float],
    *,
    title: str = "",
    error: str = "CER",
    along: str = SPARSITY,
) -> Path:
    """Draw error against sparsity or another quantity, the spread over seeds as bars, levels as horizontal lines.

    Parameters
    ----------
    path : path
        The PNG to write; it is left alone when it was drawn from the same numbers.
    curves : mapping
        Label to (sparsity, pooled error in percent) points.
    levels : mapping
        Label to an error in percent, drawn as a dashed line.
    title, error : str
        The figure's title and the name of the error rate.
    along : str
        What the horizontal axis shows.

    Returns
    -------
    Path
        The figure.
    """
    path = Path(path)
    data = sparsity_curve_data(curves, levels, title, error, along)
    if stored_digest(path) == digest(data):
        return path
    figure, (axis,) = _figure()
    for style, (label, points) in zip(STYLES, curves.items(), strict=False):
        places = [place for place, _ in points]
        means = [value.mean for _, value in points]
        bars = [value.spread or 0.0 for _, value in points]
        axis.errorbar(places, means, bars, label=label, markersize=4, capsize=3, **style)
    for colour, (label, level) in zip(cycle(LEVELS), levels.items(), strict=False):
        axis.axhline(level, label=label, color=colour, linestyle="--", linewidth=1)
    axis.set_xlabel(textwrap.fill(along, LABEL_WIDTH))
    axis.set_ylabel(f"{error} (%)")
    _spread_out(axis, [value.mean for points in curves.values() for _, value in points])
    axis.set_title(title, fontsize="medium")
    if len(curves) + len(levels) > 6:
        axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    else:
        axis.legend(frameon=False)
    return save_figure(figure, path, data)


def _spread_out(axis: Axes, values: Sequence[float]) -> None:
    """Take a logarithmic scale where some methods fail, which would press all others into one line."""
    if values and min(values) > 0 and max(values) > WIDE * min(values):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 2.5, 3, 4, 5, 7)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())


def sparsity_curve_data(
    curves: Mapping[str, Sequence[tuple[float, Stat]]],
    levels: Mapping[str, float],
    title: str,
    error: str,
    along: str = SPARSITY,
) -> dict[str, Any]:
    """Return what a sparsity curve is drawn from, in the form whose fingerprint the figure carries."""
    points = {
        label: [
            [place, round(value.mean, 6), round(value.spread or 0.0, 6), value.count]
            for place, value in series
        ]
        for label, series in curves.items()
    }
    levels = {label: round(level, 6) for label, level in levels.items()}
    data = {"curves": points, "levels": levels, "title": title, "error": error}
    # sparsity goes without saying, in the fingerprints of committed figures too
    return data if along == SPARSITY else {**data, "along": along}


def plot_bytes(path: str | Path, curves: Mapping[str, Sequence[tuple[int, float]]]) -> Path:
    """Draw the bytes of several languages over their number, one line per scheme.

    Parameters
    ----------
    path : path
        The PNG to write.
    curves : mapping
        Label to (number of languages, total bytes) points.

    Returns
    -------
    Path
        The figure.
    """
    figure, (axis,) = _figure()
    for colour, (label, points) in zip(COLOURS, curves.items(), strict=False):
        counts, totals = zip(*points, strict=True)
        axis.plot(
            counts, [total / 1e6 for total in totals], color=colour, label=label, marker="o", markersize=3
        )
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(counts, map(str, counts))
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_minor_formatter(NullFormatter())
    axis.set_xlabel("languages")
    axis.set_ylabel("stored (MB)")
    axis.legend(frameon=False, fontsize="small")
    return save_figure(figure, Path(path), bytes_data(curves))


def bytes_data(curves: Mapping[str, Sequence[tuple[int, float]]]) -> dict[str, Any]:
    """Return what `plot_bytes` draws, in the form whose fingerprint the figure carries."""
    return {label: [[count, round(total)] for count, total in points] for label, points in curves.items()}
