"""The Brain of mask finetuning: scores move, masks follow (S3-Router, Fu et al., NeurIPS 2022)."""

from torch import Tensor

from s3_speechbrain.brains.banking import backbone_of
from s3_speechbrain.brains.batches import SpeechBatch
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.maskbank import Backbone
from s3_speechbrain.masking import SELECTION, bake_, keep_masks, renew_masks_, sparsity_report


class MaskBrain(CTCBrain):
    """CTC training of an encoder that `mask_` has put masks on; see `CTCBrain` for the parameters."""

    def on_fit_batch_end(
        self, batch: SpeechBatch, outputs: tuple[Tensor, Tensor], loss: Tensor, should_step: bool
    ) -> None:
        """Rank the new scores after each step."""
        if should_step:
            renew_masks_(self.recogniser.encoder)

    def sparsity(self) -> dict:
        """Return what fraction of which weights is removed."""
        return sparsity_report(self.recogniser.encoder)

    def masks(self) -> dict[str, Tensor]:
        """Return the language's binary masks."""
        return keep_masks(self.recogniser.encoder)

    def language_tensors(self) -> list[Tensor]:
        """Return what a language stores beside masks: the head, and weights trained together with them."""
        return [*self.trained_weights(), *self.recogniser.head.parameters()]

    def trained_weights(self) -> list[Tensor]:
        """Return the weights of the encoder that train together with the masks; none where they are frozen."""
        return [
            parameter
            for name, parameter in self.recogniser.encoder.named_parameters()
            if parameter.requires_grad and not name.endswith((*SELECTION, "mask_vector"))
        ]

    def backbone(self) -> Backbone | None:
        """Tell which backbone the masks are for; None if its weights were trained along, or drawn at random."""
        if self.trained_weights() or not self.hparams.pretrained:
            return None
        return backbone_of(self.recogniser.encoder, self.hparams.encoder["revision"])

    def deploy(self) -> None:
        """Multiply the masks into the weights; the network then is an ordinary one."""
        bake_(self.recogniser.encoder)
