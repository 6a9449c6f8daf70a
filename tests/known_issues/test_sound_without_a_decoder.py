"""A sound file that FFmpeg has no decoder for ended in an AttributeError, and with it a run over many files.

FFmpeg's file also stayed open when its sampling rate was refused.
"""

import struct

import av
import numpy as np
import pytest
import soundfile
import torch

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import audio
from s3_speechbrain.inference.audio import audio_blocks
from s3_speechbrain.inference.contents import describe


@pytest.fixture
def undecodable(tmp_path):
    """Return a wav file whose codec nobody has registered."""
    layout = struct.pack("<HHIIHH", 0x1234, 1, 16000, 32000, 2, 16)
    samples = bytes(3200)
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(samples)) + samples
    path = tmp_path / "unknown.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


@pytest.fixture
def opened(monkeypatch):
    """Return the list of FFmpeg's containers that a test opens."""
    found, real = [], av.open

    def remember(*arguments):
        found.append(real(*arguments))
        return found[-1]

    monkeypatch.setattr(audio.av, "open", remember)
    return found


def closed(container):
    with pytest.raises(AssertionError, match="not open"):
        container.seek(0)
    return True


def test_it_is_refused_in_one_line(undecodable, opened):
    with pytest.raises(UserError, match="no decoder for: convert it"):
        list(audio_blocks(undecodable))
    with pytest.raises(UserError, match="no decoder"):
        describe(undecodable)
    assert len(opened) == 2
    assert all(closed(container) for container in opened)


def test_a_refused_sampling_rate_closes_the_file(tmp_path, opened, monkeypatch):
    soundfile.write(tmp_path / "rate.wav", np.zeros(900, np.float32), 15999)
    monkeypatch.setattr(audio, "sound_header", lambda path: None)
    with pytest.raises(UserError, match="unusual sampling rate of 15999 Hz"):
        list(audio_blocks(tmp_path / "rate.wav"))
    assert closed(*opened)


def test_a_read_that_ends_early_closes_the_file(tmp_path, opened, monkeypatch):
    soundfile.write(tmp_path / "long.wav", np.zeros(48000, np.float32), 16000)
    monkeypatch.setattr(audio, "sound_header", lambda path: None)
    blocks = audio_blocks(tmp_path / "long.wav")
    assert isinstance(next(blocks), torch.Tensor)
    blocks.close()
    assert closed(*opened)
