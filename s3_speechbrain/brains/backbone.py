"""Which weights a run began with: names of folders repeat, fingerprints do not."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank import fingerprint


def backbone_sha256(hparams: Mapping) -> str | None:
    """Return the fingerprint of the pretrained weights that a run begins with.

    Parameters
    ----------
    hparams : mapping
        Settings of a recipe: ``encoder`` with its ``build``, and ``pretrained``.

    Returns
    -------
    str or None
        As `s3_speechbrain.maskbank.fingerprint`; None for random weights, which depend on the seed, and for a
        recipe without a speech encoder.
    """
    if "encoder" not in hparams or not hparams.get("pretrained", False):
        return None
    return _of(hparams["encoder"]["build"])


@lru_cache(maxsize=2)
def _of(build: Callable[[], SpeechEncoder]) -> str:
    with torch.random.fork_rng():  # training then draws what it would have drawn
        return fingerprint(build())
