"""Fewer tokens for the transformer (SALAD of S6-DAMON), fewer structures in it (SAFARI), and their baselines.

A teacher, finetuned with CTC, repeats itself: most frames carry the label of the frame before. A small detector
learns from the teacher which frames begin something new; the others are dropped behind the convolutional
extractor, and the network is finetuned on what is left. SAFARI removes attention heads and neurons of a finetuned
network under a budget, and grows others in their place while it is finetuned; in the end what is removed is cut off,
and a smaller network remains.

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr`` for both, salad.yaml or safari.yaml
for one of them.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import CTCBrain, S6Run, StructuredRun, TokenRun, train_in_stages
from s3_speechbrain.errors import tell_user_errors


def salad(run: TokenRun) -> CTCBrain:
    """Finetune a teacher, train the detector on its labels, finetune on the frames that the detector keeps."""
    teacher = run.teacher()
    selector = run.selector(teacher)
    return run.shortened(run.student(teacher), selector, teacher)


def safari(run: StructuredRun) -> CTCBrain:
    """Finetune a dense network, then remove units of it and adjust which, within the budget."""
    return run.pruned(run.first_model())


def s6(run: S6Run) -> CTCBrain:
    """Do both: the detector is in the network while units go and come."""
    return salad(run)


METHODS = {"salad": (TokenRun, salad), "safari": (StructuredRun, safari), "s6": (S6Run, s6)}


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the stages of the method that the settings name."""
    train_in_stages(argv, "s6_damon", METHODS)


if __name__ == "__main__":
    main(sys.argv[1:])
