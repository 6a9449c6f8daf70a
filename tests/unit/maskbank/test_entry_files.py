"""Entries survive being written; what does not fit together is not written."""

import dataclasses
import os
import signal
import tracemalloc

import numpy as np
import pytest
import torch
from bank_entries import LABELS, make_entry, random_masks, read_parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_speechbrain.brains.model import CTCHead
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank import entry_bytes, read_entry, read_header, read_packed, write_entry
from s3_speechbrain.maskbank.entry import head_shapes
from s3_speechbrain.maskbank.writing import publish, serialise
from s3_speechbrain.measure import entropy_bytes

ONE_FOLDER = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_same(found, entry):
    assert list(found.masks) == list(entry.masks)
    for name, mask in entry.masks.items():
        assert found.masks[name].dtype == torch.bool
        assert torch.equal(found.masks[name], mask)
    assert found.head.keys() == entry.head.keys()
    assert all(torch.equal(found.head[name], value) for name, value in entry.head.items())
    for field in ("language", "backbone", "head_options", "tokenizer", "normaliser", "sparsity", "metrics"):
        assert getattr(found, field) == getattr(entry, field), field


def test_an_entry_comes_back_whole(entry, tmp_path):
    path = tmp_path / "fr.safetensors"
    assert write_entry(path, entry) == path.stat().st_size == entry_bytes(entry)
    assert_same(read_entry(path), entry)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_equal_entries_give_equal_bytes(entry, encoder, tmp_path):
    for name in ("a", "b"):
        write_entry(tmp_path / name, make_entry(encoder))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@ONE_FOLDER
@given(
    st.lists(
        st.one_of(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 9)] * 3)), max_size=5
    ),
    st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.97, 1.0]),
    st.integers(0, 9),
)
def test_masks_of_any_shape_and_density_come_back(entry, tmp_path, shapes, sparsity, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = {f"layer.{i}": torch.rand(s, generator=generator) >= sparsity for i, s in enumerate(shapes)}
    written = dataclasses.replace(entry, masks=masks)
    write_entry(tmp_path / "x", written)
    assert_same(read_entry(tmp_path / "x"), written)


@ONE_FOLDER
@given(st.lists(st.text(min_size=1, max_size=3), min_size=7, max_size=7, unique=True), st.text(max_size=50))
def test_labels_of_any_script_come_back(entry, tmp_path, labels, note):
    if any("\ud800" <= character <= "\udfff" for character in "".join([*labels, note])):
        return  # half a surrogate pair is no text
    tokenizer = {"kind": "characters", "labels": ["", *labels], "model": None}
    written = dataclasses.replace(entry, tokenizer=tokenizer, metrics={"note": note})
    write_entry(tmp_path / "x", written)
    assert_same(read_entry(tmp_path / "x"), written)


def test_a_piece_model_and_a_deep_head_come_back(encoder, tmp_path):
    head = CTCHead(16, 8, hidden=[12, 10], layers=3)
    pieces = {"kind": "sentencepiece", "labels": LABELS, "model": bytes(range(256))}
    options = {"width": 16, "hidden": [12, 10], "layers": 3}
    entry = make_entry(encoder, head=head.state_dict(), head_options=options, tokenizer=pieces)
    write_entry(tmp_path / "x", entry)
    assert_same(read_entry(tmp_path / "x"), entry)


@pytest.mark.parametrize("options", [{}, {"hidden": [7]}, {"hidden": [7, 9], "layers": 4}])
def test_the_shapes_of_a_head_are_known_without_building_it(options):
    built = CTCHead(5, 6, **options).state_dict()
    wanted = head_shapes({"width": 5, "hidden": [], "layers": None, **options}, 6)
    assert {name: tuple(value.shape) for name, value in built.items()} == wanted


def test_a_head_in_half_precision_takes_half_the_bytes_and_comes_in_float32(entry, tmp_path):
    whole, half = write_entry(tmp_path / "a", entry), write_entry(tmp_path / "b", entry, torch.float16)
    assert whole - half == pytest.approx(2 * sum(value.numel() for value in entry.head.values()), abs=8)
    for name, value in read_entry(tmp_path / "b").head.items():
        assert torch.equal(value, entry.head[name].half().float())


@pytest.mark.parametrize("sparsity", [0.02, 0.08, 0.2, 0.5, 0.9])
def test_a_file_is_at_most_3_percent_and_4_kb_above_its_entropy(encoder, tmp_path, sparsity):
    shapes = {f"model.encoder.layers.{i}.feed_forward.output_dense": (768, 1024) for i in range(2)}
    generator = torch.Generator().manual_seed(0)
    masks = {name: torch.rand(shape, generator=generator) >= sparsity for name, shape in shapes.items()}
    entry = make_entry(encoder, masks=masks)
    head = sum(value.nbytes for value in entry.head.values())
    bound = sum(entropy_bytes(int(mask.sum()), mask.numel()) for mask in masks.values())
    assert bound < write_entry(tmp_path / "x", entry) <= 1.03 * (bound + head) + 4096


def test_the_header_can_be_read_alone(entry_file, entry):
    header = read_header(entry_file)
    assert (header.language, header.backbone, list(header.labels)) == ("fr", entry.backbone, LABELS)
    found = {layer.name: (layer.shape, layer.zeros) for layer in header.layers}
    assert found == {name: (tuple(m.shape), int((~m).sum())) for name, m in entry.masks.items()}


def test_the_file_is_plain_safetensors(entry_file):
    _, tensors = read_parts(entry_file)
    assert set(tensors) == {"masks", "sha256", "head.classifier.weight", "head.classifier.bias"}
    assert tensors["masks"].dtype == np.uint8


def test_a_killed_writer_leaves_the_old_file(entry, entry_file, encoder):
    other = make_entry(encoder, seed=1)
    data = serialise(other)
    child = os.fork()
    if child == 0:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        publish(entry_file, data)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert_same(read_entry(entry_file), entry)
    write_entry(entry_file, other)
    assert_same(read_entry(entry_file), other)


def test_a_folder_that_is_missing_is_a_user_error(entry, tmp_path):
    with pytest.raises(UserError, match="give a folder that can be written to"):
        write_entry(tmp_path / "no" / "x", entry)


def broken(value):
    return {"classifier.weight": torch.full((8, 16), value), "classifier.bias": torch.zeros(8)}


UNSOUND = {
    "float masks": ({"masks": {"a": torch.ones(3, 3)}}, "give bool masks"),
    "a mask without axes": ({"masks": {"a": torch.ones(3, dtype=torch.bool)}}, "has no shape"),
    "an unsafe layer name": ({"masks": {"a/b": torch.ones(3, 3, dtype=torch.bool)}}, "no dotted name"),
    "an unsafe language": ({"language": "../fr"}, "not a language code"),
    "NaN": ({"head": broken(torch.nan)}, "holds NaN or infinity"),
    "infinity": ({"head": broken(torch.inf)}, "holds NaN or infinity"),
    "a head of another width": ({"head_options": {"width": 17}}, "do not fit head_options"),
    "an unknown option": ({"head_options": {"width": 16, "depth": 3}}, "head lacks an option"),
    "too few labels": (
        {"tokenizer": {"kind": "characters", "labels": ["", "a"], "model": None}},
        "do not fit",
    ),
    "no blank": ({"tokenizer": {"kind": "characters", "labels": [*"abcdefgh"], "model": None}}, "no labels"),
    "a label twice": (
        {"tokenizer": {"kind": "characters", "labels": ["", *"abcdeff"], "model": None}},
        "twice",
    ),
    "pieces without a model": (
        {"tokenizer": {"kind": "sentencepiece", "labels": LABELS, "model": None}},
        "needs",
    ),
    "metrics that are not JSON": ({"metrics": {"a": torch.ones(1)}}, "must be plain JSON"),
    "half a character": (
        {"tokenizer": {"kind": "characters", "labels": ["", *"abcdef", "\ud800"], "model": None}},
        "must be plain JSON",
    ),
    "metrics that are not numbers": ({"metrics": {"CER": float("nan")}}, "must be plain JSON"),
    "endless metrics": ({"metrics": {"a": "x" * (1 << 23)}}, "it is too large"),
    "no normaliser": ({"normaliser": ""}, "no identifier"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_entries_are_not_written(encoder, tmp_path, case):
    changes, reason = UNSOUND[case]
    with pytest.raises(UserError, match=reason):
        write_entry(tmp_path / "x", make_entry(encoder, **changes))
    assert not list(tmp_path.iterdir())


def test_a_head_too_large_for_half_precision_is_not_written(encoder, tmp_path):
    with pytest.raises(UserError, match="holds NaN or infinity"):
        write_entry(tmp_path / "x", make_entry(encoder, head=broken(1e6)), torch.float16)


def test_masks_of_a_mask_run_are_those_read_back(encoder, tmp_path):
    masks = random_masks(encoder, 0.3, 4, ("ffn", "attention"))
    write_entry(tmp_path / "x", make_entry(encoder, masks=masks))
    assert_same(read_entry(tmp_path / "x"), make_entry(encoder, masks=masks))


@pytest.mark.parametrize("sparsity", [0.04, 0.4])  # one for each coding
def test_an_idle_language_holds_a_bit_per_weight_and_reading_takes_little_more(encoder, tmp_path, sparsity):
    masks = {f"layer.{i}": torch.rand(512, 4096) >= sparsity for i in range(4)}
    write_entry(tmp_path / "x", make_entry(encoder, masks=masks))
    packed = 4 * 512 * 4096 // 8
    tracemalloc.start()
    held = read_packed(tmp_path / "x")
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(mask.nbytes for mask in held.masks.values()) == packed
    assert packed <= kept < 1.05 * packed + 20_000
    # A thread unpacks one matrix at a time: a byte per entry, and the positions of the rare ones.
    assert peak < 3 * packed + torch.get_num_threads() * 2 * 512 * 4096
