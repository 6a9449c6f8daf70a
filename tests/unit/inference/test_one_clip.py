"""One clip at a time: the same logits as in a padded batch, whatever the encoder, the selector and the length."""

import copy

import pytest
import torch
from families import CONFIGS, write_family
from model_folders import make_model
from token_selectors import build, speech

from s3_speechbrain.brains import CTCHead, Recogniser
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.one_clip import OneClip, bake_
from s3_speechbrain.masking import MaskConfig, mask_
from s3_speechbrain.tokens import ORACLES, SELECTORS

DEPLOYABLE = [name for name in SELECTORS if name not in ORACLES]


@torch.no_grad()
def assert_same_as_in_a_batch(recogniser):
    clip = OneClip(recogniser)
    lengths = (clip.least_samples, 9000, 24001)
    waves, relative = speech(*lengths)
    logits, frames = recogniser.eval()(waves, relative)
    for wave, length, row, count in zip(waves, lengths, logits, frames.tolist(), strict=True):
        alone = clip(wave[None, :length])
        assert alone.shape == (1, count, row.shape[1])
        torch.testing.assert_close(
            alone[0], row[:count], atol=1e-5, rtol=1e-5
        )  # processors round differently


@pytest.mark.parametrize("family", CONFIGS)
def test_a_clip_alone_gives_what_it_gives_in_a_padded_batch(family, tmp_path):
    assert_same_as_in_a_batch(make_model(tmp_path, family, layers=4))


@pytest.mark.parametrize("selector", [*DEPLOYABLE, "salad mean"])
def test_token_selectors_keep_the_frames_they_keep_in_a_batch(selector, tiny_encoder):
    encoder, chooser = build(selector, tiny_encoder)
    assert_same_as_in_a_batch(Recogniser(encoder, CTCHead(encoder.width, 7), chooser))


@pytest.mark.parametrize("selector", ["uniform", "average", "salad mean"])
@pytest.mark.parametrize("family", ["wav2vec2-group", "data2vec", "whisper"])
def test_positions_of_the_full_sequence_are_kept_where_the_selector_cuts_behind_them(
    family, selector, tmp_path
):
    encoder, chooser = build(selector, write_family(family, tmp_path), cut="after_positions")
    assert_same_as_in_a_batch(Recogniser(encoder, CTCHead(encoder.width, 7), chooser))


def test_nothing_is_drawn_at_random(tmp_path):
    clip = OneClip(make_model(tmp_path, selector="random").train())
    assert not any(module.training for module in clip.modules())


def test_the_shortest_clip_has_one_frame_and_a_shorter_one_has_none(tmp_path):
    for number, family in enumerate(("wav2vec2-layer", "whisper")):
        clip = OneClip(make_model(tmp_path / str(number), family))
        assert clip(torch.zeros(1, clip.least_samples)).shape[1] == 1
        if family != "whisper":
            assert clip.encoder.frame_count(clip.least_samples - 1) == 0


@torch.no_grad()
def test_masks_become_weights_of_the_copy_alone(tiny_encoder):
    encoder = SpeechEncoder(str(tiny_encoder), freeze=True)
    mask_(encoder, MaskConfig(sparsity=0.5))
    recogniser = Recogniser(encoder, CTCHead(encoder.width, 7)).eval()
    other = copy.deepcopy(recogniser)
    before = recogniser(*speech(8000))[0]
    clip = OneClip(recogniser)
    assert not any("parametrizations" in name for name, _ in clip.named_parameters())
    torch.testing.assert_close(clip(speech(8000)[0]), before, atol=1e-5, rtol=0)
    for model in (recogniser, other):  # copies share the class that torch made for a masked layer
        torch.testing.assert_close(model(*speech(8000))[0], before, atol=0, rtol=0)


def test_baking_keeps_a_weight_exactly():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 4))
    weight = layer.weight.detach().clone()
    bake_(layer)
    assert type(layer) is torch.nn.Linear
    assert torch.equal(layer.weight, weight)
    assert not layer.weight.requires_grad


def test_a_selector_that_runs_its_teacher_is_refused(tiny_encoder):
    encoder, chooser = build("oracle", tiny_encoder)
    with pytest.raises(UserError, match="saves nothing"):
        OneClip(Recogniser(encoder, CTCHead(encoder.width, 7), chooser))
