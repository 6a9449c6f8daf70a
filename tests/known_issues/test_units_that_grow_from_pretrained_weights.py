"""``grow_from: pretrained`` gave units that came back the teacher's weights."""

import torch
from toy_encoders import toy_wav2vec2

from s3_speechbrain.structured import Rounds, StructuredConfig
from s3_speechbrain.structured.units import parameter_at

CONFIG = StructuredConfig(floor={"heads": 1, "neurons": 4}, grow_from="pretrained")


def test_the_pretrained_encoder_is_what_they_come_from():
    pretrained = toy_wav2vec2().requires_grad_(True)
    finetuned = toy_wav2vec2().requires_grad_(True)
    with torch.no_grad():
        for parameter in finetuned.parameters():
            parameter.add_(1.0)
    rounds = Rounds(finetuned, CONFIG, 40)
    rounds.grow_from_(pretrained)
    kept = rounds.kept()
    gone = {name: torch.zeros_like(keep) | (torch.arange(len(keep)) > 0) for name, keep in kept.items()}
    rounds._change(gone, None)
    rounds._change(kept, None)  # the first unit of each group has come back
    for group in rounds.units.values():
        for part in group.parts:
            now, then = (
                parameter_at(encoder, part.parameter)
                .detach()
                .index_select(part.axis, torch.arange(part.width))
                for encoder in (finetuned, pretrained)
            )
            assert torch.equal(now, then)
