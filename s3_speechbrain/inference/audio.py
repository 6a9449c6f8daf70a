"""Audio files as blocks of mono samples at 16 kHz, however long, in whatever format they are."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

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
    rate, blocks = _open(path)
    if not _RATES[0] <= rate <= _RATES[1] or _taps(rate) > _MOST_TAPS:
        raise UserError(f"{path} has an unusual sampling rate of {rate} Hz: resample it to {RATE} Hz first")
    empty = True
    for block in resample(_mono(path, blocks), rate):
        empty = empty and not len(block)
        yield block
    if empty:
        raise UserError(f"{path} holds no samples: record it again")


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


def _open(path: Path) -> tuple[int, Iterator[np.ndarray]]:
    """Return sampling rate and blocks (samples, channels) of the first reader that understands the file."""
    try:
        rate = soundfile.info(str(path)).samplerate
    except (RuntimeError, OSError, TypeError):  # TypeError: a name that ends in .raw
        return _open_ffmpeg(path)
    return rate, _sndfile_blocks(path, max(1, int(rate * BLOCK_SECONDS)))


class _Forward(soundfile.SoundFile):
    """A sound file that is read from front to back: soundfile seeks after every read, which mp3 does not survive."""

    def seekable(self) -> bool:
        return False


def _sndfile_blocks(path: Path, size: int) -> Iterator[np.ndarray]:
    with _Forward(str(path)) as file:
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            yield block


def _open_ffmpeg(path: Path) -> tuple[int, Iterator[np.ndarray]]:
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError):
        raise UserError(
            f"{path} is no sound file that libsndfile or FFmpeg can read: convert it to wav"
        ) from None
    if not container.streams.audio:
        container.close()
        raise UserError(f"{path} holds no sound: give a file with an audio track")
    return container.streams.audio[0].rate, _ffmpeg_blocks(container)


def _ffmpeg_blocks(container: av.container.InputContainer) -> Iterator[np.ndarray]:
    stream = container.streams.audio[0]
    planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    with container:
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


def _taps(rate: int) -> int:
    shared = math.gcd(rate, RATE)
    return (rate // shared) * (RATE // shared)


def resample(blocks: Iterable[Tensor], rate: int) -> Iterator[Tensor]:
    """Resample a signal that comes in blocks to 16 kHz; the same numbers as of the whole signal at once.

    Parameters
    ----------
    blocks : iterable of Tensor
        Samples, shape (N,) each.
    rate : int
        Their sampling rate in Hz.

    Yields
    ------
    Tensor
        Samples at 16 kHz.
    """
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
