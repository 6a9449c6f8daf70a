"""A matrix as a heat map, with the level that chance or a baseline reaches in each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from s3_speechbrain.report.plots import save_figure

ANNOTATED = 16  # rows or columns, up to which cells carry their number
Cells = Sequence[Sequence[float | None]] | np.ndarray


@dataclass(frozen=True)
class HeatmapFigure:
    """A matrix as a heat map.

    Parameters
    ----------
    rows, columns : sequence of str
        Names of rows and columns.
    values : array, shape (rows, columns)
        Colours and numbers; None and nan leave a cell empty.
    levels : array, optional
        Of the same shape, written in parentheses below the number.
    title : str
        Of the figure.
    digits : int
        Decimals of the numbers.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Cells
    levels: Cells | None = None
    title: str = ""
    digits: int = 3

    @property
    def data(self) -> dict[str, Any]:
        """What the figure is drawn from, in the form whose fingerprint it carries."""
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "values": _plain(self.values),
            "levels": None if self.levels is None else _plain(self.levels),
            "title": self.title,
        }

    def draw(self, path: Path) -> Path:
        """Write the PNG."""
        cells = _array(self.values)
        size = (2.2 + 0.62 * len(self.columns), 1.6 + 0.5 * len(self.rows))
        figure = Figure(figsize=(max(size[0], 4.5), max(size[1], 3.2)), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(cells, cmap="cividis", aspect="auto")
        figure.colorbar(image, ax=axis)
        axis.set_xticks(range(len(self.columns)), self.columns, rotation=45, ha="right")
        axis.set_yticks(range(len(self.rows)), self.rows)
        axis.set_title(self.title, fontsize="medium")
        if max(cells.shape) <= ANNOTATED:
            middle = sum(image.get_clim()) / 2
            for (row, column), cell in np.ndenumerate(cells):
                if np.isfinite(cell):
                    colour = "w" if cell < middle else "k"
                    text = self._text(row, column)
                    axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        return save_figure(figure, path, self.data)

    def _text(self, row: int, column: int) -> str:
        text = f"{self.values[row][column]:.{self.digits}f}"
        return text if self.levels is None else f"{text}\n({self.levels[row][column]:.{self.digits}f})"


def _array(values: Cells) -> np.ndarray:
    return np.array([[np.nan if cell is None else cell for cell in row] for row in values], dtype=np.float64)


def _plain(values: Cells) -> list[list[float | None]]:
    return [[None if np.isnan(cell) else round(cell, 6) for cell in row] for row in _array(values).tolist()]
