"""What to mask, how much of it, and where the ranking happens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import GROUPS, group_of, layer_index
from s3_speechbrain.masking.initialisation import INITS

SCOPES = ("matrix", "layer", "group", "global", "threshold")
STRUCTURES = ("element", "row", "column")
ESTIMATORS = ("identity", "sigmoid")


@dataclass(frozen=True)
class MaskConfig:
    """Settings of mask finetuning; the defaults are S3-Router's for wav2vec2-base.

    Parameters
    ----------
    sparsity : float or mapping of str to float
        Fraction of the masked weights that is removed, in [0, 1). S3-Router's code calls *one minus* this
        number the prune rate. One number for all, or one per group: ``{"ffn": 0.08, "attention": 0.02}``.
    groups : sequence of str
        Which layers to mask (`s3_speechbrain.layers.GROUPS`). S3-Router finetunes FFN masks only and prunes
        FFN and attention.
    layer_sparsity : sequence of float, optional
        One sparsity per transformer layer, instead of `sparsity`; masked layers outside the transformer
        stay dense.
    scope : {"matrix", "layer", "group", "global", "threshold"}
        Which weights compete in one ranking: those of one matrix (S3-Router), of one transformer layer, of
        one group, or all. A joint ranking removes as many weights as its members' sparsities add up to.
        "threshold" begins with those of one matrix and lets matrices trade weights: each has a threshold that
        trains (`s3_speechbrain.masking.thresholds`).
    init : str
        First scores, one of `s3_speechbrain.masking.initialisation.INITS`.
    structure : {"element", "row", "column"}
        One score per weight, per output unit, or per input unit.
    ste : {"identity", "sigmoid"}
        Straight-through estimator of the gradient of the scores.
    train_weights : bool
        Train the weights together with the scores (co-training) instead of freezing them.
    seed : int
        Of the random initialisations; the same seed gives the same scores on every device.
    magnitude_scale : float
        Divisor of the weights for ``init="magnitude"``.

    Raises
    ------
    UserError
        If a setting is not one of the above.
    """

    sparsity: float | Mapping[str, float] = 0.08
    groups: Sequence[str] = ("ffn",)
    layer_sparsity: Sequence[float] | None = None
    scope: str = "matrix"
    init: str = "order_preserving"
    structure: str = "element"
    ste: str = "identity"
    train_weights: bool = False
    seed: int = 0
    magnitude_scale: float = 1.0

    def __post_init__(self) -> None:
        for field, choices in (
            ("scope", SCOPES),
            ("structure", STRUCTURES),
            ("ste", ESTIMATORS),
            ("init", INITS),
        ):
            value = getattr(self, field)
            if value not in choices:
                raise UserError(f"{field} is {value!r}: choose one of {', '.join(choices)}.")
        if isinstance(self.sparsity, Mapping):
            missing = [group for group in self.groups if group not in self.sparsity]
            unknown = [group for group in self.sparsity if group not in GROUPS]
            if missing or unknown:
                raise UserError(
                    f"sparsity has the keys {sorted(self.sparsity)}: give one per group, {self.groups}."
                )
        by_group = self.sparsity.values() if isinstance(self.sparsity, Mapping) else [self.sparsity]
        for value in [*by_group, *(self.layer_sparsity or ())]:
            if not 0 <= value < 1:
                raise UserError(
                    f"sparsity {value} is not in [0, 1): it is the fraction removed, 0.08 for 8 %."
                )
        if not self.magnitude_scale > 0:
            raise UserError(f"magnitude_scale is {self.magnitude_scale}: give a number above 0.")

    def sparsity_of(self, name: str) -> float:
        """Look up the sparsity of one layer.

        Parameters
        ----------
        name : str
            Dotted layer name inside the encoder.

        Returns
        -------
        float
            Fraction of this layer's weights that is removed.
        """
        index = layer_index(name)
        if self.layer_sparsity is not None:
            return 0.0 if index is None else self.layer_sparsity[index]
        return self.sparsity[group_of(name)] if isinstance(self.sparsity, Mapping) else self.sparsity

    def ranking_of(self, name: str) -> str:
        """Name the ranking a layer takes part in: layers with equal names compete in one top-k.

        Parameters
        ----------
        name : str
            Dotted layer name inside the encoder.

        Returns
        -------
        str
            A key; a layer outside the transformer is ranked alone under ``scope="layer"``.
        """
        index = layer_index(name)
        if self.scope == "layer" and index is not None:
            return f"layer {index}"
        return {"group": str(group_of(name)), "global": "global"}.get(self.scope, name)
