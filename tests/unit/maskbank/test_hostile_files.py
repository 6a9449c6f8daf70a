"""Files that are damaged, or made to harm, are refused in one line, at once and in little memory.

A forger can compute checksums, so most files here carry a right one.
"""

import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import torch
from bank_entries import LABELS, read_parts, write_parts
from safetensors.numpy import save

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import read_entry, read_header

MOST_BYTES = 20_000_000  # of memory for refusing a file of some kilobytes
MOST_SECONDS = 1.0


def assert_refused(path, reason=None):
    """Check the message, the processor time and the memory of refusing a file."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        read_entry(path)
    assert time.process_time() - start < MOST_SECONDS
    tracemalloc.start()  # apart, as it makes reading some ten times as slow
    try:
        with pytest.raises(UserError):
            read_entry(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))
    if reason:
        assert reason in message


# Headers -------------------------------------------------------------------------------------------------------


def put(*keys, value):
    """Return a change of one field of the header."""

    def change(fields):
        place = fields
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def without(name):
    return lambda fields: fields.pop(name)


def twice(fields):
    fields["masks"].append(fields["masks"][0])


def add_zeros(count):
    def change(fields):
        fields["masks"][0][ZEROS] += count

    return change


NAME, SHAPE, ZEROS, CODING, SIZE = range(5)
HEADERS = {
    "a newer format": (put("format", value=2), "its format is 2"),
    "a format that is no number": (put("format", value="1"), "its format is '1'"),
    "a field is missing": (without("normaliser"), "lacks a field"),
    "a field too many": (put("command", value="rm"), "unknown one"),
    "a language that is a path": (put("language", value="../../etc/passwd"), "not a language code"),
    "a language that is a list": (put("language", value=["fr"]), "not a language code"),
    "a language with a line end": (put("language", value="fr\n"), "not a language code"),
    "a normaliser that is no text": (put("normaliser", value=1), "no identifier"),
    "no fingerprint": (put("backbone", "fingerprint", value="00"), "no fingerprint"),
    "a source that is no text": (put("backbone", "source", value=None), "no source"),
    "a revision that is no text": (put("backbone", "revision", value=[1]), "revision is no text"),
    "a backbone that is a text": (put("backbone", value="builtin"), "backbone lacks a field"),
    "masks that are a table": (put("masks", value={}), "no list"),
    "too many masks": (put("masks", value=[[]] * 5000), "no list or too long"),
    "an incomplete mask": (put("masks", 0, value=["a", [4, 4]]), "incomplete"),
    "a layer's name with a path": (put("masks", 0, NAME, value="../a"), "no dotted name"),
    "two masks for one layer": (twice, "two masks for one layer"),
    "a negative shape": (put("masks", 0, SHAPE, value=[-32, -16]), "has no shape"),
    "a shape of zeros": (put("masks", 0, SHAPE, value=[0, 16]), "has no shape"),
    "a shape of fractions": (put("masks", 0, SHAPE, value=[32.0, 16]), "has no shape"),
    "a shape of truths": (put("masks", 0, SHAPE, value=[True, True]), "has no shape"),
    "a mask of a terabyte": (put("masks", 0, SHAPE, value=[1 << 20, 1 << 20]), "too large"),
    "a mask of 2 GB": (put("masks", 0, SHAPE, value=[1 << 15, 1 << 15]), "entries, a file of"),
    "a shape beyond 64 bits": (put("masks", 0, SHAPE, value=[1 << 40, 1 << 40]), "has no shape"),
    "one zero too many": (add_zeros(1), "a mask has not the"),
    "one zero too few": (add_zeros(-1), "a mask has not the"),
    "more zeros than entries": (put("masks", 0, ZEROS, value=9999), "no possible number of zeros"),
    "a negative number of zeros": (put("masks", 0, ZEROS, value=-1), "no possible number of zeros"),
    "an unknown coding": (put("masks", 0, CODING, value="pickle"), "unknown coding"),
    "a mask larger than the file": (put("masks", 0, SIZE, value=1 << 50), "no possible size"),
    "a negative size": (put("masks", 0, SIZE, value=-5), "no possible size"),
    "sizes that do not add up": (put("masks", 0, SIZE, value=3), "another shape or type"),
    "an unknown tokenizer": (put("tokenizer", "kind", value="eval"), "its tokenizer is neither"),
    "pieces without a model": (put("tokenizer", "kind", value="sentencepiece"), "missing or superfluous"),
    "another vocabulary": (put("tokenizer", "labels", value=LABELS[:-1]), "another shape or type"),
    "a vocabulary without a blank": (put("tokenizer", "labels", value=[*"abcdefgh"]), "no labels"),
    "a label twice": (put("tokenizer", "labels", value=["", *"abcdeff"]), "label twice"),
    "labels that are numbers": (put("tokenizer", "labels", value=["", *range(7)]), "no labels"),
    "an endless vocabulary": (put("tokenizer", "labels", value=["a"] * 70_000), "too large"),
    "an endless label": (put("tokenizer", "labels", 1, value="a" * 300), "no labels"),
    "half a character": (put("tokenizer", "labels", 1, value="\ud800"), "no labels"),
    "a head of another width": (put("head", "width", value=17), "another shape or type"),
    "a head of a terabyte": (put("head", "hidden", value=[1 << 20] * 16), "missing or unknown"),
    "a head of no width": (put("head", "width", value=0), "out of range"),
    "endless hidden layers": (put("head", "hidden", value=[1] * 1000), "out of range"),
    "a head that mixes": (put("head", "layers", value=3), "missing or unknown"),
    "an unknown option of the head": (put("head", "cls", value="os.system"), "unknown one"),
    "metrics that are a list": (put("metrics", value=[1]), "no table"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_forged_headers(entry_file, case):
    change, reason = HEADERS[case]
    text, tensors = read_parts(entry_file)
    fields = json.loads(text)
    change(fields)
    write_parts(entry_file, fields, tensors)
    assert_refused(entry_file, reason)


TEXTS = {
    "no JSON": ("{", "not JSON"),
    "YAML with a tag": ("!!python/object/apply:os.system ['true']", "not JSON"),
    "no table": ("[1]", "not a table"),
    "nothing": ("", "not JSON"),
    "a JSON bomb, deep": ('{"a":' * 100_000 + "1" + "}" * 100_000, "not JSON"),
    "a JSON bomb, deep lists": ("[" * 400_000 + "]" * 400_000, "not JSON"),
    "a number of many digits": ('{"format": ' + "9" * 900_000 + "}", "not JSON"),
    "a wide table": ("{" + ",".join(f'"{i}":1' for i in range(50_000)) + "}", "its format is None"),
    "a field twice": ('{"format": 1, "format": 1}', "a field twice"),
    "NaN": ('{"format": NaN}', "holds NaN"),
    "infinity": ('{"format": -Infinity}', "holds -Infinity"),
    "infinity in digits": ('{"format": 1e999}', "holds 1e999"),
    "half a character": ('{"format": "\\ud800"}', "its format is"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_forged_json(entry_file, case):
    text, reason = TEXTS[case]
    write_parts(entry_file, text, read_parts(entry_file)[1])
    assert_refused(entry_file, reason)


def test_a_refused_text_is_not_printed_at_length(entry_file):
    text, tensors = read_parts(entry_file)
    write_parts(entry_file, json.dumps(json.loads(text) | {"format": "x" * 100_000}), tensors)
    assert_refused(entry_file)


# Tensors -------------------------------------------------------------------------------------------------------


def deflate(symbols):
    return np.frombuffer(zlib.compress(symbols, wbits=-15), np.uint8)


def poisoned(value):
    weight = np.zeros((8, 16), np.float32)
    weight[3, 5] = value
    return {"head.classifier.weight": weight}


def noise(tensors):
    size = tensors["masks"].size
    return {"masks": np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)}


TENSORS = {
    "NaN": (poisoned(np.nan), "NaN or infinity"),
    "infinity": (poisoned(np.inf), "NaN or infinity"),
    "a head in float64": ({"head.classifier.bias": np.zeros(8)}, "another shape or type"),
    "a head of another shape": ({"head.classifier.weight": np.zeros((16, 8), np.float32)}, "another shape"),
    "a tensor missing": ({"head.classifier.bias": None}, "missing or unknown"),
    "a tensor too many": ({"extra": np.zeros(1, np.uint8)}, "missing or unknown"),
    "no masks": ({"masks": None}, "missing or unknown"),
    "masks of another type": (lambda t: {"masks": t["masks"].view(np.int8)}, "another shape or type"),
    "masks cut short": (lambda t: {"masks": t["masks"][:-1]}, "another shape or type"),
    "masks of noise": (noise, "a mask"),
    "a piece model that is not announced": ({"tokenizer.model": np.zeros(9, np.uint8)}, "superfluous"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_forged_tensors(entry_file, case):
    change, reason = TENSORS[case]
    text, tensors = read_parts(entry_file)
    tensors |= change(tensors) if callable(change) else change
    write_parts(entry_file, text, {name: value for name, value in tensors.items() if value is not None})
    assert_refused(entry_file, reason)


@pytest.mark.parametrize("coding", ["bytes", "gaps"])
def test_a_compression_bomb(entry_file, coding):
    text, tensors = read_parts(entry_file)
    fields, bomb = json.loads(text), deflate(bytes(60_000_000))
    fields["masks"] = [
        ["a", [4096, 600], 10, coding, bomb.size]
    ]  # not more than a file of this size may claim
    write_parts(entry_file, fields, tensors | {"masks": bomb})
    assert_refused(entry_file, "longer or shorter")


# Bytes ---------------------------------------------------------------------------------------------------------


def test_every_truncation(entry_file):
    whole = entry_file.read_bytes()
    for size in [*range(0, 64), *range(64, len(whole), 61), *range(len(whole) - 40, len(whole))]:
        entry_file.write_bytes(whole[:size])
        with pytest.raises(UserError, match="is refused"):
            read_entry(entry_file)


def test_one_flipped_bit(entry_file):
    whole = entry_file.read_bytes()
    bits = np.random.default_rng(0).integers(0, 8, len(whole))
    for place in [*range(250), *range(250, len(whole), 11)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(bits[place])
        entry_file.write_bytes(damaged)
        with pytest.raises(UserError, match="is refused"):
            read_entry(entry_file)


def test_bytes_exchanged_at_random(entry_file):
    whole, draw = entry_file.read_bytes(), np.random.default_rng(1)
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        start, length = draw.integers(0, len(whole)), draw.integers(2, 64)
        piece = damaged[start : start + length]
        piece[:] = draw.integers(0, 256, piece.size)
        entry_file.write_bytes(damaged.tobytes())
        with pytest.raises(UserError, match="is refused"):
            read_entry(entry_file)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../../evil", "x")
    return buffer.getvalue()


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code was run",))


def checkpoint():
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1)}, buffer)
    return buffer.getvalue()


CONTENTS = {
    "empty": b"",
    "seven bytes": b"1234567",
    "text": b"fr: yes\n" * 100,
    "a pickle": pickle.dumps(Evil()),
    "a checkpoint of torch": checkpoint(),
    "a zip that climbs": zipped(),
    "a header of 2^63 bytes": struct.pack("<Q", 1 << 63) + bytes(1000),
    "a header longer than the file": struct.pack("<Q", 5000) + b"{}" + bytes(1000),
    "a header of 90 MB": struct.pack("<Q", 90_000_000) + bytes(1000),
    "a bloated header": struct.pack("<Q", 5_000_000) + b" " * 5_000_000,
    "no metadata": save({"masks": np.zeros(3, np.uint8)}),
    "other metadata": save({"masks": np.zeros(3, np.uint8)}, {"format": "pt"}),
    "a tensor beyond the file": b"\x50" + bytes(7)
    + b'{"masks":{"dtype":"U8","shape":[9999999999],"data_offsets":[0,9999999999]}}'.ljust(80),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTENTS)
def test_other_contents(tmp_path, case):
    path = tmp_path / "fr.safetensors"
    path.write_bytes(CONTENTS[case])
    assert_refused(path)


def test_a_file_beyond_the_limit(tmp_path):
    path = tmp_path / "fr.safetensors"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: takes no room
    assert_refused(path, "too few or too many")


def test_bytes_behind_the_file(entry_file):
    entry_file.write_bytes(entry_file.read_bytes() + b"x")
    assert_refused(entry_file)


def test_what_is_no_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        assert_refused(path, "it is not a file")
    assert_refused(tmp_path / "absent", "No such file")


def test_a_wrong_checksum(entry_file):
    text, tensors = read_parts(entry_file)
    write_parts(entry_file, text.replace("12.5", "11.5"), tensors, sign=False)
    assert_refused(entry_file, "its checksum is wrong")


def test_a_header_is_checked_when_read_alone(entry_file):
    text, tensors = read_parts(entry_file)
    write_parts(entry_file, text.replace('"fr"', '"../fr"'), tensors)
    with pytest.raises(UserError, match="not a language code"):
        read_header(entry_file)
