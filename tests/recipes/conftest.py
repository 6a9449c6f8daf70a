"""Run a recipe's train.py in this process on a tiny corpus with a tiny encoder."""

import json
from collections.abc import Callable

import pytest
from recipe_tools import RECIPES, load_recipe

from s3_speechbrain.brains import results
from s3_speechbrain.report import read_metrics


@pytest.fixture
def arguments(tiny_encoder, tiny_corpus, tmp_path) -> Callable[..., list[str]]:
    """Return a function (recipe, folder name, options) -> argv of six updates."""

    def make(recipe: str, folder: str = "run", *options: str) -> list[str]:
        return [
            str(RECIPES / recipe / "hparams" / "demo.yaml"),
            f"--data_folder={tiny_corpus}",
            f"--source={tiny_encoder}",
            f"--output_folder={tmp_path / folder}",
            f"--unpack_folder={tmp_path / 'unpacked'}",
            *("--language=en", "--updates=6", "--valid_every=3", "--batch_seconds=6", "--noprogressbar"),
            "--freeze_updates=0",
            *options,
        ]

    return make


@pytest.fixture
def run(arguments, tmp_path) -> Callable[..., dict]:
    """Return a function that runs a recipe and returns its metrics."""

    def go(recipe: str, folder: str = "run", *options: str) -> dict:
        load_recipe(recipe).main(arguments(recipe, folder, *options))
        return json.loads((tmp_path / folder / "metrics.json").read_text())

    return go


@pytest.fixture(scope="module")
def no_plots():
    """Plots are tested elsewhere and take much of the time of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_curves", "plot_layer_sparsity"):
            patch.setattr(results, name, lambda *_: None)
        yield


@pytest.fixture(scope="module")
def s6_damon(no_plots, tiny_encoder, tiny_corpus, tmp_path_factory) -> Callable[..., dict]:
    """Return a function (YAML file, folder below its `root`, options) that runs the recipe; returns its metrics."""
    root = tmp_path_factory.mktemp("s6_damon")

    def go(yaml: str, folder: str, *options: str) -> dict:
        load_recipe("CommonVoice/s6_damon").main(
            [
                str(RECIPES / "CommonVoice" / "s6_damon" / "hparams" / yaml),
                f"--data_folder={tiny_corpus}",
                f"--source={tiny_encoder}",
                f"--output_folder={root / folder}",
                f"--unpack_folder={root / 'unpacked'}",
                *("--language=en", "--updates=6", "--valid_every=3", "--batch_seconds=6", "--noprogressbar"),
                *options,
            ]
        )
        return read_metrics(root / folder)

    go.root = root
    return go
