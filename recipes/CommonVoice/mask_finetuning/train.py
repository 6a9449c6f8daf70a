"""Mask finetuning: adapt a speech encoder by choosing its connections (S3-Router, Fu et al., NeurIPS 2022).

The pretrained weights stay as they are. Each masked weight matrix W gets trainable scores A of its shape; the
effective weight is W * m, where m is 0 for the share `sparsity` of entries with the smallest |A| and 1
elsewhere. The gradient passes straight through m to A. A language then is a binary mask and a linear CTC
head, over one backbone that all languages share. `s3_speechbrain.brains.mask_language` puts this together.

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import mask_language, say_if_finished, start
from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the data, train scores and head, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if not say_if_finished(hparams):
        mask_language(hparams, run_opts)


if __name__ == "__main__":
    main(sys.argv[1:])
