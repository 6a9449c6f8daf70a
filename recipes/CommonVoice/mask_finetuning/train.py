"""Mask finetuning: adapt a speech encoder by choosing its connections (S3-Router, Fu et al., NeurIPS 2022).

The pretrained weights stay as they are. Each masked weight matrix W gets trainable scores A of its shape; the
effective weight is W * m, where m is 0 for the share `sparsity` of entries with the smallest |A| and 1
elsewhere. The gradient passes straight through m to A. A language then is a binary mask and a linear CTC
head, over one backbone that all languages share.

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import (
    CTCBrain,
    Recogniser,
    finish,
    freeze_weights_,
    load_corpus,
    say_if_finished,
    start,
)
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.masking import bake_, keep_masks, mask_, renew_masks_, sparsity_report


class MaskBrain(CTCBrain):
    """CTC training in which scores move and masks follow."""

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        """Rank the new scores after each step."""
        if should_step:
            renew_masks_(self.recogniser.encoder)

    def sparsity(self):
        """Return what fraction of which weights is removed."""
        return sparsity_report(self.recogniser.encoder)

    def masks(self):
        """Return the language's binary masks."""
        return keep_masks(self.recogniser.encoder)

    def language_tensors(self):
        """Return what a language stores beside masks: the head, and weights trained together with them."""
        encoder, head = self.recogniser.encoder, self.recogniser.head
        trained = [
            parameter
            for name, parameter in encoder.named_parameters()
            if parameter.requires_grad and not name.endswith((".score", "mask_vector"))
        ]
        return [*trained, *head.parameters()]

    def deploy(self):
        """Multiply the masks into the weights; the network then is an ordinary one."""
        bake_(self.recogniser.encoder)


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the data, train scores and head, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return
    corpus = load_corpus(hparams)

    encoder = hparams["encoder"]["build"]()
    freeze_weights_(encoder)
    mask_(encoder, hparams["mask"])
    head = hparams["head"]["build"](encoder.width, len(corpus.tokenizer.labels))

    brain = MaskBrain(Recogniser(encoder, head), corpus, {**hparams, "head_only_updates": 0}, run_opts)
    brain.train()
    finish(brain, recipe="mask_finetuning", method="mask_joint" if hparams["train_weights"] else "mask")


if __name__ == "__main__":
    main(sys.argv[1:])
