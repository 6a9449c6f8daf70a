"""Prune a text encoder while it learns to classify (PARP, Lai et al., NeurIPS 2021, which has BERT and XLNet too).

The masks, schedules and verbs are those of the speech recipes; only the encoder and the head differ.

Run ``python train.py hparams/demo.yaml --data_folder PATH/reviews/movie --method parp --sparsity 0.5``.
"""

import sys
from collections.abc import Callable, Sequence

from torch import Tensor

from s3_speechbrain.brains import say_if_finished, start
from s3_speechbrain.brains.stages import Stage
from s3_speechbrain.brains.text import TextBrain, TextParpBrain, dense_weights, find_dense_run, finish_text
from s3_speechbrain.errors import UserError, tell_user_errors
from s3_speechbrain.pruning import (
    ParpSchedule,
    check_fit,
    enforce_,
    load_masks,
    magnitude_masks,
    prunable,
    prune_once_,
    random_masks,
)
from s3_speechbrain.text import TextClassifier, Texts, load_task, load_text_encoder

METHODS = ("dense", "rp_uniform", "mpi", "omp", "foreign", "parp", "parp_p")


def first_masks(
    hparams: dict, weights: dict[str, Tensor], sparsity: float, earlier: Sequence[Stage]
) -> dict[str, Tensor]:
    """Return the masks that a method begins with: another run's, random ones, or by magnitude."""
    method, scope = hparams["method"], hparams["scope"]
    if hparams["mask_file"]:
        masks = load_masks(hparams["mask_file"])
        check_fit(weights, masks)
        return masks
    if method == "foreign":
        raise UserError("missing --mask_file: give the mask.safetensors of another run")
    if method == "rp_uniform":
        return random_masks(weights, sparsity, hparams["seed"], scope)
    if method == "omp":
        return magnitude_masks(dense_weights(earlier[0], weights), sparsity, scope)
    return magnitude_masks(weights, sparsity, scope)


def parp_schedule(hparams: dict) -> ParpSchedule:
    """Return when weights are re-pruned, with a growing sparsity for PARP-P."""
    start = hparams["start_sparsity"] if hparams["method"] == "parp_p" else None
    return ParpSchedule(
        hparams["sparsity"], hparams["interval"], hparams["updates"], start, hparams["growth"]
    )


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Open the data, train with the chosen method, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return
    method = hparams["method"]
    if method not in METHODS:
        raise UserError(f"method is {method!r}: choose one of {', '.join(METHODS)}")
    task = load_task(hparams["data_folder"], hparams["task"], hparams["train_rows"], hparams["subset_seed"])
    encoder, tokenizer = load_text_encoder(
        hparams["source"], hparams["pretrained"], hparams["dropout"], hparams["seed"]
    )
    earlier = [find_dense_run(hparams, task)] if method == "omp" else []
    texts = {split: Texts(rows, tokenizer, hparams["max_tokens"]) for split, rows in task.rows.items()}
    weights = prunable(encoder, hparams["groups"], hparams["biases"])

    kind: Callable[..., TextBrain] = TextBrain
    extra = {}
    if method in ("parp", "parp_p"):
        kind, extra = TextParpBrain, {"schedule": parp_schedule(hparams)}
        prune_once_(weights, first_masks(hparams, weights, extra["schedule"].sparsity_after(0), earlier))
    elif method != "dense":
        enforce_(encoder, first_masks(hparams, weights, hparams["sparsity"], earlier))
    brain = kind(TextClassifier(encoder, task.labels), task, texts, hparams, run_opts, **extra)
    brain.train()
    begins_foreign = hparams["mask_file"] and method != "foreign"
    finish_text(brain, "text_parp", f"{method}_foreign" if begins_foreign else method, earlier)


if __name__ == "__main__":
    main(sys.argv[1:])
