"""From audio files to batches: resampling, bad clips, padding, dynamic sizes, the endless stream."""

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.brains.batches import SILENCE, Clips, make_dataset, read_audio
from s3_speechbrain.brains.sampling import BatchStream, by_duration
from s3_speechbrain.brains.tokens import Characters

durations = st.lists(st.floats(0.3, 20), min_size=1, max_size=40)


def tone(path, seconds, rate=16000, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate)
    return str(path)


@pytest.fixture
def clips(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF but no audio")
    rows = {
        "a": {"duration": 1.0, "wav": tone(tmp_path / "a.wav", 1.0), "text": "ab"},
        "b": {"duration": 0.5, "wav": tone(tmp_path / "b.wav", 0.5), "text": "b"},
        "broken": {"duration": 1.0, "wav": str(tmp_path / "broken.wav"), "text": "a"},
        "gone": {"duration": 1.0, "wav": str(tmp_path / "gone.wav"), "text": "a"},
    }
    return Clips(make_dataset(rows, Characters.load_or_create(tmp_path / "characters.txt", ["ab"])))


def test_audio_of_another_rate_and_two_channels_becomes_mono_at_16_khz(tmp_path):
    wave = read_audio(tone(tmp_path / "x.wav", 0.5, rate=8000, channels=2))
    assert wave.shape == (8000,)
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(8000) / 16000)
    assert torch.allclose(wave[200:-200], expected[200:-200], atol=0.01)


@pytest.mark.parametrize("samples", [np.zeros(0), np.array([0.0, np.nan])])
def test_audio_without_usable_samples_is_refused(tmp_path, samples):
    soundfile.write(tmp_path / "x.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"no samples|not finite"):
        read_audio(tmp_path / "x.wav")


def test_a_batch_is_padded_and_lists_the_clips_it_leaves_out(clips):
    batch = clips.collate([clips[index] for index in range(4)])
    assert batch.ids == ["a", "b"]
    assert batch.inputs.shape == (2, 16000)
    assert batch.lengths.tolist() == [1.0, 0.5]
    assert batch.targets.tolist() == [[1, 2], [2, 0]]
    assert batch.target_lengths.tolist() == [2, 1]
    assert [clip for clip, _ in batch.skipped] == ["broken", "gone"]
    assert all(name in reason for name, reason in batch.skipped)


def test_a_batch_of_bad_clips_alone_holds_silence_without_a_target(clips):
    batch = clips.collate([clips[2], clips[3]])
    assert batch.ids == [SILENCE]
    assert batch.target_lengths.tolist() == [0]
    assert len(batch.skipped) == 2


def test_cached_clips_do_not_read_audio(clips):
    clips.cache, clips.stage = {"gone": torch.ones(7, 3), "b": torch.ones(4, 3)}, "features"
    batch = clips.collate([clips[3], clips[1]])
    assert batch.inputs.shape == (2, 7, 3)
    assert batch.lengths.tolist() == [7, 4]
    assert batch.stage == "features"


def test_dropped_clips_are_gone(clips):
    clips.drop(["broken", "a"])
    assert clips.ids == ["b", "gone"]
    assert len(clips) == len(clips.durations) == 2


@given(durations, st.floats(1, 40))
def test_batches_by_duration_hold_every_clip_once_within_the_limit(seconds, limit):
    batches = by_duration(seconds, limit)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(seconds[index] for index in batch) <= limit


def read(stream, first, count):
    stream.window(first, count)
    return list(stream)


@given(durations, st.integers(0, 9), st.integers(1, 12))
def test_the_stream_is_a_function_of_seed_and_position(seconds, first, count):
    whole = read(BatchStream(seconds, 20.0, seed=3), 0, first + count)
    assert read(BatchStream(seconds, 20.0, seed=3), first, count) == whole[first:]
    again = BatchStream(seconds, 20.0, seed=3)
    read(again, 0, first + count)
    assert read(again, first, count) == whole[first:]  # backwards too


@given(durations)
def test_each_pass_of_the_stream_holds_every_clip_once(seconds):
    stream = BatchStream(seconds, 20.0, seed=1)
    size, seen = 0, []
    while len(seen) < len(seconds):
        seen += read(stream, size, 1)[0]
        size += 1
    assert sorted(seen) == list(range(len(seconds)))


def test_processes_share_the_batches_between_them():
    seconds = [1.0 + index % 5 for index in range(30)]
    alone = read(BatchStream(seconds, 10.0, seed=1), 0, 8)
    first = read(BatchStream(seconds, 10.0, seed=1, rank=0, world=2), 0, 4)
    second = read(BatchStream(seconds, 10.0, seed=1, rank=1, world=2), 0, 4)
    assert [batch for pair in zip(first, second, strict=True) for batch in pair] == alone


def test_most_batches_of_ten_minutes_are_nearly_full():
    generator = np.random.default_rng(0)
    seconds = generator.gamma(2.0, 1.8, 170) + 0.5
    stream = BatchStream(list(seconds), 60.0, seed=1)
    sizes = [sum(seconds[index] for index in batch) for batch in read(stream, 0, 40)]
    assert np.mean(sizes) > 45
