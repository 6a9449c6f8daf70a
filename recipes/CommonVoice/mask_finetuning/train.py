"""Mask finetuning: adapt a speech encoder by choosing its connections (S3-Router, Fu et al., NeurIPS 2022).

The pretrained weights stay as they are. Each masked weight matrix W gets trainable scores A of its shape; the
effective weight is W * m, where m is 0 for the share `sparsity` of entries with the smallest |A| and 1
elsewhere. The gradient passes straight through m to A. A language then is a binary mask and a linear CTC
head, over one backbone that all languages share.

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import MaskBrain, freeze_weights_, say_if_finished, start, train_language
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.masking import mask_


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the data, train scores and head, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return

    def choose_connections_(encoder: SpeechEncoder) -> None:
        freeze_weights_(encoder)
        mask_(encoder, hparams["mask"])

    train_language(
        hparams, run_opts, choose_connections_, recipe="mask_finetuning", method="mask", brain=MaskBrain
    )


if __name__ == "__main__":
    main(sys.argv[1:])
