"""Of several languages' masks only the first one's numbers per layer were counted against the encoder's layers."""

import pytest
from toy_encoders import toy_wav2vec2

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking import MaskConfig, keep_masks, languages_of, mask_languages_, set_language_


@pytest.fixture
def toy():
    """An encoder with two layers."""
    return toy_wav2vec2()


@pytest.mark.parametrize("numbers", [(0.1,), (0.1,) * 5])
@pytest.mark.parametrize("order", [("fr", "it"), ("it", "fr")])
def test_another_count_is_refused_and_nothing_is_changed(toy, numbers, order):
    configs = {"fr": MaskConfig(layer_sparsity=(0.1, 0.2)), "it": MaskConfig(layer_sparsity=numbers)}
    before = list(toy.state_dict())
    with pytest.raises(UserError, match=f"layer_sparsity has {len(numbers)} numbers, the encoder 2 layers"):
        mask_languages_(toy, {language: configs[language] for language in order})
    assert languages_of(toy) == ()
    assert list(toy.state_dict()) == before


def test_every_language_may_have_its_own(toy):
    sparsities = {"fr": (0.25, 0.5), "it": (0.5, 0.25)}
    mask_languages_(toy, {language: MaskConfig(layer_sparsity=each) for language, each in sparsities.items()})
    for language, each in sparsities.items():
        set_language_(toy, language)
        masks = keep_masks(toy)
        for layer, sparsity in enumerate(each):
            (share,) = {
                float((~keep).float().mean()) for name, keep in masks.items() if f".{layer}.feed" in name
            }
            assert share == sparsity
