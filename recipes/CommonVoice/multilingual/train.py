"""Many languages over one speech encoder: a mask and a head for each (S3-Router, Fu et al., NeurIPS 2022).

- independent: one run per language over the same frozen weights, as published; also dense finetuning, LoRA and the
  other methods that masks are compared with, one model per language
- joint: the masks of all languages in one run, every update of one language; the weights frozen, or trained along
- pooled: one dense model for all languages, one vocabulary

Run ``python train.py hparams/demo.yaml --data_folder PATH/prompts``.
"""

import sys
from collections.abc import Sequence

from s3_speechbrain.brains import (
    JointMaskBrain,
    LanguageHeads,
    MultilingualBrain,
    Recogniser,
    deposit,
    finetune_,
    finetune_language,
    finish_languages,
    freeze_weights_,
    load_corpora,
    mask_language,
    mask_options,
    say_finished,
    say_if_finished,
    start,
)
from s3_speechbrain.brains.experiment import guard_folder, read_settings
from s3_speechbrain.brains.plan import Plan, language_arguments, read_plan
from s3_speechbrain.errors import tell_user_errors
from s3_speechbrain.inference.tour import show
from s3_speechbrain.masking import mask_languages_


def independent(argv: Sequence[str], plan: Plan) -> None:
    """Train one language after the other, each as its own recipe would; finished ones are left alone."""
    for language in plan.mine:
        hparams, run_opts = start(language_arguments(argv, plan, language))
        if not say_if_finished(hparams):
            (mask_language if plan.method == "mask" else finetune_language)(hparams, run_opts)
        deposit(plan.bank, plan.folder, [language])


def joint(argv: Sequence[str], plan: Plan) -> None:
    """Train the masks and heads of all languages in one run."""
    hparams, run_opts = start(argv)
    corpora = load_corpora(hparams, plan.languages)
    encoder = hparams["encoder"]["build"](**mask_options(hparams["mask"].groups))
    freeze_weights_(encoder)
    mask_languages_(encoder, dict.fromkeys(corpora, hparams["mask"]))
    build = hparams["head"]["build"]
    heads = {name: build(encoder.width, len(corpus.tokenizer.labels)) for name, corpus in corpora.items()}
    model = Recogniser(encoder, LanguageHeads(heads))
    held = hparams["freeze_updates"] * len(corpora)
    brain = JointMaskBrain(model, corpora, {**hparams, "head_only_updates": held}, run_opts)
    brain.train()
    finish_languages(brain, recipe="multilingual", method="mask_joint")


def pooled(argv: Sequence[str], plan: Plan) -> None:
    """Train one dense model on all languages."""
    hparams, run_opts = start(argv)
    corpora = load_corpora(hparams, plan.languages, shared_vocabulary=True)
    encoder = hparams["encoder"]["build"]()
    finetune_(encoder, "dense")
    labels = next(iter(corpora.values())).tokenizer.labels
    model = Recogniser(encoder, hparams["head"]["build"](encoder.width, len(labels)))
    brain = MultilingualBrain(model, corpora, {**hparams, "head_only_updates": 0}, run_opts)
    brain.train()
    finish_languages(brain, recipe="multilingual", method="dense_all")


@tell_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, keep masks in a bank, and try all languages through one backbone."""
    argv = list(sys.argv[1:] if argv is None else argv)
    plan = read_plan(argv)
    if plan.mode == "independent":
        independent(argv, plan)
    elif plan.unfinished():
        (joint if plan.mode == "joint" else pooled)(argv, plan)
    else:
        guard_folder(plan.folder, read_settings(argv))
        say_finished(plan.folder, plan.languages)
    deposit(plan.bank, plan.folder, plan.mine)
    show(argv, plan)


if __name__ == "__main__":
    main(sys.argv[1:])
