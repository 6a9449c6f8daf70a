import pytest
from PIL import Image

from s3_speechbrain.report import plot_curves, plot_layer_sparsity
from s3_speechbrain.report.plots import plot_sparsity_curve, stored_digest
from s3_speechbrain.report.runs import Stat

HISTORY = [
    {"epoch": 1, "updates": 10, "train_loss": 3.0, "valid_loss": 2.5, "valid_CER": 90.0, "valid_WER": 99.0},
    {"epoch": 2, "updates": 20, "train_loss": 2.0, "valid_loss": None, "valid_CER": 60.0},
]
POINTS = {"masks": [(0.0, Stat(20.0, 1.0, 3)), (0.1, Stat(18.0, None, 1))]}


@pytest.fixture
def curve(tmp_path):
    def draw(dense=19.0):
        return plot_sparsity_curve(tmp_path / "figures" / "sweep.png", POINTS, {"dense": dense}, title="fr")

    return draw


def test_curves_are_a_png_with_content(tmp_path):
    path = plot_curves(tmp_path / "run", HISTORY)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert len(set(image.convert("RGB").resize((200, 80)).getdata())) > 3  # not blank


def test_a_run_without_history_or_masks_draws_nothing(tmp_path):
    assert plot_curves(tmp_path, []) is None
    assert plot_layer_sparsity(tmp_path, {}) is None
    assert list(tmp_path.iterdir()) == []


def test_history_without_updates_is_drawn_over_epochs(tmp_path):
    assert plot_curves(tmp_path, [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2}]).is_file()


def test_layer_sparsity_takes_names_of_all_families(tmp_path):
    names = ("encoder.layers.0.feed_forward.output_dense", "layers.11.fc1", "conv1")
    assert plot_layer_sparsity(tmp_path, dict.fromkeys(names, 0.1)).name == "layer_sparsity.png"


def test_drawing_the_same_run_twice_gives_the_same_bytes(tmp_path):
    assert (
        plot_curves(tmp_path / "a", HISTORY).read_bytes() == plot_curves(tmp_path / "b", HISTORY).read_bytes()
    )


def test_a_figure_is_drawn_again_only_when_its_numbers_change(curve):
    path = curve()
    first = path.stat().st_mtime_ns, stored_digest(path)
    assert curve().stat().st_mtime_ns == first[0]
    curve(dense=21.0)
    assert stored_digest(path) != first[1]


def test_more_curves_than_colours_are_all_drawn(tmp_path):
    sizes = []
    for count in (7, 12):
        curves = {f"method {i}": [(0.1 * i, Stat(5.0 + i, None, 1))] for i in range(count)}
        with Image.open(plot_sparsity_curve(tmp_path / f"{count}.png", curves, {})) as image:
            sizes.append(image.convert("L").point(lambda value: value < 250).histogram()[1])
    assert sizes[1] > 1.2 * sizes[0]  # dark pixels


def test_something_that_is_no_figure_has_no_fingerprint(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    assert stored_digest(tmp_path / "a.png") is None
    assert stored_digest(tmp_path / "b.png") is None
