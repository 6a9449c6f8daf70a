import numpy as np
import pytest
from PIL import Image

from s3_speechbrain.report.heatmaps import HeatmapFigure
from s3_speechbrain.report.plots import digest, stored_digest


@pytest.fixture
def figure():
    return HeatmapFigure(["x", "y"], ["u", "v"], [[0.1, None], [np.nan, 0.4]], [[0, 0], [0, 1]], "t")


def test_a_heat_map_is_a_png_that_carries_the_fingerprint_of_its_numbers(figure, tmp_path):
    path = figure.draw(tmp_path / "figures" / "a.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert len(set(image.convert("RGB").resize((200, 150)).getdata())) > 10
    assert stored_digest(path) == digest(figure.data)
    other = HeatmapFigure(figure.rows, figure.columns, [[0.2, None], [np.nan, 0.4]], figure.levels, "t")
    assert stored_digest(path) != digest(other.data)


def test_empty_cells_have_no_value_in_its_data(figure):
    assert figure.data["values"] == [[0.1, None], [None, 0.4]]
