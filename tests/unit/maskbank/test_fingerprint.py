"""A fingerprint tells backbones apart, and nothing else."""

import copy

import pytest
import torch

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank import fingerprint
from s3_speechbrain.masking import MaskConfig, mask_, mask_languages_

SMALLEST = 2.0**-149


@pytest.fixture
def before(encoder):
    return fingerprint(encoder)


def test_it_is_a_sha256_and_the_same_for_another_copy(encoder, tiny_encoder, before):
    assert len(before) == 64
    assert fingerprint(SpeechEncoder(str(tiny_encoder), layerdrop=0.1, dropout=0.2)) == before


def test_masks_and_scores_do_not_count(encoder, before):
    several = copy.deepcopy(encoder)
    mask_(encoder, MaskConfig(sparsity=0.3))
    mask_languages_(several, {"fr": MaskConfig(), "it": MaskConfig(sparsity=0.2)})
    assert fingerprint(encoder) == fingerprint(several) == before


def test_the_vectors_of_spec_augment_do_not_count(encoder, before):
    with torch.no_grad():
        encoder.mask_vector += 1
        encoder.model.masked_spec_embed += 1
    assert fingerprint(encoder) == before


def test_every_weight_counts(encoder, before):
    seen = {before}
    for name, weight in encoder.model.named_parameters():
        if name != "masked_spec_embed":
            original = weight.flatten()[0].item()
            weight.view(-1)[0] = SMALLEST if original == 0 else 0
            seen.add(fingerprint(encoder))
            weight.view(-1)[0] = original
    assert len(seen) == len(list(encoder.model.parameters()))  # each, and the one before, less the vector
    assert fingerprint(encoder) == before


def test_swapped_names_types_and_settings_count(encoder, before):
    changed = []
    for change in (
        lambda e: setattr(e.model.encoder, "layers", e.model.encoder.layers[::-1]),
        lambda e: e.model.half(),
        lambda e: setattr(e.model.config, "num_attention_heads", 4),
        lambda e: setattr(e, "normalises", False),
    ):
        other = copy.deepcopy(encoder)
        change(other)
        changed.append(fingerprint(other))
    assert len({before, *changed}) == 5


def test_random_weights_of_the_same_shape_differ(tiny_encoder, before):
    assert fingerprint(SpeechEncoder(str(tiny_encoder), pretrained=False)) != before
