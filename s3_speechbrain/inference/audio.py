"""Audio files as blocks of mono samples at 16 kHz, however long, in whatever format they are."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from s3_speechbrain.brains.batches import RATE
from s3_speechbrain.errors import UserError

BLOCK_SECONDS = 10
_RATES = (1_000, 768_000)
_MOST_TAPS = 50_000_000  # values of the resampling filter: sampling rates that share no factor make it huge
_LOWPASS_WIDTH, _ROLLOFF = 6, 0.99  # torchaudio's defaults, which training used


def audio_blocks(path: str | Path) -> Iterator[Tensor]:
    """Read a sound file piece by piece as mono at 16 kHz.

    Parameters
    ----------
    path : str or Path
        Any format that libsndfile or, failing that, FFmpeg (PyAV) knows; any sampling rate; channels are averaged.

    Yields
    ------
    Tensor
        Samples, shape (N,), float32. Joined they are what `s3_speechbrain.brains.batches.read_audio` returns.

    Raises
    ------
    UserError
        If there is no such file, it holds no sound, cannot be decoded or holds values that are not finite.
    """
    path = Path(path)
    _check_file(path)
    empty = True
    with _opened(path) as (rate, blocks):
        for block in resample(_mono(path, blocks), rate, str(path)):
            empty = empty and not len(block)
            yield block
    if empty:
        raise UserError(f"{path} holds no samples: record it again")


def sound_header(path: str | Path) -> Any:
    """Return what libsndfile says of a sound file without reading its samples.

    Parameters
    ----------
    path : str or Path
        Of the file; its name may be in any encoding.

    Returns
    -------
    soundfile._SoundFileInfo or None
        ``samplerate`` (Hz), ``duration`` (s), ``channels``, ``format``, ``subtype``; None if libsndfile does not
        know the format or cannot open the file.
    """
    try:
        return soundfile.info(_raw_name(path))
    except (RuntimeError, OSError, TypeError):  # TypeError: a name that ends in .raw
        return None


def _raw_name(path: str | Path) -> str | bytes:
    """Return a name as the system has it: soundfile takes no text that is not valid Unicode."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a folder: give sound files (s3sb transcribe takes folders)")
    try:
        if not path.is_file():
            raise UserError(f"no file {path}: check the name")
        if not path.stat().st_size:
            raise UserError(f"{path} is empty (0 bytes): copy or record it again")
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path} cannot be opened ({error.strerror}): check its permissions") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    """Lend sampling rate and blocks (samples, channels) of the first reader that understands the file."""
    header = sound_header(path)
    if header is not None:
        yield header.samplerate, _sndfile_blocks(path, max(1, int(header.samplerate * BLOCK_SECONDS)))
        return
    with _ffmpeg(path) as container:
        stream = container.streams.audio[0]
        yield stream.rate, _ffmpeg_blocks(container, stream)


class _Forward(soundfile.SoundFile):
    """A sound file that is read from front to back: soundfile seeks after every read, which mp3 does not survive."""

    def seekable(self) -> bool:
        return False


def _sndfile_blocks(path: Path, size: int) -> Iterator[np.ndarray]:
    with _Forward(_raw_name(path)) as file:
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            yield block


def _ffmpeg(path: Path) -> av.container.InputContainer:
    """Open a file that has an audio track and that FFmpeg can decode."""
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError):
        raise UserError(
            f"{path} is no sound file that libsndfile or FFmpeg can read: convert it to wav"
        ) from None
    refusal = None
    if not container.streams.audio:
        refusal = f"{path} holds no sound: give a file with an audio track"
    elif container.streams.audio[0].codec_context is None:  # the stream then has no sampling rate either
        refusal = f"{path} is coded in a way that FFmpeg has no decoder for: convert it to wav"
    if refusal is not None:
        container.close()
        raise UserError(refusal)
    return container


def _ffmpeg_blocks(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[np.ndarray]:
    planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    for frame in container.decode(stream):
        yield from (part.to_ndarray().T for part in planar.resample(frame))
    yield from (part.to_ndarray().T for part in planar.resample(None))


def _mono(path: Path, blocks: Iterator[np.ndarray]) -> Iterator[Tensor]:
    try:
        for block in blocks:
            if not np.isfinite(block).all():
                raise UserError(f"{path} holds samples that are not finite numbers: export it again")
            yield torch.from_numpy(block.mean(axis=1))
    except (RuntimeError, OSError, av.FFmpegError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}): copy or convert it again") from None


def _check_rate(rate: int, name: str) -> None:
    if not isinstance(rate, Integral):
        raise UserError(f"{name} has a sampling rate of {rate!r}: give a whole number of Hz")
    if not _RATES[0] <= rate <= _RATES[1] or _taps(rate) > _MOST_TAPS:
        raise UserError(f"{name} has an unusual sampling rate of {rate} Hz: resample it to {RATE} Hz first")


def _taps(rate: int) -> int:
    shared = math.gcd(rate, RATE)
    return (rate // shared) * (RATE // shared)


def resample(blocks: Iterable[Tensor], rate: int, name: str = "the signal") -> Iterator[Tensor]:
    """Resample a signal that comes in blocks to 16 kHz; the same numbers as of the whole signal at once.

    Parameters
    ----------
    blocks : iterable of Tensor
        Samples, shape (N,) each.
    rate : int
        Their sampling rate in Hz.
    name : str
        What a refusal calls the signal.

    Yields
    ------
    Tensor
        Samples at 16 kHz.

    Raises
    ------
    UserError
        If the rate is not a whole number of Hz, is not that of a recording, or shares so few factors with 16 kHz
        that the filter would not fit into memory.
    """
    _check_rate(rate, name)
    if rate == RATE:
        yield from blocks
        return
    unit = rate // math.gcd(rate, RATE)  # so many samples become a whole number of new ones
    reach = math.ceil(_LOWPASS_WIDTH * rate / (min(rate, RATE) * _ROLLOFF)) + 1
    context = -(-reach // unit) * unit
    filtered = torchaudio.transforms.Resample(rate, RATE)
    held, left = (
        torch.zeros(0),
        0,
    )  # samples not finished, behind `left` finished ones that the filter still sees
    for block in blocks:
        held = torch.cat([held, block])
        ready = (len(held) - left - context) // unit * unit
        if ready > 0:
            made = filtered(held[: left + ready + context])
            yield made[left * RATE // rate : (left + ready) * RATE // rate]
            keep = min(context, left + ready)
            held, left = held[left + ready - keep :], keep
    if len(held) > left:
        yield filtered(held)[left * RATE // rate :]
