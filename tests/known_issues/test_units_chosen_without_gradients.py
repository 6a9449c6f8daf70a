"""Units were ranked by their place where no gradient had been collected, and by infinities where one had overflowed."""

import pytest
import torch
from toy_encoders import toy_wav2vec2

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured import Rounds, StructuredConfig
from s3_speechbrain.structured.masks import collected

FLOOR = {"heads": 1, "neurons": 4}


def made(updates=40, **settings):
    encoder = toy_wav2vec2().requires_grad_(True).train()
    return encoder, Rounds(encoder, StructuredConfig(floor=FLOOR, **settings), updates)


@pytest.mark.parametrize(
    ("settings", "held", "told"),
    [
        ({"score": "contribution", "start": 0.1}, 10, "after 4 updates, and get none in the first 10"),
        ({"every": 4, "window": 2}, 10, "after 4 updates"),
        ({"every": 4, "window": 2}, 3, None),
        ({"every": 4, "window": 2, "grow": "random"}, 10, None),
        ({"strategy": "no_adjust"}, 10, None),
    ],
)
def test_a_plan_that_needs_gradients_too_early_is_refused(settings, held, told):
    _, rounds = made(**settings)
    if told is None:
        rounds.check_gradients(held)
        return
    with pytest.raises(UserError, match=told):
        rounds.check_gradients(held)


def test_a_start_that_rounds_to_nothing_is_refused():
    with pytest.raises(UserError, match="after 0 updates"):
        made(score="contribution", start=0.001, until=0.6)


def test_a_pass_that_overflows_adds_nothing_and_a_scaled_loss_as_much_as_a_plain_one():
    waves = torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))

    def sums(scale, spoilt=False):
        encoder, rounds = made(every=4, window=2)
        encoder.eval()  # nothing random
        rounds.before(2, scale)
        loss = encoder(waves).last_hidden_state.square().mean() * scale
        (loss * float("inf") if spoilt else loss).backward()
        return collected(encoder, rounds.units, "gradient")

    plain, scaled, spoilt = sums(1.0), sums(1024.0), sums(1.0, spoilt=True)
    assert any(values.any() for values in plain.values())
    for name, values in plain.items():
        torch.testing.assert_close(values, scaled[name], rtol=1e-4, atol=1e-9)
        assert torch.isfinite(spoilt[name]).all()
