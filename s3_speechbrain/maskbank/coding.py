"""Packed bits to entropy-coded bytes and back.

A mask found by ranking scores looks like coin tosses: there is nothing to find but how rare its zeros are.
zlib's coder without its search for repetitions (``Z_HUFFMAN_ONLY``) turns the right symbols into about their
entropy and decodes them fast. Which symbols are right depends on the density of the rarer value:

``bytes``
    the packed bits themselves, eight entries a symbol; right for dense masks;
``gaps``
    how many entries lie between one rare entry and the next. Such distances are geometrically distributed, and
    a prefix code fits them to about a percent however rare the entries are. 255 says "255 entries without a rare
    one, go on", so that a symbol is a byte.

Both are tried; the shorter one is kept.
"""

import zlib
from collections.abc import Sequence

import numpy as np

CODINGS = ("bytes", "gaps")
ESCAPE = 255
RAW, MEMORY = -15, 9  # no zlib header and checksum: the file has its own; largest blocks: fewest code tables


class CodingError(ValueError):
    """Coded bytes that are not what the header says."""


def encode(bits: np.ndarray, entries: int, zeros: int, codings: Sequence[str] = CODINGS) -> tuple[str, bytes]:
    """Code a packed mask.

    Parameters
    ----------
    bits : ndarray
        As in `PackedMask`.
    entries, zeros : int
        Size of the mask, and how many of its bits are 0.
    codings : sequence of str
        Those to try; default all.

    Returns
    -------
    coding : str
        One of `codings`.
    data : bytes
        The shortest of their codes.
    """
    candidates = {}
    if "gaps" in codings:
        rare = np.unpackbits(bits, count=entries)
        if not _kept_is_rare(entries, zeros):
            rare ^= 1
        candidates["gaps"] = _deflate(_to_gaps(rare))
    if "bytes" in codings:
        candidates["bytes"] = _deflate(bits)
    coding = min(candidates, key=lambda name: len(candidates[name]))
    return coding, candidates[coding]


def decode(coding: str, data: bytes | memoryview, entries: int, zeros: int) -> np.ndarray:
    """Return the packed bits that `encode` coded.

    Memory is bounded by `entries` whatever the data say.

    Raises
    ------
    CodingError
        If the data are not the code of a mask of this size with this number of zeros.
    """
    if coding == "bytes":
        size = -(-entries // 8)
        bits = _inflate(data, size)
        padding = 8 * size - entries
        if bits.size != size or (padding and bits[-1] & ((1 << padding) - 1)):
            raise CodingError(f"a mask of {entries} entries has another size")
        if entries - int(np.bitwise_count(bits).sum()) != zeros:
            raise CodingError(f"a mask has not the {zeros} zeros that it should have")
        return bits
    kept_is_rare = _kept_is_rare(entries, zeros)
    count = entries - zeros if kept_is_rare else zeros
    positions = _positions(_inflate(data, count + entries // ESCAPE), entries, count)
    mask = np.zeros(entries, np.uint8) if kept_is_rare else np.ones(entries, np.uint8)
    mask[positions] = kept_is_rare
    return np.packbits(mask)


def _kept_is_rare(entries: int, zeros: int) -> bool:
    return 2 * zeros > entries


def _to_gaps(rare: np.ndarray) -> np.ndarray:
    gaps = np.diff(np.flatnonzero(rare), prepend=-1) - 1
    escapes, rests = np.divmod(gaps, ESCAPE)
    symbols = np.full(gaps.size + int(escapes.sum()), ESCAPE, np.uint8)
    symbols[np.cumsum(escapes) + np.arange(gaps.size)] = rests
    return symbols


def _positions(symbols: np.ndarray, entries: int, count: int) -> np.ndarray:
    ends = symbols != ESCAPE
    if np.count_nonzero(ends) != count or (symbols.size and not ends[-1]):
        raise CodingError(f"a mask has not the {count} rare entries that it should have")
    # Summed in 64 bits first: what passes fits the 32 bits that are twice as fast.
    if int(symbols.sum(dtype=np.int64)) + count > entries:
        raise CodingError(f"a mask reaches beyond its {entries} entries")
    positions = np.cumsum(symbols, dtype=np.int32)[ends]
    positions += np.arange(count, dtype=np.int32)
    return positions


def _deflate(symbols: np.ndarray) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, RAW, MEMORY, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(symbols.tobytes()) + coder.flush()


def _inflate(data: bytes | memoryview, limit: int) -> np.ndarray:
    coder = zlib.decompressobj(RAW)
    try:
        symbols = coder.decompress(data, limit + 1)  # 0 would mean no limit
    except zlib.error as error:
        raise CodingError(f"a mask cannot be decoded ({error})") from None
    if len(symbols) > limit or not coder.eof or coder.unused_data:
        raise CodingError("a mask is longer or shorter than it should be")
    return np.frombuffer(symbols, np.uint8)
