"""Reach the recipes' train.py from tests."""

import importlib.util
from pathlib import Path
from types import ModuleType

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def load_recipe(name: str, file: str = "train.py") -> ModuleType:
    """Import a recipe's train.py, or another of its programs."""
    path = RECIPES / name / file
    spec = importlib.util.spec_from_file_location(f"{name.replace('/', '_')}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
