"""One language from data to results: what every single-language recipe does around its method."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speechbrain.utils.run_opts import RunOptions

from s3_speechbrain.brains.corpus import load_corpus
from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.experiment import start
from s3_speechbrain.brains.mask_run import MaskRun
from s3_speechbrain.brains.methods import encoder_options, finetune_
from s3_speechbrain.brains.model import Recogniser
from s3_speechbrain.brains.results import finish, say_if_finished
from s3_speechbrain.brains.staged_run import StagedRun
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.measure import reset_peak_rss


def train_language(
    hparams: Mapping,
    run_opts: RunOptions,
    adapt_: Callable[[SpeechEncoder], None],
    *,
    recipe: str,
    method: str,
    brain: type[CTCBrain] = CTCBrain,
    freeze_updates: int = 0,
    **encoder_options: Any,
) -> dict[str, Any]:
    """Prepare the data, train an adapted encoder and a head, test the best checkpoint, write the results.

    Parameters
    ----------
    hparams : mapping
        From `start`.
    run_opts : RunOptions
        From `start`.
    adapt_ : callable
        The method: changes the encoder in place, and marks by `requires_grad` what learns.
    recipe, method : str
        For the record.
    brain : type
        The Brain that trains.
    freeze_updates : int
        The head alone learns for so many updates.
    **encoder_options
        Arguments of `SpeechEncoder` that the method decides.

    Returns
    -------
    dict
        The metrics.
    """
    reset_peak_rss()  # a process may have trained another language before
    corpus = load_corpus(hparams)
    encoder = hparams["encoder"]["build"](**encoder_options)
    adapt_(encoder)
    head = hparams["head"]["build"](encoder.width, len(corpus.tokenizer.labels))
    trainer = brain(
        Recogniser(encoder, head), corpus, {**hparams, "head_only_updates": freeze_updates}, run_opts
    )
    trainer.train()
    return finish(trainer, recipe, method)


def mask_language(hparams: Mapping, run_opts: RunOptions) -> dict[str, Any]:
    """Train masks and head of one language over frozen weights, as the recipe mask_finetuning does.

    Parameters
    ----------
    hparams : mapping
        From `start`; with the settings of `MaskRun`.
    run_opts : RunOptions
        From `start`.

    Returns
    -------
    dict
        The metrics.
    """
    reset_peak_rss()  # a process may have trained another language before
    run = MaskRun(hparams, load_corpus(hparams), run_opts)
    brain = run.masked()
    brain.train()
    return finish(brain, "mask_finetuning", run.recorded_as, run.earlier, run.options)


def finetune_language(hparams: Mapping, run_opts: RunOptions) -> dict[str, Any]:
    """Train one language by a method of `methods.METHODS`, as ``hparams["method"]`` says.

    Parameters
    ----------
    hparams : mapping
        From `start`; with ``method``, ``rank``, ``alpha`` and ``freeze_updates``.
    run_opts : RunOptions
        From `start`.

    Returns
    -------
    dict
        The metrics.

    Raises
    ------
    UserError
        For an unknown method.
    """
    method = hparams["method"]
    options = encoder_options(method)
    held = hparams["freeze_updates"] if method == "dense_freeze" else 0

    def adapt_(encoder: SpeechEncoder) -> None:
        finetune_(encoder, method, hparams["rank"], hparams["alpha"])

    return train_language(
        hparams, run_opts, adapt_, recipe="finetuning", method=method, freeze_updates=held, **options
    )


def train_in_stages(
    argv: Sequence[str] | None,
    recipe: str,
    methods: Mapping[str, tuple[type[StagedRun], Callable[[Any], CTCBrain]]],
) -> None:
    """Prepare the data, train the stages of a method, test the best checkpoint, write the results.

    Parameters
    ----------
    argv : sequence of str, optional
        The command line; default that of the process.
    recipe : str
        For the record.
    methods : mapping
        What ``method`` may be: the kind of run, and what it does with it; it returns the Brain of the last stage.

    Raises
    ------
    UserError
        For an unknown method.
    """
    hparams, run_opts = start(argv)
    if say_if_finished(hparams):
        return
    if hparams["method"] not in methods:
        raise UserError(f"method is {hparams['method']!r}: choose one of {', '.join(methods)}")
    kind, method = methods[hparams["method"]]
    run = kind(hparams, load_corpus(hparams), run_opts)
    brain = method(run)
    brain.train()
    finish(brain, recipe=recipe, method=run.recorded_as, earlier=run.earlier, options=run.options)
