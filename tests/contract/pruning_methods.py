"""Pruned weights as the contract sees them: masks held over them, and PARP's zeros among trained weights."""

from dataclasses import dataclass

from torch import Tensor, nn

from s3_speechbrain import pruning
from s3_speechbrain.layers import group_of, plain_name
from s3_speechbrain.pruning import magnitude_masks, prunable, prune_once_, reprune_

BOTH = ("ffn", "attention")


@dataclass
class Enforced:
    """Fixed magnitude masks held over trained weights and biases (OMP, MPI, RP, IMP)."""

    biases: bool = True
    scope: str = "global"
    groups = BOTH
    masks = staticmethod(pruning.enforced_masks)
    load = staticmethod(pruning.enforce_)
    bake = staticmethod(pruning.bake_)

    def pruned(self, encoder: nn.Module) -> dict[str, nn.Parameter]:
        """Find the pruned set."""
        return prunable(encoder, BOTH, self.biases)

    def apply(self, encoder: nn.Module, sparsity: float) -> None:
        """Hold the masks over weights that train."""
        parameters = self.pruned(encoder)
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        pruning.enforce_(encoder, magnitude_masks(parameters, sparsity, self.scope))

    def entries(self, encoder: nn.Module) -> list[int]:
        """Count the entries of each parameter."""
        return [parameter.numel() for parameter in self.pruned(encoder).values()]

    def learns(self, name: str) -> bool:
        """Tell whether a training step moves a parameter."""
        layer, _, role = plain_name(name).rpartition(".")
        return group_of(layer) in BOTH and role in ("weight", "bias")[: 1 + self.biases]

    def settle(self, encoder: nn.Module) -> None:
        """Do nothing: the masks are fixed."""


class Parp(Enforced):
    """PARP: the weights train densely and are re-pruned before they are looked at."""

    def apply(self, encoder: nn.Module, sparsity: float) -> None:
        """Zero once."""
        self.sparsity = sparsity
        for parameter in self.pruned(encoder).values():
            parameter.requires_grad_(True)
        self.settle(encoder)

    def settle(self, encoder: nn.Module) -> None:
        """Re-prune."""
        reprune_(self.pruned(encoder), self.sparsity, self.scope)

    def masks(self, encoder: nn.Module) -> dict[str, Tensor]:
        """Rank the re-pruned weights."""
        return magnitude_masks(self.pruned(encoder), self.sparsity, self.scope)

    def load(self, encoder: nn.Module, masks: dict[str, Tensor]) -> None:
        """Zero once where masks say so."""
        prune_once_(self.pruned(encoder), masks)

    def bake(self, encoder: nn.Module) -> None:
        """Do nothing: the zeros are in the weights."""


PRUNING_METHODS = {
    "enforced": Enforced(),
    "enforced_layer_weights": Enforced(biases=False, scope="layer"),
    "parp": Parp(),
    "parp_layer_weights": Parp(biases=False, scope="layer"),
}
