"""Rules that every method keeps, on a toy wav2vec2 of the layer-norm kind."""

import copy
from fractions import Fraction

import pytest
import torch
from mask_methods import METHODS
from speechbrain.utils.checkpoints import Checkpointer
from toy_encoders import toy_wav2vec2

from s3_speechbrain.maskbank import PackedMask
from s3_speechbrain.maskbank.coding import decode, encode
from s3_speechbrain.maskbank.packing import pack
from s3_speechbrain.masking import SELECTION

SPARSITY = 0.3
WAVS = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def encoder():
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
    return toy_wav2vec2(intermediate_size=36, **dict.fromkeys(dropouts, 0.0))  # 36: shares that do not divide


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def hidden(encoder, wavs=WAVS):
    with torch.no_grad():
        return encoder(wavs).last_hidden_state


def train(encoder, method, steps=2):
    """Train what is trainable, settle as before a validation; return the names of the parameters that moved."""
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=0.01)
    target = torch.randn(hidden(encoder).shape, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        (encoder(WAVS).last_hidden_state - target).square().mean().backward()
        optimizer.step()
    method.settle(encoder)
    return {name for name, p in encoder.named_parameters() if not torch.equal(before[name], p)}


def test_identity_at_sparsity_0(encoder, method):
    dense = hidden(encoder)
    method.apply(encoder, 0.0)
    assert torch.equal(hidden(encoder), dense)


@pytest.mark.parametrize("sparsity", [0.0, 0.08, 0.1, 0.5, 0.97])
def test_exact_kept_count_also_after_training(encoder, method, sparsity):
    entries = method.entries(encoder)
    method.apply(encoder, sparsity)
    for _ in range(2):
        zeros = [int((~keep).sum()) for keep in method.masks(encoder).values()]
        # Joint rankings round once, rankings per matrix once per matrix: never off by more than a half each.
        wanted = Fraction(str(sparsity)) * sum(entries)
        assert abs(sum(zeros) - wanted) <= Fraction(len(entries), 2)
        if method.groups == ("ffn",) and len(set(entries)) == 1:
            assert zeros == [round(Fraction(str(sparsity)) * entries[0])] * len(zeros)
        train(encoder, method)


def test_gradients_reach_only_what_should_learn(encoder, method):
    method.apply(encoder, SPARSITY)
    wanted = {name for name, _ in encoder.named_parameters() if method.learns(name)}
    assert wanted
    assert train(encoder, method) == wanted
    assert {name for name, p in encoder.named_parameters() if p.grad is not None} == wanted


def test_state_dict_round_trip(encoder, method):
    fresh = copy.deepcopy(encoder)
    method.apply(encoder, SPARSITY)
    train(encoder, method)
    method.apply(fresh, SPARSITY)
    fresh.load_state_dict(encoder.state_dict())
    assert torch.equal(hidden(fresh), hidden(encoder))


def test_speechbrain_checkpointer_round_trip_goes_on_the_same(encoder, method, tmp_path):
    fresh = copy.deepcopy(encoder)
    method.apply(encoder, SPARSITY)
    train(encoder, method)
    Checkpointer(tmp_path, {"encoder": encoder}).save_checkpoint()
    method.apply(fresh, SPARSITY)
    Checkpointer(tmp_path, {"encoder": fresh}).recover_if_possible()
    for model in (encoder, fresh):
        train(model, method)
    assert torch.equal(hidden(fresh), hidden(encoder))


def test_baked_equals_masked(encoder, method):
    method.apply(encoder, SPARSITY)
    train(encoder, method)
    masked, masks = hidden(encoder), method.masks(encoder)
    method.bake(encoder)
    assert torch.equal(hidden(encoder), masked)
    for name, keep in masks.items():
        weight = encoder.get_parameter(name)
        assert bool((weight[~keep.expand_as(weight)] == 0).all())


def stored(keep):
    """Code a mask as the mask bank does, and read it back."""
    mask = pack(keep)
    coding, data = encode(mask.bits, mask.entries, mask.zeros)
    return PackedMask(mask.shape, mask.zeros, decode(coding, data, mask.entries, mask.zeros)).unpack()


def test_packed_round_trip(encoder, method):
    fresh = copy.deepcopy(encoder)
    method.apply(encoder, SPARSITY)
    learned_weights = any(
        method.learns(n) for n, _ in encoder.named_parameters() if not n.endswith(SELECTION)
    )
    if not learned_weights:  # else the masks alone do not tell the model
        train(encoder, method)
    masks = method.masks(encoder)
    method.load(fresh, {name: stored(keep) for name, keep in masks.items()})
    assert torch.equal(hidden(fresh), hidden(encoder))


def test_batched_equals_alone(encoder, method):
    method.apply(encoder, SPARSITY)
    lengths = [4000, 2500]
    padded, attention = torch.zeros(2, 4000), torch.zeros(2, 4000, dtype=torch.long)
    for row, length in enumerate(lengths):
        padded[row, :length] = WAVS[row, :length]
        attention[row, :length] = 1
    with torch.no_grad():
        together = encoder(padded, attention_mask=attention).last_hidden_state
    for row, length in enumerate(lengths):
        alone = hidden(encoder, WAVS[row : row + 1, :length])[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(encoder, method):
    method.apply(encoder, SPARSITY)
    encoder.train()
    encoder.config.layerdrop = encoder.config.mask_time_prob = encoder.config.mask_feature_prob = 0.0
    found = []
    for checkpointing in (False, True):
        if checkpointing:
            encoder.gradient_checkpointing_enable({"use_reentrant": False})
        encoder.zero_grad()
        encoder(WAVS).last_hidden_state[..., 0].sum().backward()
        found.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert torch.equal(found[1][name], gradient)
