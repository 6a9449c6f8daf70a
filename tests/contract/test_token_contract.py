"""Rules that every token selector keeps."""

import pytest
import torch
from token_selectors import build, speech

from s3_speechbrain.encoders import Kept
from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens import CALIBRATED, CUTS, SELECTORS, TokenConfig

DROPPING = [name for name in SELECTORS if name not in ("average", "merge", "conv")]
RATIO_IS_CHOSEN = [name for name in SELECTORS if name not in ("oracle", "all")]


@pytest.fixture(params=[*SELECTORS, "salad mean", "merge drop"])
def built(request, tiny_encoder):
    return build(request.param, tiny_encoder)


@torch.no_grad()
def shorten(encoder, selector, wavs, lengths, needed=None):
    features, frames = encoder.extract(wavs, lengths)
    return features, frames, selector(features, frames, needed, wavs)


def test_a_clip_gives_the_same_alone_and_in_a_padded_batch(built):
    wavs, lengths = speech(9001, 16000, 4321)
    together = shorten(*built, wavs, lengths)[2]
    for row, count in enumerate((9001, 16000, 4321)):
        alone = shorten(*built, wavs[row : row + 1, :count], torch.ones(1))[2]
        left = int(together.frames[row])
        assert left == int(alone.frames) == alone.features.shape[1]
        torch.testing.assert_close(together.features[row, :left], alone.features[0], atol=1e-5, rtol=0)
        if together.index is not None:
            assert torch.equal(together.index[row, :left], alone.index[0])


def test_lengths_are_exact_and_padding_is_zero(built):
    features, frames, short = shorten(*built, *speech(9001, 16000, 4321))
    assert short.features.shape[:2] == (3, int(short.frames.max()))
    assert short.features.shape[2] == features.shape[2]
    assert bool((short.frames <= frames).all())
    assert bool((short.frames >= 1).all())
    for row, left in enumerate(short.frames.tolist()):
        assert not short.features[row, left:].any()


def test_what_fills_the_padding_does_not_matter(built):
    encoder, selector = built
    wavs, lengths = speech(9001, 16000)
    with torch.no_grad():
        features, frames = encoder.extract(wavs, lengths)
        dirty = features.clone()
        dirty[0, int(frames[0]) :] = 7.0
        clean, other = (selector(values, frames, None, wavs) for values in (features, dirty))
    torch.testing.assert_close(clean.features, other.features, atol=1e-6, rtol=0)
    assert torch.equal(clean.frames, other.frames)


@pytest.mark.parametrize("name", DROPPING)
def test_kept_frames_are_frames_of_the_input_in_order(tiny_encoder, name):
    features, _, short = shorten(*build(f"{name} drop", tiny_encoder), *speech(9001, 16000))
    for row, left in enumerate(short.frames.tolist()):
        places = short.index[row, :left]
        assert int(places[0]) == 0
        assert bool((places.diff() > 0).all())
        assert torch.equal(short.features[row, :left], features[row, places])


@torch.no_grad()
@pytest.mark.parametrize("name", ["salad", "blank", "uniform", "vad"])
def test_any_selector_can_leave_means_of_the_frames_that_it_would_keep(tiny_encoder, name):
    wavs, lengths = speech(9001, 16000)
    features, frames, dropped = shorten(*build(name, tiny_encoder), wavs, lengths)
    short = shorten(*build(f"{name} mean", tiny_encoder), wavs, lengths)[2]
    assert torch.equal(short.index, dropped.index)
    for row, left in enumerate(short.frames.tolist()):
        ends = [*short.index[row, 1:left].tolist(), int(frames[row])]
        for place, (begin, end) in enumerate(zip(short.index[row, :left].tolist(), ends, strict=True)):
            mean = features[row, begin:end].mean(0)
            torch.testing.assert_close(short.features[row, place], mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"selector": "salad", "reduce": "sum"},
        {"selector": "conv", "cut": "after_positions"},
        {"selector": "conv", "reduce": "mean"},
    ],
)
def test_impossible_ways_to_reduce_are_refused(settings):
    with pytest.raises(UserError):
        TokenConfig(**settings)


@pytest.mark.parametrize("ratio", [0.5, 0.25])
@pytest.mark.parametrize("name", RATIO_IS_CHOSEN)
def test_the_keep_ratio_is_met(tiny_encoder, name, ratio):
    _, frames, short = shorten(*build(name, tiny_encoder, ratio), *speech(30000, 50000))
    total = int(frames.sum())
    # thresholds are exact on what they were set on; per-clip rounding and drawing by chance are not
    slack = 1 if name in CALIBRATED else len(frames)
    slack += total * 0.1 * (name == "random")
    assert abs(int(short.frames.sum()) - ratio * total) <= slack


def test_ratio_one_keeps_everything(tiny_encoder):
    for name in DROPPING:
        features, frames, short = shorten(*build(name, tiny_encoder, 1.0), *speech(9001, 16000))
        if name != "oracle":  # it keeps what its labels say
            assert torch.equal(short.frames, frames)
            assert torch.equal(short.features[0, : frames[0]], features[0, : frames[0]])


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "conv"])
def test_as_many_frames_are_left_as_ctc_needs(tiny_encoder, name):
    encoder, selector = build(name, tiny_encoder, 0.25)
    wavs, lengths = speech(9001, 16000)
    _, frames, plain = shorten(encoder, selector, wavs, lengths)
    needed = torch.tensor([20, 1000])
    _, _, guarded = shorten(encoder, selector, wavs, lengths, needed)
    assert torch.equal(guarded.frames, torch.maximum(plain.frames, torch.minimum(needed, frames)))
    assert torch.equal(guarded.reinserted, guarded.frames - plain.frames)


@pytest.mark.parametrize("wave", [torch.zeros(1, 8000), torch.zeros(1, 400), torch.full((1, 500), 0.3)])
def test_silence_and_single_frames_are_safe(built, wave):
    encoder, selector = built
    with torch.no_grad():
        _, frames, short = shorten(encoder, selector, wave, torch.ones(1))
        hidden = encoder.contextualise(short.features, short.frames)
    assert 1 <= int(short.frames) <= int(frames)
    assert bool(torch.isfinite(short.features).all())
    assert bool(torch.isfinite(hidden).all())


def test_only_the_convolution_learns(built):
    encoder, selector = built
    wavs, lengths = speech(9001, 16000)
    features, frames = encoder.extract(wavs, lengths)
    short = selector.train()(features.requires_grad_(), frames, None, wavs)
    short.features.square().sum().backward()
    assert bool((features.grad != 0).any())
    learned = {name for name, value in selector.named_parameters() if value.grad is not None}
    assert learned == {name for name, value in selector.named_parameters() if value.requires_grad}
    assert learned == ({"conv.weight", "conv.bias"} if hasattr(selector, "conv") else set())


def test_in_evaluation_the_choice_is_always_the_same(built):
    first, second = (shorten(*built, *speech(16000))[2] for _ in range(2))
    assert torch.equal(first.features, second.features)


def test_steady_selectors_choose_in_training_as_in_evaluation(built):
    encoder, selector = built
    _, _, tested = shorten(encoder, selector, *speech(16000, 9000))
    _, _, trained = shorten(encoder, selector.train(), *speech(16000, 9000))
    if selector.steady:
        assert torch.equal(tested.features, trained.features)
    elif hasattr(selector, "scorer"):
        assert not torch.equal(tested.frames, trained.frames)


def test_state_dict_round_trip(built, tiny_encoder, request):
    encoder, selector = built
    _, fresh = build(request.node.callspec.params["built"], tiny_encoder)
    with torch.no_grad():
        for value in fresh.state_dict().values():
            value.copy_(torch.zeros_like(value))
    fresh.load_state_dict(selector.state_dict())
    first, second = (shorten(encoder, chosen, *speech(16000))[2] for chosen in (selector, fresh))
    assert torch.equal(first.features, second.features)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", [*DROPPING, "average", "merge", "salad mean"])
def test_both_cuts_give_as_many_hidden_states_as_frames(tiny_encoder, name, cut):
    encoder, selector = build(name, tiny_encoder, cut=cut)
    assert selector.cut == cut
    features, frames, short = shorten(encoder, selector, *speech(9001, 16000))
    with torch.no_grad():
        before = encoder.contextualise(short.features, short.frames)
        after = encoder.contextualise(features, frames, kept=short.kept)
        plain = encoder.contextualise(features, frames, kept=Kept(short.index, short.frames))
    assert before.shape == after.shape == (2, int(short.frames.max()), encoder.width)
    if name not in DROPPING:  # means are not the kept frames themselves
        assert not torch.equal(after, plain)
