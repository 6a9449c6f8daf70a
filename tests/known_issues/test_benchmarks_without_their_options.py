"""Lines of benchmarks named a command without its options, and mask_step.py told units of 2**20 bytes as MB."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from s3_speechbrain.memory import peak_rss_mb

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def loaded(monkeypatch):
    """Return a function that imports a script of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("common", None)


def test_the_command_is_the_one_given(loaded, monkeypatch, capsys):
    common = loaded("common")
    monkeypatch.setattr(sys, "argv", ["benchmarks/pruning.py", "--quick", "--threads", "1"])
    monkeypatch.setattr(common.torch, "set_num_threads", lambda _: None)
    arguments = common.read_arguments(common.make_parser("A benchmark.", "less", 3))
    common.print_line("pruning", arguments, ratio=1.0)
    line = json.loads(capsys.readouterr().out)
    assert line["command"] == "python benchmarks/pruning.py --quick --threads 1"


def test_megabytes_are_millions_of_bytes(loaded, monkeypatch, capsys):
    mask_step = loaded("mask_step")
    monkeypatch.setattr(mask_step, "make_step", lambda *_: (None, lambda: None))
    mask_step.print_own_peak("dense", 1, 1.0)
    assert float(capsys.readouterr().out) == pytest.approx(peak_rss_mb(), rel=0.01)
