"""Which weights a run began with: names of folders repeat, fingerprints do not."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank.fingerprint import fingerprint, fingerprint_of
from s3_speechbrain.text import load_text_encoder


def backbone_sha256(hparams: Mapping) -> str | None:
    """Return the fingerprint of the pretrained weights that a run begins with.

    Parameters
    ----------
    hparams : mapping
        Settings of a recipe: ``pretrained``, and ``encoder`` with its ``build``, or ``source`` and the ``max_tokens``
        of a recipe for text.

    Returns
    -------
    str or None
        As `s3_speechbrain.maskbank.fingerprint`; None for random weights, which depend on the seed, and for a
        recipe without an encoder.
    """
    if not hparams.get("pretrained", False):
        return None
    if "encoder" in hparams:
        return _of_speech(hparams["encoder"]["build"])
    return _of_text(hparams["source"]) if "max_tokens" in hparams else None


@lru_cache(maxsize=2)
def _of_text(source: str) -> str:
    with torch.random.fork_rng():
        encoder, _ = load_text_encoder(source)
    return fingerprint_of({"family": encoder.config.model_type}, dict(encoder.named_parameters()))


@lru_cache(maxsize=2)
def _of_speech(build: Callable[[], SpeechEncoder]) -> str:
    with torch.random.fork_rng():  # training then draws what it would have drawn
        return fingerprint(build())
