"""Any sound file becomes mono at 16 kHz, piece by piece, as training would read it; others are refused in one line."""

import fractions

import av
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.brains.batches import read_audio
from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import audio
from s3_speechbrain.inference.audio import audio_blocks, resample


def tone(seconds, rate, channels=1):
    times = np.arange(round(seconds * rate)) / rate
    waves = [0.3 * np.sin(2 * np.pi * (300 + 100 * channel) * times) for channel in range(channels)]
    return np.stack(waves, 1).astype(np.float32)


def write_with_ffmpeg(path, samples, rate, codec, sample_format="fltp"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", format=sample_format)
        size = stream.codec_context.frame_size or 1024
        for start in range(0, len(samples), size):
            part = np.ascontiguousarray(samples[start : start + size].T)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3"])
def test_blocks_are_what_training_reads(tmp_path, rate, kind, monkeypatch):
    if (kind, rate) == ("mp3", 96000):
        pytest.skip("mp3 ends at 48 kHz")
    path = tmp_path / f"clip.{kind}"
    soundfile.write(path, tone(0.7, rate, channels=2), rate)
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 0.05)  # many blocks
    blocks = list(audio_blocks(path))
    assert len(blocks) > 3
    torch.testing.assert_close(torch.cat(blocks), read_audio(path), atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    rate=st.sampled_from([8000, 11025, 24000, 44100, 48000]),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_resampling_in_blocks_is_resampling_at_once(rate, sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(size, generator=generator) for size in sizes]
    whole = torch.cat(parts)
    found = torch.cat([torch.zeros(0), *resample(parts, rate)])
    wanted = torchaudio.transforms.Resample(rate, 16000)(whole) if len(whole) else whole
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "codec"), [("clip.m4a", "aac"), ("clip.mka", "aac"), ("clip.mp4", "aac")])
def test_what_libsndfile_does_not_know_is_read_by_ffmpeg(tmp_path, name, codec):
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(write_with_ffmpeg(tmp_path / name, tone(1.0, 44100), 44100, codec))
    wave = torch.cat(list(audio_blocks(tmp_path / name)))
    assert abs(len(wave) / 16000 - 1.0) < 0.1  # the codec pads
    middle = wave[4000:12000].numpy()
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(np.argmax(spectrum) * 16000 / len(middle) - 300) < 4
    assert 0.25 < np.median(np.abs(middle)) / np.median(np.abs(np.sin(np.arange(9999)))) < 0.35


def bad_files(folder):
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no sound")
    (folder / "text.raw").write_text("this is no sound")
    (folder / "folder.wav").mkdir()
    soundfile.write(folder / "silent.wav", np.zeros((0, 1), np.float32), 16000)
    soundfile.write(folder / "nan.wav", np.full(900, np.nan, np.float32), 16000, subtype="FLOAT")
    soundfile.write(folder / "rate.wav", np.zeros(900, np.float32), 15999)
    soundfile.write(folder / "slow.wav", np.zeros(900, np.float32), 10)
    whole = folder / "whole.flac"
    soundfile.write(whole, np.random.default_rng(0).normal(0, 0.1, 40000).astype(np.float32), 16000)
    (folder / "cut.flac").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.wav", "no file .*: check the name"),
        ("empty.wav", r"is empty \(0 bytes\)"),
        ("text.wav", "is no sound file"),
        ("text.raw", "is no sound file|holds no sound"),
        ("folder.wav", "is a folder"),
        ("silent.wav", "holds no samples"),
        ("nan.wav", "not finite"),
        ("rate.wav", "unusual sampling rate of 15999 Hz"),
        ("slow.wav", "unusual sampling rate of 10 Hz"),
        ("cut.flac", "is damaged"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, name, reason):
    bad_files(tmp_path)
    with pytest.raises(UserError, match=reason) as caught:
        list(audio_blocks(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_film_without_sound_is_refused(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no sound"):
        list(audio_blocks(path))
