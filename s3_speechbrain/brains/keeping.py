"""The trained recogniser as a folder in the run's own: what `publish` and the inference API start from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import run_on_main

from s3_speechbrain.brains.ctc import CTCBrain
from s3_speechbrain.brains.model import CTCHead
from s3_speechbrain.data.languages import normaliser_id
from s3_speechbrain.modelfolder.config import ModelFacts
from s3_speechbrain.modelfolder.writing import write_model
from s3_speechbrain.report.gather import portable
from s3_speechbrain.tokens import ORACLES

logger = logging.getLogger(__name__)

MODEL = "model"


def keep_model(brain: CTCBrain, metrics: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write the model folder of a finished run, on the main process.

    Nothing is written where ``save_model`` is off, where the encoder has one set of masks for each language (a
    mask bank holds those), and for selectors that need a teacher to run.

    Parameters
    ----------
    brain : CTCBrain
        After `deploy`: the recogniser is an ordinary network.
    metrics : mapping of str to mapping
        The run's metrics by language.
    folder : Path
        The run's folder; the model goes into ``model/``.
    """
    recogniser, hparams = brain.recogniser, brain.hparams
    if not getattr(hparams, "save_model", False) or not isinstance(recogniser.head, CTCHead):
        return
    selector = recogniser.selector
    if selector is not None and selector.config.selector in ORACLES:
        logger.info("no model folder: the selector %s needs its teacher", selector.config.selector)
        return
    records = {language: portable(record) for language, record in metrics.items()}
    first = next(iter(records.values()))
    facts = ModelFacts(
        languages={language: normaliser_id(language) for language in records},
        recipe=first["recipe"],
        method=first["method"],
        backbone=first["backbone"],
        revision=hparams.encoder["revision"],
    )
    record = first if len(records) == 1 else records
    run_on_main(write_model, args=[folder / MODEL, recogniser, brain.corpus.tokenizer, facts, record])
