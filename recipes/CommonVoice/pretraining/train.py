"""Pretrain a small wav2vec2-shaped encoder on folders of audio.

python train.py hparams/distil_whisper.yaml --folders "[clips_a, clips_b]" --teacher openai/whisper-base

"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from s3_speechbrain.brains.checkpoints import AtomicCheckpointer
from s3_speechbrain.brains.experiment import start
from s3_speechbrain.brains.state import RandomState
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.pretraining.corpus import collate, draw_batches, load_clips, split_held_out
from s3_speechbrain.pretraining.objectives import LayerRegression, MaskedPrediction
from s3_speechbrain.pretraining.run import PretrainingBrain, loaders, summary
from s3_speechbrain.pretraining.student import build_student, save_half, take_layers_
from s3_speechbrain.pretraining.units import KMeansUnits


def build_objective(hparams: dict, student, train):
    """Choose what the student predicts: a teacher's layers, or units of masked frames."""
    if hparams["target"] == "regression":
        if hparams["take_layers"]:
            take_layers_(student, hparams["teacher_encoder"], hparams["take_layers"])
        remember = hparams["remember_teacher"]
        return LayerRegression(hparams["teacher_encoder"], hparams["pairs"], student.width, remember=remember)
    labeller = hparams["labeller"]
    if isinstance(labeller, KMeansUnits):
        first = draw_batches(train, hparams["batch_seconds"], hparams["seed"], 0)[: hparams["kmeans_batches"]]
        labeller.fit((collate(train, batch) for batch in first), hparams["seed"])
    return MaskedPrediction(labeller, student.width, hparams["mask"])


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Load audio, train the student, save it as a folder that every recipe takes as its backbone."""
    hparams, run_opts = start(argv)
    folder = Path(hparams["output_folder"])
    clips, counts = load_clips(hparams["folders"], threads=hparams["threads"] or 1)
    train, valid = split_held_out(clips, hparams["held_out"])
    student = build_student(folder / "student", seed=hparams["seed"], **hparams["student"])
    modules = {"student": student, "objective": build_objective(hparams, student, train)}

    counter = hparams["epoch_counter"]
    recoverables = {**modules, "counter": counter, "random": RandomState()}
    brain = PretrainingBrain(
        modules=modules,
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=AtomicCheckpointer(hparams["save_folder"], recoverables=recoverables),
    )
    train_loader, valid_loader = loaders(train, valid, brain)
    brain.fit(counter, train_loader, valid_loader)
    save_half(student.to(torch.device("cpu")), folder / "backbone")
    found = json.dumps(summary(hparams, counts, clips, student), indent=2)
    (folder / "backbone" / "pretraining.json").write_text(found + "\n")
    print(f"the backbone is in {folder / 'backbone'}; use it with --source {folder / 'backbone'}")


if __name__ == "__main__":
    main(sys.argv[1:])
