"""The selectors that keep the contract, on an encoder of width 16; a new one needs a line in `SELECTORS`."""

from pathlib import Path

import torch
from torch import nn

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.tokens import (
    CALIBRATED,
    DETECTED,
    DetectorConfig,
    TokenConfig,
    TokenDetector,
    TokenSelector,
    make_selector,
    threshold_for_keep_ratio,
)

LABELS = 6


def build(
    name: str, folder: Path, ratio: float = 0.5, **settings: object
) -> tuple[SpeechEncoder, TokenSelector]:
    """Build an encoder and a selector (``salad``, ``salad mean``), calibrated on `speech` where it has a threshold."""
    name, _, reduce = name.partition(" ")
    settings = {"reduce": reduce, **settings} if reduce else settings
    torch.manual_seed(3)
    encoder = SpeechEncoder(str(folder)).eval()
    teacher = (SpeechEncoder(str(folder)), nn.Linear(encoder.width, LABELS))
    detector = TokenDetector(encoder.extractor_width, DetectorConfig(width=8, layers=2, kernel=5))
    config = TokenConfig(name, ratio, **settings)
    selector = make_selector(config, encoder, detector if name in DETECTED else None, teacher).eval()
    if name in CALIBRATED:
        with torch.no_grad():
            wavs, lengths = speech(30000, 50000)
            features, frames = encoder.extract(wavs, lengths)
            scores = selector.scores(features, frames, wavs)
        rows = [row[:count] for row, count in zip(scores, frames.tolist(), strict=True)]
        selector.threshold.fill_(threshold_for_keep_ratio(rows, ratio))
    return encoder, selector


def speech(*samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noise whose loudness and colour change over time, padded, and relative lengths."""
    clips = []
    for number, count in enumerate(samples):
        generator = torch.Generator().manual_seed(number)
        noise = torch.randn(count, generator=generator)
        slow = torch.cumsum(noise, 0) / 30
        swell = torch.sin(torch.arange(count) / 3000.0)
        clips.append(noise * swell.clamp(min=0) + slow * (-swell).clamp(min=0))
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor(samples) / max(samples)
