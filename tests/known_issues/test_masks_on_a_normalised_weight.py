"""A bank whose masks name the positional convolution, whose weight is made from two others, ended in a traceback."""

import pytest
import torch
from bank_entries import make_entry

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import SharedRecogniser
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.masking import MaskConfig, layers_of_masks, load_keep_masks_, mask_, masks_of

NAME = "model.encoder.pos_conv_embed.conv"


@pytest.fixture
def encoder(tiny_encoder):
    return SpeechEncoder(str(tiny_encoder), freeze=True)


def test_its_masks_are_refused(encoder):
    keep = torch.ones(encoder.get_submodule(NAME).weight.shape, dtype=torch.bool)
    with pytest.raises(UserError, match="computed from others: mask other layers"):
        load_keep_masks_(encoder, {NAME: keep})
    with pytest.raises(UserError, match="computed from others"):
        layers_of_masks(encoder, {NAME: keep.shape})


def test_a_bank_of_them_is_refused(encoder, tmp_path, tiny_encoder):
    masks = {NAME: torch.ones(encoder.get_submodule(NAME).weight.shape, dtype=torch.bool)}
    bank = MaskBank(tmp_path / "bank")
    bank.add(make_entry(encoder, "fr", masks=masks))
    with pytest.raises(UserError, match="computed from others"):
        SharedRecogniser.from_bank(bank.folder, str(tiny_encoder))


def test_weights_under_a_mask_are_still_found(encoder):
    mask_(encoder, MaskConfig(sparsity=0.1))
    shapes = {name: masked.keep.shape for name, masked in masks_of(encoder).items()}
    assert list(layers_of_masks(encoder, shapes)) == list(shapes)
