"""Finetune a speech encoder with CTC: the methods that masks are compared with.

- frozen: the encoder stays as it is, only the linear head learns
- dense: all weights behind the convolutional extractor learn
- dense_freeze: the same, after some updates of the head alone
- scratch: the same network from random weights
- lora: low-rank updates of all attention and FFN matrices (Hu et al., 2021; SpeechBrain's adapters)
- bitfit: only the biases learn (Ben Zaken et al., 2021)

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr --method dense``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import finetune_language, say_if_finished, start
from s3_speechbrain.errors import tell_user_errors


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the data, train with the chosen method, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if not say_if_finished(hparams):
        finetune_language(hparams, run_opts)


if __name__ == "__main__":
    main(sys.argv[1:])
