"""Taking masks off an encoder broke its deep copies: both shared a class, whose properties were deleted."""

import copy

import pytest
import torch
from toy_encoders import toy_wav2vec2

from s3_speechbrain import masking, pruning
from s3_speechbrain.masking import MaskConfig, load_keep_masks_, mask_

WAVS = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1))


def masked(encoder):
    mask_(encoder, MaskConfig(sparsity=0.3, groups=("ffn", "extractor")))


def enforced(encoder):
    pruning.enforce_(encoder, pruning.magnitude_masks(pruning.prunable(encoder), 0.3))


@pytest.mark.parametrize(
    ("hold", "bake_"), [(masked, masking.bake_), (enforced, pruning.bake_)], ids=["masked", "enforced"]
)
@pytest.mark.parametrize("first", [0, 1], ids=["the original", "the copy"])
def test_both_copies_can_be_baked_in_any_order(hold, bake_, first):
    encoder = toy_wav2vec2()
    hold(encoder)
    expected = encoder(WAVS).last_hidden_state
    pair = [encoder, copy.deepcopy(encoder)]
    bake_(pair[first])
    for each in pair:
        assert torch.equal(each(WAVS).last_hidden_state, expected)
    bake_(pair[1 - first])
    assert torch.equal(pair[1 - first](WAVS).last_hidden_state, expected)
    assert type(pair[0].encoder.layers[0].feed_forward.intermediate_dense) is torch.nn.Linear


def test_other_masks_replace_those_of_one_copy_alone():
    encoder = toy_wav2vec2()
    masked(encoder)
    twin = copy.deepcopy(encoder)
    expected = twin(WAVS).last_hidden_state
    keep = {name: torch.ones_like(mask) for name, mask in masking.keep_masks(encoder).items()}
    load_keep_masks_(encoder, keep)
    assert torch.equal(twin(WAVS).last_hidden_state, expected)
    assert not torch.equal(encoder(WAVS).last_hidden_state, expected)
