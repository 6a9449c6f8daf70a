"""The methods that keep the contract. A new method adds one entry to `METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pruning_methods import BOTH, PRUNING_METHODS
from torch import Tensor, nn

from s3_speechbrain.layers import select_layers
from s3_speechbrain.masking import (
    SELECTION,
    MaskConfig,
    bake_,
    keep_masks,
    load_keep_masks_,
    mask_,
    mask_languages_,
    set_language_,
)


def _masks_by_parameter(encoder: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.weight": keep for name, keep in keep_masks(encoder).items()}


def _load_by_parameter(encoder: nn.Module, masks: dict[str, Tensor]) -> None:
    load_keep_masks_(encoder, {name.removesuffix(".weight"): keep for name, keep in masks.items()})


@dataclass(frozen=True)
class Method:
    """What the contract needs to know about a method that removes connections.

    Parameters
    ----------
    apply : callable
        (encoder, sparsity) -> None: the verb.
    groups : tuple of str
        The layer groups it touches.
    unit : callable
        Weight shape -> number of entries of its mask.
    learns : callable
        (parameter name, is it a touched weight) -> should a training step move it?
    masks, load, bake : callable
        Read the masks by parameter name, put fixed ones on a fresh encoder, make an ordinary encoder.
    """

    apply: Callable[[nn.Module, float], object]
    groups: tuple[str, ...] = ("ffn",)
    unit: Callable[[Tensor], int] = Tensor.numel
    learns: Callable[[str], bool] = lambda name: name.endswith(".score")
    masks: Callable[[nn.Module], dict[str, Tensor]] = field(default=_masks_by_parameter)
    load: Callable[[nn.Module, dict[str, Tensor]], None] = field(default=_load_by_parameter)
    bake: Callable[[nn.Module], None] = field(default=bake_)

    def entries(self, encoder: nn.Module) -> list[int]:
        """Count the mask entries of each touched layer of a bare encoder."""
        return [self.unit(layer.weight) for layer in select_layers(encoder, self.groups).values()]

    def settle(self, encoder: nn.Module) -> None:
        """Do what the method does before weights are validated or saved: nothing, masks follow their scores."""


def _masks(**settings: object) -> Callable[[nn.Module, float], object]:
    return lambda encoder, sparsity: mask_(encoder, MaskConfig(sparsity=sparsity, **settings))


def _second_of_three(encoder: nn.Module, sparsity: float) -> None:
    configs = {name: MaskConfig(sparsity=sparsity, seed=seed) for seed, name in enumerate(("xa", "xb", "xc"))}
    mask_languages_(encoder, configs)
    set_language_(encoder, "xb")


METHODS = {
    "mask": Method(_masks()),
    "mask_magnitude_all": Method(_masks(groups=BOTH, init="magnitude"), BOTH),
    "mask_layer": Method(_masks(groups=BOTH, scope="layer"), BOTH),
    "mask_global_sigmoid": Method(_masks(groups=BOTH, scope="global", ste="sigmoid"), BOTH),
    "mask_threshold": Method(
        _masks(groups=BOTH, scope="threshold"), BOTH, learns=lambda name: name.endswith(SELECTION)
    ),
    "mask_row": Method(_masks(structure="row"), unit=lambda weight: weight.shape[0]),
    "mask_column": Method(_masks(structure="column"), unit=lambda weight: weight.shape[1]),
    "mask_one_of_three_languages": Method(
        _second_of_three, learns=lambda name: name.endswith("mask_xb.score")
    ),
    "mask_cotrained": Method(
        _masks(train_weights=True), learns=lambda name: name.endswith((".score", ".weight.original"))
    ),
    **PRUNING_METHODS,
}
