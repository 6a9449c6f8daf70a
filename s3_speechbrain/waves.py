"""Waveforms as they come from users, checked; imports no torch, so that a device can use it."""

from typing import Any

import numpy as np

from s3_speechbrain.errors import UserError


def as_samples(wave: Any, name: str) -> np.ndarray:
    """Check a waveform.

    Parameters
    ----------
    wave : ndarray, Tensor or sequence of float
        Floating-point samples of one channel, shape (N,), on any device, of any layout in memory.
    name : str
        What a refusal calls it.

    Returns
    -------
    ndarray
        Samples (N,), float32, contiguous and writable; the memory of `wave` where it is so already.

    Raises
    ------
    UserError
        If it has other axes, holds something else than floating-point numbers (integers would need a scale) or a
        number that is not finite.
    """
    if hasattr(wave, "is_floating_point") and wave.is_floating_point():
        wave = wave.detach().cpu().float()  # numpy has no bfloat16
    try:
        found = np.asarray(wave)
        sound = found.ndim == 1 and np.issubdtype(found.dtype, np.floating)
    except (ValueError, TypeError, RuntimeError):  # rows of different lengths, a tensor on another device
        sound = False
    if sound:
        with np.errstate(over="ignore"):  # too large for float32: seen below
            found = np.require(found, np.float32, ["C", "W"])
        if min(found.strides) < 0:  # a clip of one sample, which numpy calls contiguous all the same
            found = found.copy()
        sound = bool(np.isfinite(found).all())
    if not sound:
        raise UserError(
            f"{name} is not one channel of finite floating-point samples: give an array (N,) of them, from -1 to 1"
        )
    return found
