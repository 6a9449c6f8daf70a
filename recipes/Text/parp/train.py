"""Prune a text encoder while it learns to classify (PARP, Lai et al., NeurIPS 2021, which has BERT and XLNet too).

The masks, schedules and verbs are those of the speech recipes; only the encoder and the head differ.

Run ``python train.py hparams/demo.yaml --data_folder PATH/reviews/movie --method parp --sparsity 0.5``.
"""

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from s3_speechbrain.brains import say_if_finished, start
from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.stages import Stage
from s3_speechbrain.brains.text import TextBrain, TextParpBrain, dense_weights, find_dense_run, finish_text
from s3_speechbrain.errors import UserError, tell_user_errors
from s3_speechbrain.pruning import (
    ParpSchedule,
    check_mask_file,
    enforce_,
    foreign_masks,
    magnitude_masks,
    prunable,
    prune_once_,
    random_masks,
)
from s3_speechbrain.text import TextClassifier, Texts, load_task, load_text_encoder

METHODS = ("dense", "rp_uniform", "mpi", "omp", "foreign", "parp", "parp_p")


def first_masks(
    hparams: dict, weights: dict[str, Tensor], sparsity: float, earlier: Sequence[Stage]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the masks that a method begins with, and if they are another run's, what their file says of itself."""
    method, scope = hparams["method"], hparams["scope"]
    if hparams["mask_file"]:
        return foreign_masks(
            hparams["mask_file"], weights, sparsity, backbone_name(hparams), backbone_sha256(hparams)
        )
    if method == "rp_uniform":
        return random_masks(weights, sparsity, hparams["seed"], scope), {}
    if method == "omp":
        weights = dense_weights(earlier[0], weights)
    return magnitude_masks(weights, sparsity, scope), {}


def parp_schedule(hparams: dict) -> ParpSchedule | None:
    """Return when weights are re-pruned, with a growing sparsity for PARP-P; None for other methods."""
    length = hparams["sparsity"], hparams["interval"], hparams["updates"]
    if hparams["method"] == "parp_p":
        return ParpSchedule.growing(*length, hparams["start_sparsity"], hparams["growth"])
    return ParpSchedule(*length) if hparams["method"] == "parp" else None


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Open the data, train with the chosen method, test the best checkpoint, write results."""
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return
    method = hparams["method"]
    if method not in METHODS:
        raise UserError(f"method is {method!r}: choose one of {', '.join(METHODS)}")
    check_mask_file(method, hparams["mask_file"])
    schedule = parp_schedule(hparams)
    task = load_task(hparams["data_folder"], hparams["task"], hparams["train_rows"], hparams["subset_seed"])
    encoder, tokenizer = load_text_encoder(
        hparams["source"], hparams["pretrained"], hparams["dropout"], hparams["seed"]
    )
    earlier = [find_dense_run(hparams, task)] if method == "omp" else []
    texts = {split: Texts(rows, tokenizer, hparams["max_tokens"]) for split, rows in task.rows.items()}
    weights = prunable(encoder, hparams["groups"], hparams["biases"])

    if method != "dense":
        first = schedule.sparsity_after(0) if schedule else hparams["sparsity"]
        masks, origin = first_masks(hparams, weights, first, earlier)
        if schedule:
            prune_once_(weights, masks)
        else:
            enforce_(encoder, masks)
        if hparams["mask_file"]:
            hparams = {**hparams, "mask_source": origin}
    everything = TextClassifier(encoder, task.labels), task, texts, hparams, run_opts
    brain = TextParpBrain(*everything, schedule=schedule) if schedule else TextBrain(*everything)
    brain.train()
    begins_foreign = hparams["mask_file"] and method != "foreign"
    finish_text(brain, "text_parp", f"{method}_foreign" if begins_foreign else method, earlier)


if __name__ == "__main__":
    main(sys.argv[1:])
