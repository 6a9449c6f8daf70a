"""Masks of several languages on one encoder: each learns, acts and is read as if it were alone."""

import copy

import pytest
import torch
from torch import nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import (
    MaskConfig,
    bake_,
    keep_masks,
    languages_of,
    mask_,
    mask_languages_,
    masks_of,
    set_language_,
    sparsity_report,
)

CONFIGS = {"fr": MaskConfig(sparsity=0.2, seed=1), "it": MaskConfig(sparsity=0.4, seed=2)}
TURNS = ("fr", "it", "it", "fr", "it", "fr", "fr")


class Toy(nn.Module):
    """Two masked layers under the names that `layers` knows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        layer = nn.Module()
        layer.fc1, layer.fc2 = nn.Linear(12, 24), nn.Linear(24, 12)
        self.layers = nn.ModuleList([layer])

    def forward(self, x):
        return self.layers[0].fc2(self.layers[0].fc1(x).relu())


def batches():
    generator = torch.Generator().manual_seed(5)
    return [(language, torch.randn(9, 12, generator=generator)) for language in TURNS]


def optimiser(model, fused):
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05, fused=fused)


def step(model, optimizer, x):
    optimizer.zero_grad(set_to_none=True)
    (model(x) - x).square().mean().backward()
    optimizer.step()


@pytest.fixture
def toy():
    return Toy().requires_grad_(False)


@pytest.mark.parametrize("fused", [False, True])
def test_trained_in_turns_equals_trained_alone_on_the_same_batches(toy, fused):
    alone = {language: copy.deepcopy(toy) for language in CONFIGS}
    for language, model in alone.items():
        mask_(model, CONFIGS[language])
    mask_languages_(toy, CONFIGS)
    optimizers = {language: optimiser(model, fused) for language, model in alone.items()}
    together = optimiser(toy, fused)
    for language, x in batches():
        step(alone[language], optimizers[language], x)
        set_language_(toy, language)
        step(toy, together, x)
    x = batches()[0][1]
    for language, model in alone.items():
        set_language_(toy, language)
        for name, masked in masks_of(model).items():
            assert torch.equal(masks_of(toy)[name].score, masked.score)
            assert torch.equal(keep_masks(toy)[name], keep_masks(model)[name])
        assert torch.equal(toy(x), model(x))
        assert sparsity_report(toy)["masked"] == sparsity_report(model)["masked"]


def test_only_the_selected_language_gets_gradients_and_moves(toy):
    mask_languages_(toy, CONFIGS)
    set_language_(toy, "it")
    before = {name: value.clone() for name, value in toy.state_dict().items()}
    step(toy, optimiser(toy, fused=True), torch.randn(4, 12))
    learned = {name for name, parameter in toy.named_parameters() if parameter.grad is not None}
    assert learned == {f"layers.0.fc{n}.parametrizations.weight.0.mask_it.score" for n in (1, 2)}
    moved = {name for name, value in toy.state_dict().items() if not torch.equal(before[name], value)}
    assert learned <= moved
    assert not [name for name in moved if "mask_fr" in name]


def test_weights_trained_along_get_gradients_from_every_language(toy):
    mask_languages_(toy, {name: MaskConfig(sparsity=0.2, train_weights=True) for name in CONFIGS})
    for language in CONFIGS:
        toy.zero_grad(set_to_none=True)
        set_language_(toy, language)
        toy(torch.randn(4, 12)).sum().backward()
        learned = {name for name, parameter in toy.named_parameters() if parameter.grad is not None}
        weights = {f"layers.0.fc{n}.parametrizations.weight.original" for n in (1, 2)}
        scores = {f"layers.0.fc{n}.parametrizations.weight.0.mask_{language}.score" for n in (1, 2)}
        assert learned == weights | scores


def test_a_checkpoint_holds_the_masks_of_all_languages(toy):
    fresh = copy.deepcopy(toy)
    mask_languages_(toy, CONFIGS)
    optimizer = optimiser(toy, fused=True)
    for language, x in batches():
        set_language_(toy, language)
        step(toy, optimizer, x)
    mask_languages_(fresh, CONFIGS)
    fresh.load_state_dict(toy.state_dict())
    for language in CONFIGS:
        set_language_(toy, language)
        set_language_(fresh, language)
        assert torch.equal(fresh(batches()[0][1]), toy(batches()[0][1]))


def test_baking_leaves_the_selected_language(toy):
    mask_languages_(toy, CONFIGS)
    set_language_(toy, "it")
    x = torch.randn(4, 12)
    masked = toy(x)
    bake_(toy)
    assert torch.equal(toy(x), masked)
    assert languages_of(toy) == ()
    assert not masks_of(toy)


def test_the_languages_are_named_in_order_even_odd_ones(toy):
    mask_languages_(toy, {"to": MaskConfig(), "zh-TW": MaskConfig()})  # Tongan is also a method of modules
    assert languages_of(toy) == ("to", "zh-TW")
    set_language_(toy, "zh-TW")
    assert toy.to("cpu") is toy


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({}, "no languages to mask for"),
        ({"fr": MaskConfig(), "it": MaskConfig(train_weights=True)}, "'it' differ from the others"),
        ({"fr": MaskConfig(), "it": MaskConfig(groups=("attention",))}, "'it' differ from the others"),
    ],
)
def test_configs_that_do_not_go_together_are_refused(toy, configs, message):
    with pytest.raises(UserError, match=message):
        mask_languages_(toy, configs)
    assert languages_of(toy) == ()


def test_an_unknown_language_is_refused(toy):
    with pytest.raises(UserError, match="no masks of 'de': it has none"):
        set_language_(toy, "de")
    mask_languages_(toy, CONFIGS)
    with pytest.raises(UserError, match="no masks of 'de': it has fr, it"):
        set_language_(toy, "de")
    with pytest.raises(UserError, match="masked already"):
        mask_languages_(toy, CONFIGS)
