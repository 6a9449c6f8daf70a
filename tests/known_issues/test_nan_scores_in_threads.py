"""Scores that are not numbers were an error in one thread and a wait without end in several."""

import subprocess
import sys

PROGRAM = """
import torch
from torch import nn
from s3_speechbrain.masking.config import MaskConfig
from s3_speechbrain.masking.api import new_masks
from s3_speechbrain.masking.groups import renew_groups

torch.set_num_threads(2)
layers = {f"encoder.layers.{n}.feed_forward.intermediate_dense": nn.Linear(400, 400) for n in range(24)}
masks, groups = new_masks(layers, MaskConfig(init="normal"))
for mask in masks.values():
    mask.score.data.fill_(float("nan"))
try:
    renew_groups(groups)
except Exception as error:
    print(type(error).__name__)
"""


def test_the_error_arrives():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "UserError", done.stderr
