"""Masks of several languages on one encoder, for training them together over the same weights."""

from collections.abc import Iterator, Mapping

from torch import nn
from torch.nn.utils import parametrize

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.api import layers_to_mask, new_masks
from s3_speechbrain.masking.config import MaskConfig
from s3_speechbrain.masking.groups import renew_groups
from s3_speechbrain.masking.parametrisation import LanguageMasks, attach_


def mask_languages_(encoder: nn.Module, configs: Mapping[str, MaskConfig]) -> None:
    """Put learnable masks of several languages on an encoder and freeze the masked weights.

    The first language is selected; `set_language_` selects another. Everything that `masking` offers for one
    language (`keep_masks`, `sparsity_report`, `bake_`, ...) then is about the selected one, whose scores alone
    get gradients.

    Parameters
    ----------
    encoder : nn.Module
        As for `mask_`; changed in place.
    configs : mapping of str to MaskConfig
        By language. All must mask the same groups, and all or none train the weights.

    Raises
    ------
    UserError
        If there is no language, the configs do not go together, or `mask_` would refuse one.

    Examples
    --------
    >>> mask_languages_(encoder, {"fr": MaskConfig(), "it": MaskConfig(sparsity=0.1)})  # doctest: +SKIP
    >>> set_language_(encoder, "it")  # doctest: +SKIP
    """
    if not configs:
        raise UserError("There are no languages to mask for: name at least one.")
    first = next(iter(configs.values()))
    for language, config in configs.items():
        if (set(config.groups), config.train_weights) != (set(first.groups), first.train_weights):
            raise UserError(
                f"The masks of {language!r} differ from the others in groups or train_weights: masks on one "
                "encoder need the same."
            )
        layers = layers_to_mask(encoder, config)  # the same for all; every config is checked before any acts
    made = {language: new_masks(layers, config) for language, config in configs.items()}
    for name, layer in layers.items():
        by_language = {language: masks[name] for language, (masks, _) in made.items()}
        attach_(layer, LanguageMasks(by_language), first.train_weights)
    for _, peers in made.values():
        renew_groups(peers)


def languages_of(encoder: nn.Module) -> tuple[str, ...]:
    """Name the languages that an encoder has masks of; none if `mask_languages_` did not mask it."""
    return next((masks.languages for masks in _language_masks(encoder)), ())


def set_language_(encoder: nn.Module, language: str) -> None:
    """Select the language whose masks act, learn and are read.

    Parameters
    ----------
    encoder : nn.Module
        Masked by `mask_languages_`; changed in place.
    language : str
        One of its languages.

    Raises
    ------
    UserError
        If the encoder has no masks of this language.
    """
    known = languages_of(encoder)
    if language not in known:
        raise UserError(f"The encoder has no masks of {language!r}: it has {', '.join(known) or 'none'}.")
    for masks in _language_masks(encoder):
        masks.selected = language


def _language_masks(encoder: nn.Module) -> Iterator[LanguageMasks]:
    for layer in encoder.modules():
        if parametrize.is_parametrized(layer, "weight"):
            masks = layer.parametrizations.weight[0]
            if isinstance(masks, LanguageMasks):
                yield masks
