import pytest
from PIL import Image

from s3_speechbrain.report import plot_curves, plot_layer_sparsity, plots
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


def test_more_curves_than_colours_are_all_drawn_and_differ(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, *_: drawn.append(figure))
    curves = {f"method {i}": [(0.1 * i, Stat(5.0 + i, None, 1))] for i in range(12)}
    plot_sparsity_curve(tmp_path / "many.png", curves, {})
    lines = [bars[0] for bars in drawn[0].axes[0].containers]
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 12


def test_something_that_is_no_figure_has_no_fingerprint(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    assert stored_digest(tmp_path / "a.png") is None
    assert stored_digest(tmp_path / "b.png") is None
