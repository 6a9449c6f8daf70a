"""Small recognisers of every kind that a model folder can hold, and folders of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from families import write_family
from toy_encoders import write_encoder

from s3_speechbrain.brains import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import Characters
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.modelfolder import ModelFacts, write_model
from s3_speechbrain.structured import find_units, slice_
from s3_speechbrain.tokens import TokenConfig, TokenDetector, make_selector

LABELS = ["", " ", "a", "b", "c", "é"]
FACTS = ModelFacts({"fr": "fr/1-0123abcd"}, "finetuning", "dense", "builtin")


def tokenizer() -> Characters:
    """Make the tokenizer of `LABELS`."""
    return Characters.from_labels(LABELS)


def make_model(
    folder: Path,
    family: str | None = None,
    hidden: Sequence[int] = (),
    layers: int | None = None,
    selector: str | None = None,
    sliced: bool = False,
) -> Recogniser:
    """Build a recogniser with lively random weights over an encoder that is written into `folder` first."""
    source = write_family(family, folder) if family else write_encoder(folder)
    encoder = SpeechEncoder(str(source), freeze=True, attention="eager")
    if sliced:
        slice_uneven_(encoder)
    torch.manual_seed(1)
    head = CTCHead(encoder.width, len(LABELS), hidden, layers)
    for parameter in head.parameters():
        parameter.data.normal_(0, 0.5)
    chooser = None
    if selector is not None:
        config = TokenConfig(selector=selector)
        chooser = make_selector(config, encoder, TokenDetector(encoder.extractor_width, config.detector))
    return Recogniser(encoder, head, chooser).eval().requires_grad_(False)


def slice_uneven_(encoder: SpeechEncoder) -> None:
    """Give each layer a size of its own: the first loses all heads, the second all neurons."""
    keep = {}
    for name, group in find_units(encoder).items():
        kind, number = name.split(".")
        stays = torch.arange(group.count) % 2 == 0
        if (kind, number) in (("heads", "0"), ("neurons", "1")):
            stays[:] = False
        keep[name] = stays
    slice_(encoder, keep)


def write_toy_model(folder: Path, encoder: Path, **options: object) -> Path:
    """Write the folder of a small model."""
    return write_model(folder, make_model(encoder, **options), tokenizer(), FACTS)


def logits_of(model: Recogniser) -> torch.Tensor:
    """Return the logits of two clips of noise, the second of which is padded."""
    waves = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(3))
    waves[1, 9600:] = 0
    with torch.inference_mode():
        return model(waves, torch.tensor([1.0, 0.6]))[0]
