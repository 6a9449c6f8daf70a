"""Fewer tokens for the transformer (SALAD of S6-DAMON), and all that it is compared with.

A teacher, finetuned with CTC, repeats itself: most frames carry the label of the frame before. A small detector
learns from the teacher which frames begin something new; the others are dropped behind the convolutional
extractor, and the network is finetuned on what is left.

Run ``python train.py hparams/salad.yaml --data_folder PATH/prompts --language fr --keep_ratio 0.5``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import CTCBrain, TokenRun, finish, load_corpus, say_if_finished, start
from s3_speechbrain.errors import UserError, tell_user_errors


def salad(run: TokenRun) -> CTCBrain:
    """Finetune a teacher, train the detector on its labels, finetune on the frames that the detector keeps."""
    teacher = run.teacher()
    selector = run.selector(teacher)
    return run.shortened(run.student(teacher), selector, teacher)


METHODS = {"salad": (TokenRun, salad)}


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the data, train the stages of the chosen method, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return
    if hparams["method"] not in METHODS:
        raise UserError(f"method is {hparams['method']!r}: choose one of {', '.join(METHODS)}")
    kind, method = METHODS[hparams["method"]]
    run = kind(hparams, load_corpus(hparams), run_opts)
    brain = method(run)
    brain.train()
    finish(brain, recipe="s6_damon", method=run.recorded_as, earlier=run.earlier, options=run.options)


if __name__ == "__main__":
    main(sys.argv[1:])
