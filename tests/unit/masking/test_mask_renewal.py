"""Masks follow their scores, whoever writes to them."""

import copy

import pytest
import torch

from s3_speechbrain.masking import MaskConfig, keep_masks, mask_, masks_of, renew_masks_
from s3_speechbrain.masking.selection import keep_largest

WAVS = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))


def is_current(encoder):
    """After a forward pass, does every mask (ranked alone) equal the top-k of its scores?"""
    encoder(WAVS)
    return all(
        torch.equal(masked.keep, keep_largest([masked.score], masked.group.zeros)[0])
        for masked in masks_of(encoder).values()
    )


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}])
@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_every_kind_of_optimiser_is_noticed(encoder, kind, options):
    mask_(encoder, MaskConfig(sparsity=0.2))
    before = keep_masks(encoder)
    optimizer = kind([masked.score for masked in masks_of(encoder).values()], lr=0.3, **options)
    for masked in masks_of(encoder).values():
        masked.score.grad = masked.score.detach().flip(0)
    optimizer.step()
    assert is_current(encoder)
    assert any(not torch.equal(before[name], mask) for name, mask in keep_masks(encoder).items())


def test_loading_a_checkpoint_is_noticed(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2))
    encoder(WAVS)
    state = {k: v.flip(0) if k.endswith("score") else v for k, v in encoder.state_dict().items()}
    encoder.load_state_dict(state)
    assert is_current(encoder)
    encoder.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
    assert is_current(encoder)


def test_a_change_of_precision_is_noticed(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2))
    encoder(WAVS)
    for masked in masks_of(encoder).values():
        masked.to(torch.bfloat16)
    assert is_current(encoder)


def test_a_write_behind_pytorchs_back_needs_a_word(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2))
    for masked in masks_of(encoder).values():
        masked.score.data.copy_(masked.score.data.flip(0))
    renew_masks_(encoder)
    assert is_current(encoder)


def test_unchanged_scores_cost_no_renewal(encoder, monkeypatch):
    mask_(encoder, MaskConfig(sparsity=0.2))
    monkeypatch.setattr(
        "s3_speechbrain.masking.groups.select_", lambda *_: pytest.fail("renewed for nothing")
    )
    encoder(WAVS)


def test_a_checkpoint_right_after_a_step_holds_the_mask_of_its_scores(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2))
    name, masked = next(iter(masks_of(encoder).items()))
    with torch.no_grad():
        masked.score.copy_(masked.score.flip(0))
    saved = encoder.state_dict()[f"{name}.parametrizations.weight.0.keep"]
    assert torch.equal(saved, keep_largest([masked.score], masked.group.zeros)[0])


def test_a_copy_lives_its_own_life(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2, scope="global"))
    twin = copy.deepcopy(encoder)
    before = keep_masks(encoder)
    with torch.no_grad():
        for masked in masks_of(twin).values():
            masked.score.copy_(masked.score.flip(0))
    twin(WAVS)
    assert all(torch.equal(before[name], mask) for name, mask in keep_masks(encoder).items())
    assert any(not torch.equal(before[name], mask) for name, mask in keep_masks(twin).items())
    groups = {id(masked.group) for masked in masks_of(twin).values()}
    assert len(groups) == 1
    assert groups.isdisjoint(id(masked.group) for masked in masks_of(encoder).values())


def test_scores_written_between_forward_and_backward_are_refused(encoder):
    mask_(encoder, MaskConfig(sparsity=0.2))
    loss = encoder(WAVS).last_hidden_state.sum()
    with torch.no_grad():
        next(iter(masks_of(encoder).values())).score.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
