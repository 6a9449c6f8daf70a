"""Random weights for a folder saved in float16 came in float16 and met float32 waveforms."""

import torch

from s3_speechbrain.encoders import SpeechEncoder


def test_the_built_in_backbone_with_random_weights_is_float32():
    encoder = SpeechEncoder("builtin", pretrained=False)
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert encoder(torch.randn(1, 8000), torch.ones(1)).hidden.isfinite().all()
