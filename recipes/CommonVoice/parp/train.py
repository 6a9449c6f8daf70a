"""Prune a speech encoder while it adapts (PARP, Lai et al., NeurIPS 2021), and all that it is compared with.

Each method removes the share `sparsity` of the weights and biases of the transformer's linears. They differ in
where the ranking comes from, and in whether what is removed may come back.

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts --language fr --method parp --sparsity 0.5``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import CTCBrain, PruningRun, freeze_weights_, train_in_stages
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.masking import MaskConfig, mask_
from s3_speechbrain.pruning import imp_sparsities, random_masks


def parp(run: PruningRun) -> CTCBrain:
    """Zero once, train all weights, re-prune every `interval` updates: what is removed may come back."""
    return run.parp(run.schedule())


def parp_p(run: PruningRun) -> CTCBrain:
    """PARP with a growing sparsity."""
    return run.parp(run.schedule(grows=True))


def mpi(run: PruningRun) -> CTCBrain:
    """Train under the magnitude mask of the pretrained weights."""
    model = run.pretrained()
    return run.under_masks(model, run.magnitude(model))


def rp(run: PruningRun) -> CTCBrain:
    """Train under the magnitude mask of a randomly initialised network."""
    return run.under_masks(run.pretrained(), run.magnitude(run.random()))


def rp_uniform(run: PruningRun) -> CTCBrain:
    """Train under a mask drawn uniformly."""
    model = run.pretrained()
    return run.under_masks(model, random_masks(run.weights(model), run.sparsity, run.seed, run.scope))


def foreign(run: PruningRun) -> CTCBrain:
    """Train under the mask of another run, for example of another language."""
    model = run.pretrained()
    return run.under_masks(model, run.masks_from_file(model, run.sparsity))


def omp(run: PruningRun) -> CTCBrain:
    """Finetune; then train the pretrained weights under the magnitude mask of the finetuned ones."""
    masks = run.magnitude(run.dense())
    return run.under_masks(run.pretrained(), masks)


def imp(run: PruningRun) -> CTCBrain:
    """Train and remove a tenth in rounds, each rewound to the same early weights; then train under the mask."""
    masks = None
    for number, sparsity in enumerate(imp_sparsities(run.sparsity), start=1):
        masks = run.imp_round(number, sparsity, masks)
    return run.under_masks(run.rewound(), masks)


def parp_mask(run: PruningRun) -> CTCBrain:
    """Run PARP; then train the pretrained weights under its final mask."""
    masks = run.parp_masks()
    return run.under_masks(run.pretrained(), masks)


def s3_prune(run: PruningRun) -> CTCBrain:
    """Finetune; freeze, and learn what to keep from scores that start as magnitudes (S3-Router's pruning)."""
    model = run.dense()
    finetuned = run.trained_names(model)
    freeze_weights_(model.encoder)
    mask_(model.encoder, MaskConfig(run.sparsity, run.groups, init="magnitude", seed=run.seed))
    return run.scores(model, finetuned)


METHODS = {
    method.__name__: (PruningRun, method)
    for method in (parp, parp_p, mpi, rp, rp_uniform, foreign, omp, imp, parp_mask, s3_prune)
}


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train the stages of the method that the settings name."""
    train_in_stages(argv, "parp", METHODS)


if __name__ == "__main__":
    main(sys.argv[1:])
