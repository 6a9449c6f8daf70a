"""A worker of the export that had died was asked on, and a broken pipe was told in place of the prepared message."""

import subprocess
import sys

import numpy as np
import pytest
from model_folders import tokenizer

from s3_speechbrain.errors import UserError
from s3_speechbrain.export import comparison


@pytest.mark.parametrize("said", ["{}", "{}\n", '{}\n{"seco'])
def test_a_worker_that_ends_is_told(said, monkeypatch, tmp_path):
    real = subprocess.Popen

    def ended(_, **pipes):
        process = real([sys.executable, "-c", f"import sys; sys.stdout.write({said!r})"], **pipes)
        process.wait()
        return process

    monkeypatch.setattr(comparison.subprocess, "Popen", ended)
    variant = comparison.Variant("onnxruntime", "float32", tmp_path / "model.onnx")
    with pytest.raises(UserError, match="cannot be measured: its process ended"):
        comparison.measure([variant], [np.zeros(8000, np.float32)], ["a"], tokenizer(), progress=False)
