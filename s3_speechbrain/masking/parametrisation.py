"""The scores and the mask of one layer, and their place on it."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.groups import MaskGroup
from s3_speechbrain.masking.straight_through import Mask, masked_linear, masked_weight

# How the names of parameters end that decide what is kept, and are no part of the encoder that is shipped.
SELECTION = (".score", ".gain")


class MaskedWeight(nn.Module):
    """A `torch.nn.utils.parametrize` parametrisation that multiplies a weight by a binary mask.

    Parameters
    ----------
    keep : bool Tensor
        The mask, True where a weight is kept; of the weight's shape or broadcastable to it.
    score : Tensor, optional
        Trainable scores of the same shape as `keep`. Without them the mask is fixed.
    sigmoid : bool
        Straight-through estimator with a sigmoid.

    Attributes
    ----------
    gain : Parameter or None
        Logarithm of what all scores are multiplied by before they are ranked; None for 0. See `learn_thresholds_`.
    group : MaskGroup or None
        The ranking this mask takes part in; None for a fixed mask.
    threshold : float or None
        Separates kept from removed scores, as `ranked` gives them, where one number can.
    """

    keep: Tensor

    def __init__(self, keep: Tensor, score: Tensor | None = None, sigmoid: bool = False) -> None:
        super().__init__()
        self.register_buffer("keep", keep.contiguous())
        self.register_parameter("score", None if score is None else nn.Parameter(score.contiguous()))
        self.register_parameter("gain", None)
        self.sigmoid = sigmoid
        self.group: MaskGroup | None = None
        self.threshold: float | None = None

    def refresh(self) -> None:
        """Renew the mask if its scores have changed."""
        if self.group is not None:
            self.group.refresh()

    def ranked(self) -> Tensor | None:
        """Return the scores as they are ranked; the gradient of the gain is divided by the root of their number.

        It adds up what all scores of a matrix ask for: undivided, it would fill the clipped norm of all gradients.
        """
        if self.gain is None:
            return self.score
        still = self.gain.detach()
        return self.score * (still + (self.gain - still) / math.sqrt(self.score.numel())).exp()

    def forward(self, weight: Tensor) -> Tensor:
        """Mask a weight; the gradient of the scores is straight-through.

        Parameters
        ----------
        weight : Tensor
            Shape (out, in) or (out, in, kernel).

        Returns
        -------
        Tensor
            The masked weight.
        """
        return masked_weight(weight, self._mask())

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Apply the masked weight to an input: ``F.linear(x, self(weight), bias)`` in less memory.

        Parameters
        ----------
        x : Tensor
            Shape (..., in).
        weight : Tensor
            Shape (out, in).
        bias : Tensor or None
            Shape (out,).

        Returns
        -------
        Tensor
            Shape (..., out).
        """
        return masked_linear(x, weight, bias, self._mask())

    def _mask(self) -> Mask:
        self.refresh()
        return Mask(self.ranked(), self.keep, self.threshold, self.sigmoid)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        self.refresh()  # a checkpoint written right after an optimiser step holds the mask of its scores
        super()._save_to_state_dict(destination, prefix, keep_vars)


class LanguageMasks(nn.Module):
    """The masks of several languages on one weight: all are resident, one is in use.

    Parameters
    ----------
    masks : mapping of str to MaskedWeight
        By language, at least one; the first is in use.

    Attributes
    ----------
    languages : tuple of str
        In the order given.
    selected : str
        The language in use; the others neither act nor get a gradient.
    """

    def __init__(self, masks: Mapping[str, MaskedWeight]) -> None:
        super().__init__()
        self.languages = tuple(masks)
        self.selected = self.languages[0]
        for language, masked in masks.items():
            self.add_module(f"mask_{language}", masked)  # a bare "to" or "type" would hide a method

    @property
    def in_use(self) -> MaskedWeight:
        """The mask of the selected language."""
        return self.get_submodule(f"mask_{self.selected}")

    def forward(self, weight: Tensor) -> Tensor:
        """Mask a weight with the selected language's mask; see `MaskedWeight.forward`."""
        return self.in_use(weight)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Apply the weight, so masked, to an input; see `MaskedWeight.linear`."""
        return self.in_use.linear(x, weight, bias)


class MaskedLinear(nn.Linear):
    """A linear layer while its weight is masked; `parametrize` supplies the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: (..., in) to (..., out)."""
        weight = self.parametrizations.weight
        return weight[0].linear(x, weight.original, self.bias)


def attach_(layer: nn.Module, masked: MaskedWeight | LanguageMasks, train_weight: bool = False) -> None:
    """Put a mask on a layer's weight and freeze the weight.

    Parameters
    ----------
    layer : nn.Linear or nn.Conv1d
        Changed in place.
    masked : MaskedWeight or LanguageMasks
        The mask, or those of several languages.
    train_weight : bool
        Let the weight train instead.

    Raises
    ------
    UserError
        If the weight is parametrised already.
    """
    if parametrize.is_parametrized(layer, "weight"):
        raise UserError(
            "A layer is masked (or parametrised) already: call bake_ first, or start from a new encoder."
        )
    layer.weight.requires_grad_(train_weight)
    if type(layer) is nn.Linear:  # a subclass may do more than a product: it gets the masked weight as it is
        layer.__class__ = MaskedLinear
    parametrize.register_parametrization(layer, "weight", masked, unsafe=True)


def detach_(layer: nn.Module, leave_masked: bool) -> None:
    """Take the masks off a layer: that of its weight, and that of its bias if it has one.

    Parameters
    ----------
    layer : nn.Module
        A layer given to `attach_`; changed in place, it has its former class again. Copies of it stay masked.
    leave_masked : bool
        Leave the masked weight (True) or the one the layer had before (False).
    """
    originals = {role: masked.original for role, masked in layer.parametrizations.items()}
    if leave_masked:
        with torch.no_grad():
            for role, original in originals.items():
                original.copy_(getattr(layer, role))
    restore_(layer, originals)


def restore_(layer: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """Give a layer its former class, and parameters in place of all its parametrised ones.

    `parametrize.remove_parametrizations` deletes properties of the layer's class, which deep copies of the layer
    share: after changing one, the others would be broken.

    Parameters
    ----------
    layer : nn.Module
        Parametrised; changed in place.
    parameters : mapping of str to nn.Parameter
        By name, such as ``weight``.
    """
    del layer.parametrizations
    layer.__class__ = type(layer).__bases__[0]
    if type(layer) is MaskedLinear:  # it looks for its mask
        layer.__class__ = nn.Linear
    for name, parameter in parameters.items():
        layer.register_parameter(name, parameter)
