"""Run a recipe's train.py in this process on a tiny corpus with a tiny encoder."""

import json
from collections.abc import Callable

import pytest
from recipe_tools import RECIPES, load_recipe


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
