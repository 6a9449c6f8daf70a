"""One subnetwork for several languages: PARP on their pooled data, scored language by language."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from s3_speechbrain.brains.multilingual import MultilingualBrain
from s3_speechbrain.brains.pruned import MASK_FILE, ParpBrain, about, check_groups, surviving
from s3_speechbrain.brains.transfer import JOINT
from s3_speechbrain.errors import UserError
from s3_speechbrain.layers import plain_name
from s3_speechbrain.measure import language_bytes
from s3_speechbrain.pruning import save_masks

METHOD = "parp"
OF_OTHERS = ("mask_file", "start_sparsity", "dense_run", "parp_run")  # options of train.py's other methods


def check_joint(settings: Mapping) -> None:
    """Refuse what one subnetwork for several languages has no use for.

    Parameters
    ----------
    settings : mapping
        Those of a pruning recipe.

    Raises
    ------
    UserError
        If an option is of another method than PARP, or what cannot train is to be pruned.
    """
    if settings["method"] != METHOD:
        raise UserError(
            f"method is {settings['method']!r}, and joint.py knows {METHOD} alone: leave --method out"
        )
    given = next((name for name in OF_OTHERS if settings[name] is not None), None)
    if given:
        raise UserError(f"{given} has no effect in joint.py: leave --{given} out")
    check_groups(settings["groups"])


class JointParpBrain(ParpBrain, MultilingualBrain):
    """PARP on one model for several languages; see `ParpBrain` and `MultilingualBrain` for the parameters.

    The masks, the surviving weights and the head are those of all languages.
    """

    def check_validations(self) -> None:
        """Refuse validations between two re-prunes, told in updates of one language."""
        languages = len(self.corpora)
        self.schedule.check_validations(self.hparams.valid_every // languages, languages)

    def trained_weights(self) -> list[Tensor]:
        """Return the values of the encoder that survive; all languages share them."""
        encoder, masks = self.recogniser.encoder, self.masks()
        trained = [
            (plain_name(name), parameter)
            for name, parameter in encoder.named_parameters()
            if parameter.requires_grad and parameter is not encoder.mask_vector
        ]
        return surviving(trained, masks)

    def shared_bytes(self) -> int:
        """Count the surviving values and the masks that say where they belong."""
        masks = language_bytes(self.masks(), [], []).masks
        return super().shared_bytes() + masks

    def leave_behind(self, folder: Path) -> None:
        """Write the masks as a file."""
        origin = {**about(self), "method": "parp_joint", "language": JOINT}
        save_masks(folder / MASK_FILE, self.masks(), origin)
