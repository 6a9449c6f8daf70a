"""Find one subnetwork for several languages: PARP on their pooled data, one vocabulary, scored per language.

Lai et al. (PARP, NeurIPS 2021) pool ten languages. The mask it leaves is a start for each of them, see
cross_lingual.py.

Run ``python joint.py hparams/joint.yaml --data_folder PATH/prompts --sparsity 0.5``.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from speechbrain.utils.distributed import run_on_main

from s3_speechbrain.brains import Recogniser, finish_languages, load_corpora, start
from s3_speechbrain.brains.joint import JointParpBrain, check_joint
from s3_speechbrain.brains.plan import languages_of
from s3_speechbrain.brains.results import say_finished
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.pruning import ParpSchedule, magnitude_masks, prunable, prune_once_


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the languages, run PARP once, test every language, write results and the mask."""
    hparams, run_opts = start(argv)
    folder, languages = Path(hparams["output_folder"]), languages_of(hparams)
    if all((folder / language / "metrics.json").is_file() for language in languages):
        say_finished(folder, languages)
        return
    check_joint(hparams)
    corpora = load_corpora(hparams, languages, shared_vocabulary=True)
    labels = next(iter(corpora.values())).tokenizer.labels
    encoder = hparams["encoder"]["build"]()
    head = hparams["head"]["build"](encoder.width, len(labels))

    updates = hparams["total_updates"] or hparams["updates"] * len(languages)
    schedule = ParpSchedule(hparams["sparsity"], hparams["interval"], updates)
    weights = prunable(encoder, hparams["groups"], hparams["biases"])
    prune_once_(weights, magnitude_masks(weights, hparams["sparsity"], hparams["scope"]))

    hparams["head_only_updates"] = hparams["freeze_updates"]
    brain = JointParpBrain(Recogniser(encoder, head), corpora, hparams, run_opts, schedule)
    brain.train()
    brain.on_evaluate_start()  # the best checkpoint, whose mask is kept
    run_on_main(brain.leave_behind, args=[folder])
    options = {name: hparams[name] for name in ("interval", "reset_moments", "scope", "biases")}
    finish_languages(brain, recipe="parp_joint", method="baseline_parp_joint", options=options)


if __name__ == "__main__":
    main(sys.argv[1:])
