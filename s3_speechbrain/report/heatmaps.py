"""A matrix as a heat map, with the level that chance or a baseline reaches in each cell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from s3_speechbrain.report.plots import save_figure

ANNOTATED = 16  # rows or columns, up to which cells carry their number


def plot_heatmap(
    path: str | Path,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]] | np.ndarray,
    levels: np.ndarray | None = None,
    title: str = "",
) -> Path:
    """Draw a matrix as a heat map.

    Parameters
    ----------
    path : path
        The PNG to write.
    rows, columns : sequence of str
        Names of rows and columns.
    values : array, shape (rows, columns)
        Colours and numbers; None and nan leave a cell empty.
    levels : array, optional
        Of the same shape, written in parentheses below the number.
    title : str
        Of the figure.

    Returns
    -------
    Path
        The figure.
    """
    cells = np.array([[np.nan if cell is None else cell for cell in row] for row in values], dtype=np.float64)
    size = (2.2 + 0.62 * len(columns), 1.6 + 0.5 * len(rows))
    figure = Figure(figsize=(max(size[0], 4.5), max(size[1], 3.2)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(cells, cmap="cividis", aspect="auto")
    figure.colorbar(image, ax=axis)
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_title(title, fontsize="medium")
    if max(cells.shape) <= ANNOTATED:
        bounds = image.get_clim()
        for (row, column), cell in np.ndenumerate(cells):
            if np.isfinite(cell):
                text = f"{cell:.3f}" if levels is None else f"{cell:.3f}\n({levels[row, column]:.3f})"
                dark = cell < sum(bounds) / 2
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
    shown = [[None if np.isnan(cell) else round(cell, 6) for cell in row] for row in cells.tolist()]
    beside = None if levels is None else np.round(levels, 6).tolist()
    data = {"rows": list(rows), "columns": list(columns), "values": shown, "levels": beside, "title": title}
    return save_figure(figure, Path(path), data)
