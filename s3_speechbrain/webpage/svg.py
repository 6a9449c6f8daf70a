"""Small charts as inline SVG whose colours come from the page's style sheet, so that they follow light and dark."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 40
SERIES = 8  # colours in the style sheet
Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about `count` of them: multiples of 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = max(high - low, 1e-9)
    power = 10 ** math.floor(math.log10(span / count))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _short(value: float) -> str:
    for scale, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= scale:
            return f"{value / (1e3 if letter == ' k' else scale):g}{letter}"
    return f"{value:g}"


class _Frame:
    """Axes of a chart: maps values to places and draws grid and labels."""

    def __init__(self, points: Points, x_label: str, y_label: str, from_zero: bool, log_x: bool) -> None:
        self.log_x = log_x and min(x for x, _ in points) > 0
        xs, ys = [self.along(x) for x, _ in points], [y for _, y in points]
        self.x0, self.x1 = (min(xs) - 0.15, max(xs) + 0.15) if self.log_x else _range(min(xs), max(xs))
        self.y0, self.y1 = _range(0.0 if from_zero else min(ys), max(ys))
        self.x_label, self.y_label = x_label, y_label

    def along(self, value: float) -> float:
        return math.log10(value) if self.log_x else value

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (self.along(value) - self.x0) / (self.x1 - self.x0)

    def x_ticks(self) -> list[float]:
        if not self.log_x:
            return ticks(self.x0, self.x1)
        powers = range(math.floor(self.x0), math.ceil(self.x1) + 1)
        steps = (1, 3) if self.x1 - self.x0 > 1 else (1, 2, 5)
        found = [step * 10.0**power for power in powers for step in steps]
        return [value for value in found if self.x0 <= math.log10(value) <= self.x1]

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.y0) / (self.y1 - self.y0)

    def axes(self) -> list[str]:
        parts = []
        for value in ticks(self.y0, self.y1):
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(value):.1f}" '
                f'y2="{self.y(value):.1f}"/>'
            )
            parts.append(
                f'<text x="{LEFT - 7}" y="{self.y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>'
            )
        for value in self.x_ticks():
            parts.append(
                f'<text x="{self.x(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                f"{_short(value)}</text>"
            )
        middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
        parts.append(
            f'<text class="label" x="{LEFT + (WIDTH - LEFT - RIGHT) / 2:.0f}" y="{HEIGHT - 5}" '
            f'text-anchor="middle">{escape(self.x_label)}</text>'
        )
        parts.append(
            f'<text class="label" transform="rotate(-90 12 {middle:.0f})" x="12" y="{middle:.0f}" '
            f'text-anchor="middle">{escape(self.y_label)}</text>'
        )
        return parts


def _range(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.04 or max(abs(high), 1.0) * 0.1
    return (low - margin if low else 0.0), high + margin


def chart(
    series: Mapping[str, Points],
    title: str,
    x_label: str,
    y_label: str,
    *,
    lines: bool = True,
    frontier: Points = (),
    from_zero: bool = False,
    log_x: bool = False,
) -> Markup | None:
    """Draw lines or points.

    Parameters
    ----------
    series : mapping of str to sequence of (float, float)
        Points by name; names are told by the legend and by a title on each point.
    title : str
        What a reader who does not see the chart is told; say what it shows.
    x_label, y_label : str
        Of the axes, with units.
    lines : bool
        Join the points.
    frontier : sequence of (float, float)
        A dashed line through these, for the best ones.
    from_zero : bool
        Begin the vertical axis at 0.
    log_x : bool
        Make the horizontal axis logarithmic, if all its values are positive.

    Returns
    -------
    Markup or None
        The SVG element; None without a point.
    """
    everything = [point for points in series.values() for point in points]
    if not everything:
        return None
    frame = _Frame(everything, x_label, y_label, from_zero, log_x)
    parts = frame.axes()
    if len(frontier) > 1:
        parts.append(f'<polyline class="frontier" points="{_joined(frame, frontier)}"/>')
    for number, (name, points) in enumerate(series.items()):
        colour = f"s{number % SERIES}"
        if lines and len(points) > 1:
            parts.append(f'<polyline class="line {colour}" points="{_joined(frame, points)}"/>')
        for x, y in points:
            told = f"{escape(name)}: {_short(round(x, 4))}, {_short(round(y, 4))}"
            parts.append(
                f'<circle class="dot {colour}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" '
                f'r="{3.2 if lines else 5}"><title>{told}</title></circle>'
            )
    legend = "".join(
        f'<span class="key"><i class="s{number % SERIES}"></i>{escape(name)}</span>'
        for number, name in enumerate(series)
    )
    return Markup(
        f'<div class="chart">{_svg(title, "".join(parts), HEIGHT)}<div class="legend">{legend}</div></div>'
    )


def _joined(frame: _Frame, points: Points) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def bars(rows: Sequence[tuple[str, float]], title: str) -> Markup | None:
    """Draw shares, 0 to 1, as horizontal bars with their names and percentages."""
    if not rows:
        return None
    parts, step, start = [], 24, 150
    room = WIDTH - start - 58
    for number, (name, share) in enumerate(rows):
        y = number * step + 4
        long = name if len(name) <= 22 else f"…{name[-21:]}"
        length = room * min(max(share, 0.0), 1.0)
        parts.append(f'<text x="{start - 8}" y="{y + 12}" text-anchor="end">{escape(long)}</text>')
        parts.append(f'<rect class="track" x="{start}" y="{y}" width="{room}" height="15" rx="3"/>')
        parts.append(f'<rect class="bar" x="{start}" y="{y}" width="{length:.1f}" height="15" rx="3"/>')
        parts.append(f'<text x="{start + room + 7}" y="{y + 12}">{100 * share:.1f} %</text>')
    return Markup(f'<div class="chart">{_svg(title, "".join(parts), len(rows) * step + 6)}</div>')


def _svg(title: str, body: str, height: int) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
