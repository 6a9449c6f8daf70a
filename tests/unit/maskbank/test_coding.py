"""Bits to bytes and back: exact, near the entropy, and never more than announced."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.maskbank.coding import CodingError, decode, encode
from s3_speechbrain.measure import entropy_bytes


def draw(entries, sparsity, seed=0):
    """Return packed bits with exactly the wanted fraction of zeros, and their number."""
    zeros = round(sparsity * entries)
    mask = np.ones(entries, bool)
    mask[np.random.default_rng(seed).permutation(entries)[:zeros]] = False
    return np.packbits(mask), zeros


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.integers(0, 99))
def test_every_mask_comes_back(entries, sparsity, seed):
    bits, zeros = draw(entries, sparsity, seed)
    coding, data = encode(bits, entries, zeros)
    assert np.array_equal(decode(coding, data, entries, zeros), bits)


@settings(deadline=None)
@given(st.lists(st.integers(1, 700), max_size=30), st.booleans())
def test_runs_of_any_length_come_back(runs, value):
    mask = np.concatenate([[True], *(np.full(run, value ^ (i % 2)) for i, run in enumerate(runs))]).astype(
        bool
    )
    zeros = int((~mask).sum())
    coding, data = encode(np.packbits(mask), mask.size, zeros)
    assert np.array_equal(decode(coding, data, mask.size, zeros), np.packbits(mask))


@pytest.mark.parametrize(
    "sparsity", [0.005, 0.02, 0.04, 0.08, 0.12, 0.2, 0.3, 0.38, 0.5, 0.62, 0.75, 0.9, 0.98]
)
def test_the_code_of_an_ffn_matrix_is_within_2_percent_of_its_entropy(sparsity):
    entries = 3072 * 768
    bits, zeros = draw(entries, sparsity)
    coding, data = encode(bits, entries, zeros)
    bound = entropy_bytes(entries - zeros, entries)
    assert bound <= len(data) <= 1.02 * bound
    assert (
        coding == ("bytes" if 0.2 <= sparsity <= 0.8 else "gaps") or 0.1 <= min(sparsity, 1 - sparsity) <= 0.2
    )


@pytest.mark.parametrize("sparsity", [0.0, 1.0])
def test_a_mask_that_says_nothing_costs_nothing(sparsity):
    bits, zeros = draw(1_000_000, sparsity)
    coding, data = encode(bits, 1_000_000, zeros)
    assert coding == "gaps"
    assert len(data) <= 2
    assert np.array_equal(decode(coding, data, 1_000_000, zeros), bits)


BOMB = bytes(20_000_000)  # from 20 kB


def deflated(symbols):
    return zlib.compress(bytes(symbols), wbits=-15)


@pytest.mark.parametrize(
    ("coding", "symbols", "reason"),
    [
        ("bytes", [0xFF, 0xF0], "has not the 2 zeros"),
        ("bytes", [0xF3, 0xF1], "has another size"),  # a set bit in the padding
        ("bytes", [0xF3], "has another size"),
        ("bytes", [0xF3, 0xF0, 0], "longer or shorter"),
        ("bytes", BOMB, "longer or shorter"),
        ("gaps", [1], "2 rare entries"),
        ("gaps", [1, 1, 1], "longer or shorter"),
        ("gaps", [255, 1], "2 rare entries"),
        ("gaps", [6, 6], "beyond its 12 entries"),
        ("gaps", BOMB, "longer or shorter"),
    ],
)
def test_data_of_another_mask_are_refused(coding, symbols, reason):
    with pytest.raises(CodingError, match=reason):
        decode(coding, deflated(symbols), 12, 2)


@pytest.mark.parametrize("coding", ["bytes", "gaps"])
@pytest.mark.parametrize("data", [b"", b"\x07", b"\xff" * 9, deflated([0xF3, 0xF0])[:-1]])
def test_no_deflate_stream_is_refused(coding, data):
    with pytest.raises(CodingError, match=r"cannot be decoded|longer or shorter"):
        decode(coding, data, 12, 2)


def test_bytes_behind_a_mask_are_refused():
    bits, zeros = draw(1000, 0.3)
    coding, data = encode(bits, 1000, zeros)
    with pytest.raises(CodingError, match="longer or shorter"):
        decode(coding, data + b"x", 1000, zeros)
