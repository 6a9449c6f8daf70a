"""Tables as markdown and as plain text, and numbers with a fixed number of digits."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from s3_speechbrain.report.runs import Stat


@dataclass(frozen=True)
class Table:
    """A header and rows of finished cells; the first `text_columns` are set left, the others right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1

    def __post_init__(self) -> None:
        """Refuse ragged rows, which would shift numbers under the wrong heading."""
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"a row of {len(row)} cells under {len(self.header)} headings: {list(row)}")


def display_width(text: str) -> int:
    """Count terminal columns: combining marks take none, wide East Asian characters take two."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def markdown(table: Table) -> str:
    """Write a table as GitHub markdown, without a final newline."""
    rules = ["---" if column < table.text_columns else "---:" for column in range(len(table.header))]
    lines = [[_escaped(cell) for cell in row] for row in (table.header, *table.rows)]
    lines.insert(1, rules)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(table: Table) -> str:
    """Write a table for a terminal, columns aligned, without a final newline."""
    cells = [[cell.replace("\n", " ") for cell in row] for row in (table.header, *table.rows)]
    widths = [max(display_width(row[column]) for row in cells) for column in range(len(table.header))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for column, cell in enumerate(row):
            gap = " " * (widths[column] - display_width(cell))
            padded.append(cell + gap if column < table.text_columns else gap + cell)
        return "  ".join(padded).rstrip()

    return "\n".join([line(cells[0]), "  ".join("-" * width for width in widths), *map(line, cells[1:])])


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with a fixed number of decimals; nothing for None."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # no "-0.00"


def spread(value: Stat | None, digits: int = 2) -> str:
    """Write ``mean ± standard deviation (seeds)``; the mean alone for one seed, nothing for None."""
    if value is None:
        return ""
    if value.count == 1:
        return number(value.mean, digits)
    if value.spread is None:
        return f"{number(value.mean, digits)} ({value.count})"
    return f"{number(value.mean, digits)} ± {number(value.spread, digits)} ({value.count})"


def size(count: float | None) -> str:
    """Write a number of bytes with three significant digits in decimal units."""
    return _scaled(count, (("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9)))


def amount(count: float | None) -> str:
    """Write a count of parameters with three significant digits."""
    return _scaled(count, (("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9)))


def _scaled(count: float | None, units: Sequence[tuple[str, float]]) -> str:
    if count is None:
        return ""
    for name, scale in reversed(units):
        # 999,600 rounds to 1,000 of the smaller unit: name it by the larger
        if count >= scale * 0.9995 or scale == 1:
            scaled = count / scale
            digits = 0 if scale == 1 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f} {name}".rstrip()
    raise AssertionError("the smallest unit fits every count")


def number_range(values: Sequence[float], digits: int = 2) -> str:
    """Write one value, or the smallest and largest of several that differ."""
    texts = sorted({number(value, digits) for value in values}, key=float)
    return "" if not texts else texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"
