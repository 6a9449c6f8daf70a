"""Encoders with every weight in use, and a reference for what removing units means."""

import torch
from families import make_family

from s3_speechbrain.structured.units import find_units, parameter_at

ALL = ("heads", "neurons", "channels")
FAMILIES = ("wav2vec2-layer", "wav2vec2-group", "hubert", "wavlm", "data2vec", "whisper")


def stirred(family):
    """Return a bare encoder whose biases, norms and position tables are not their neutral first values."""
    model = make_family(family).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@torch.no_grad()
def zero_columns_(encoder, keep):
    """Remove units by hand: zero what leads out of them."""
    for name, group in find_units(encoder, sorted({name.partition(".")[0] for name in keep})).items():
        weight = parameter_at(encoder, group.columns.parameter)
        gone = (~keep[name]).repeat_interleave(group.columns.width)
        weight[:, gone] = 0


def random_keep(encoder, seed, kinds=("heads", "neurons"), share=0.5, least=0):
    """Draw a keep mask per group, with at least so many units kept."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for name, group in find_units(encoder, kinds).items():
        drawn = torch.rand(group.count, generator=generator)
        mask = drawn < share
        mask[drawn.argsort()[: max(least, group.kind == "channels")]] = True
        keep[name] = mask
    return keep
