import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.corpus import (
    BatchStream,
    Clips,
    collate,
    draw_batches,
    load_clips,
    split_held_out,
)


def clips_of(lengths):
    generator = np.random.default_rng(0)
    arrays = [generator.integers(-9000, 9000, length).astype(np.int16) for length in lengths]
    return Clips([str(i) for i in range(len(lengths))], arrays)


def write(path, seconds, rate=16000, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate)), rate)


def test_unusable_and_repeated_clips_are_left_out_and_counted(tmp_path):
    write(tmp_path / "good.wav", 2, rate=8000)
    write(tmp_path / "again.wav", 2, rate=8000)
    write(tmp_path / "short.wav", 0.1, seed=1)
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    (tmp_path / "broken.mp3").write_bytes(b"not audio")
    clips, counts = load_clips([str(tmp_path)])
    assert counts[tmp_path.name]["found"] == 5
    assert counts[tmp_path.name]["kept"] == 1
    assert len(clips.arrays[0]) == 32000  # two seconds, brought from 8 to 16 kHz
    with pytest.raises(UserError, match="no audio folder"):
        load_clips([str(tmp_path / "absent")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no audio"):
        load_clips([str(tmp_path / "empty")])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 3))
def test_a_pass_holds_every_clip_once_within_the_limit(lengths, number):
    clips = clips_of([16000 * length for length in lengths])
    batches = draw_batches(clips, 6.0, seed=1, number=number)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) * max(lengths[index] for index in batch) <= 6
    assert batches == draw_batches(clips, 6.0, seed=1, number=number)


def test_stretches_go_on_where_the_last_one_stopped():
    clips = clips_of([16000] * 7)
    due = iter([range(3), range(3, 6), range(6, 8)])
    stream = BatchStream(clips, 2.0, seed=1, due=lambda: next(due))
    seen = [wavs for _ in range(3) for wavs, *_ in stream]
    passes = [batch for number in range(2) for batch in draw_batches(clips, 2.0, 1, number)]
    expected = [collate(clips, batch)[0] for batch in passes[:8]]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_held_out_clips_do_not_depend_on_order():
    clips = clips_of([1000 + i for i in range(200)])
    train, valid = split_held_out(clips, 0.2)
    flipped = Clips(clips.names[::-1], clips.arrays[::-1])
    assert set(split_held_out(flipped, 0.2)[1].names) == set(valid.names)
    assert len(train.names) + len(valid.names) == 200
    assert 20 < len(valid.names) < 60
    with pytest.raises(UserError, match="hold some out"):
        split_held_out(clips_of([100]), 0.2)
