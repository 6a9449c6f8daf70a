"""Long audio in chunks gives what it gives uncut, frame by frame, wherever frames see no further than the overlap."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_corpus import WORDS
from toy_encoders import write_encoder
from toy_speech import REACH, sentence, spoken, toy_recogniser

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference.chunks import Chunking, Level, cut, long_path, samples_for, seam
from s3_speechbrain.inference.paths import BestPath, best_paths, join
from s3_speechbrain.tokens import ConvSelector, ScoredSelector


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    sizes = {"num_hidden_layers": 0, "conv_dim": [32] * 7, "hidden_size": 64}
    return str(write_encoder(tmp_path_factory.mktemp("no_attention"), **sizes))


@pytest.fixture(scope="module")
def toy(folder):
    return toy_recogniser(folder)


def in_chunks(model, wave, chunking, piece=5000):
    return long_path(model, wave.split(piece), Level.of(wave.split(piece)), chunking)


def assert_same_path(found, wanted):
    np.testing.assert_array_equal(found.places, wanted.places)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.log_probs, wanted.log_probs, atol=1e-3)


@pytest.mark.parametrize(("seconds", "overlap"), [(20, 4), (5, 1), (3, 1.5), (2, 0.52), (1, 0.5)])
@pytest.mark.parametrize("words", [40, 41])
def test_chunks_give_the_path_of_the_whole(toy, seconds, overlap, words):
    model, tokenizer = toy
    text = sentence(words, seed=words)
    wave = spoken(text)
    found = in_chunks(model, wave, Chunking(seconds, overlap))
    assert overlap * 50 / 4 >= REACH
    assert_same_path(found, best_paths(model, [wave])[0])
    assert tokenizer.decode(found.collapsed()) == text


@settings(max_examples=12, deadline=None)
@given(samples=st.integers(1, 90_000), size=st.integers(60, 200), share=st.floats(0.2, 0.5))
def test_no_frame_is_lost_or_doubled_at_any_length(toy, samples, size, share):
    chunking = Chunking(size / 50, share * size / 50)
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    found = in_chunks(toy[0], wave, chunking)
    np.testing.assert_array_equal(found.places, np.arange(int(toy[0].encoder.frame_count(samples))))


@pytest.mark.parametrize("shift", [0, 320, 640, 1280, 1600])
def test_no_word_is_doubled_or_lost_wherever_the_seam_falls(toy, shift):
    """An overlap of five frames to either side is less than the encoder sees, so that neighbours do differ."""
    model, tokenizer = toy
    text = sentence(30, seed=1)
    wave = torch.cat([spoken(text)[:1920].repeat(1)[:shift], spoken(text)])
    heard = tokenizer.decode(in_chunks(model, wave, Chunking(1.0, 0.2)).collapsed())
    assert heard.split()[1:] == text.split()[1:]
    assert set(heard.split()[1:]) <= set(WORDS)


def test_a_silent_chunk_stays_silent(folder):
    """The level of the whole recording counts: normalised by itself, faint noise would be as loud as speech."""
    model, _ = toy_recogniser(folder)
    text = sentence(6, seed=3)
    noise = 1e-4 * torch.randn(16000 * 8, generator=torch.Generator().manual_seed(0))
    wave = torch.cat([spoken(text), noise])
    whole = best_paths(model, [wave])[0]
    assert_same_path(in_chunks(model, wave, Chunking(2, 1)), whole)
    assert model.encoder.normalises


def test_an_encoder_that_does_not_normalise_gets_samples_as_they_are(folder):
    model, _ = toy_recogniser(folder, normalises=False)
    wave = 0.2 + spoken(sentence(20, seed=4))
    assert_same_path(in_chunks(model, wave, Chunking(2, 1)), best_paths(model, [wave])[0])
    assert not model.encoder.normalises


class Louder(torch.nn.Module):
    """Score frames by one channel of their features: local, like a detector."""

    def forward(self, features, frames, wavs=None):
        return features[:, :, 0] - features[:, :, 1]


def test_shortened_sequences_are_joined_by_place(folder):
    model, _ = toy_recogniser(folder)
    model.encoder.model.encoder.pos_conv_embed.forward = torch.zeros_like  # it would see kept frames only
    model.selector = ScoredSelector(Louder()).eval()
    wave = spoken(sentence(30, seed=5))
    whole = best_paths(model, [wave])[0]
    assert 0.1 < len(whole.places) / int(model.encoder.frame_count(len(wave))) < 0.9
    assert_same_path(in_chunks(model, wave, Chunking(2, 1)), whole)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_convolution_with_a_stride_keeps_its_grid(folder, factor):
    model, _ = toy_recogniser(folder)
    model.selector = ConvSelector(model.encoder.extractor_width, factor).eval()
    wave = spoken(sentence(30, seed=6))
    whole = best_paths(model, [wave])[0]
    assert whole.places[:3].tolist() == [0, factor, 2 * factor]
    assert_same_path(in_chunks(model, wave, Chunking(2, 1)), whole)


def test_memory_does_not_grow_with_the_recording(toy, monkeypatch):
    seen = []
    real = best_paths
    monkeypatch.setattr(
        "s3_speechbrain.inference.chunks.best_paths",
        lambda model, waves: (seen.append(len(waves[0])), real(model, waves))[1],
    )
    pieces = (torch.zeros(8000) for _ in range(60))
    level = Level(samples=480_000, mean=0.0, variance=1.0)
    found = long_path(toy[0], pieces, level, Chunking(2, 0.5))
    assert len(found.places) == int(toy[0].encoder.frame_count(480_000))
    assert max(seen) < 2.1 * 16000


def test_progress_adds_up_to_the_recording(toy):
    heard = []
    wave = spoken(sentence(40, seed=8))
    long_path(toy[0], [wave], Level.of([wave]), Chunking(2, 1), heard.append)
    assert len(heard) > 3
    assert sum(heard) == pytest.approx(len(wave) / 16000, abs=0.02 * len(heard))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), max_size=10), size=st.integers(2, 30), data=st.data())
def test_pieces_are_cut_with_the_same_overlap_everywhere(sizes, size, data):
    hop = data.draw(st.integers(1, size - 1))
    signal = torch.arange(float(sum(sizes)))
    chunks = list(cut(signal.split(sizes) if sizes else [], size, hop))
    starts = [int(chunk[0]) for chunk in chunks if len(chunk)]
    assert starts == [hop * number for number in range(len(starts))]
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert torch.equal(chunks[-1], signal[(len(chunks) - 1) * hop :])


@given(blocks=st.lists(st.lists(st.floats(-1, 1, width=32), max_size=20), min_size=1, max_size=5))
def test_the_level_in_blocks_is_that_of_the_whole(blocks):
    values = np.array([value for block in blocks for value in block], np.float64)
    level = Level.of(torch.tensor(block, dtype=torch.float32) for block in blocks)
    assert level.samples == len(values)
    if len(values):
        assert level.mean == pytest.approx(values.mean(), abs=1e-9)
        assert level.variance == pytest.approx(values.var(), abs=1e-9)


def path(places, labels):
    return BestPath(np.array(places), np.array(labels), np.zeros(len(places), np.float32))


def test_the_seam_is_where_neighbours_agree_and_hear_nothing():
    left = [0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 5, 0, 0, 0, 0, 7, 7, 7, 7, 7]
    right = [9, 9, 9, 9, 9, 3, 3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    # Frames 10 and 11 alone have five frames that agree on either side; frame 10 is spoken, and so is 11's left.
    assert seam(path(range(20), left), path(range(20), right), 6, 14) in (10, 11)
    same = path(range(20), [0] * 20)
    assert seam(same, same, 5, 15) == 10
    busy = path(range(20), [4] * 8 + [0] * 2 + [4] * 10)
    assert seam(busy, busy, 5, 15) == 9


def test_paths_are_cut_by_place():
    whole = path([0, 2, 5, 9], [1, 0, 2, 0])
    assert whole.between(2, 9).places.tolist() == [2, 5]
    assert whole.between(3).labels.tolist() == [2, 0]
    assert join([whole.between(0, 5), whole.between(5)]).places.tolist() == [0, 2, 5, 9]
    assert len(join([]).places) == 0
    assert whole.moved(10).places.tolist() == [10, 12, 15, 19]


def test_as_many_samples_as_needed(toy):
    encoder = toy[0].encoder
    for frames in (1, 2, 50, 999):
        needed = samples_for(encoder, frames)
        assert int(encoder.frame_count(needed)) == frames
        assert int(encoder.frame_count(needed - 1)) == frames - 1


@pytest.mark.parametrize(("seconds", "overlap"), [(10, 6), (10, 0.1), (0, 0), (-1, 1)])
def test_impossible_chunks_are_refused(seconds, overlap):
    with pytest.raises(UserError, match="give an overlap of at least"):
        Chunking(seconds, overlap)
