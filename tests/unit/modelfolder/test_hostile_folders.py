"""Folders that a stranger might send: each is refused with one line, without running or allocating anything."""

import hashlib
import json
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch
from model_folders import write_toy_model
from safetensors.torch import load_file, save_file

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import read_model
from s3_speechbrain.modelfolder.config import HUGGING_FACE

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CASES = {}


def case(match, name=None):
    """Register a way to spoil a folder, and what the refusal has to say."""

    def register(spoil):
        CASES[name or spoil.__name__] = (spoil, match)
        return spoil

    return register


def edit(folder, change):
    """Change the config as a table."""
    top = json.loads((folder / CONFIG).read_text())
    change(top, top["s3_speechbrain"])
    (folder / CONFIG).write_text(json.dumps(top))


def nest(top, own):
    """Bring the encoder's settings to where they stand if plain transformers cannot run the model."""
    for name in HUGGING_FACE:
        top.pop(name)
    own["encoder"] = {name: top.pop(name) for name in list(top) if name != "s3_speechbrain"}
    return own["encoder"]


def sign(folder):
    """Give the config the size and the checksum of the weights that lie there now."""
    data = (folder / WEIGHTS).read_bytes()

    def change(_top, own):
        own["weights"].update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    edit(folder, change)


def with_tensors(folder, change):
    """Change the tensors, and sign them: the attacker knows our checksums."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    sign(folder)


def with_header(folder, change):
    """Change the header of the weights as text, and sign them."""
    data = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    text = change(data[8 : 8 + length].decode())
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text.encode() + data[8 + length :])
    sign(folder)


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __reduce__(self):
        return os.system, ("touch exploded",)


# Code ---------------------------------------------------------------------------------------------------


@case("is not JSON")
def pickle_as_config(folder):
    (folder / CONFIG).write_bytes(pickle.dumps(Bomb(), protocol=0))


@case("header")
def pickle_as_weights(folder):
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb()) + bytes(64))
    sign(folder)


@case("header")
def torch_checkpoint_as_weights(folder):
    torch.save({"weight": torch.zeros(2)}, folder / WEIGHTS)
    sign(folder)


@case("no model.safetensors")
def pytorch_model_instead_of_safetensors(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


@case("is not JSON")
def yaml_that_runs_a_command(folder):
    (folder / CONFIG).write_text("!apply:os.system [touch exploded]")


@case("unknown setting 'auto_map'")
def config_that_names_code(folder):
    (folder / "evil.py").write_text("open('exploded', 'w')")
    edit(folder, lambda top, own: top.update(auto_map={"AutoModel": "evil.Model"}))


@case("unknown setting '_attn_implementation'")
def config_that_names_a_kernel_of_the_hub(folder):
    edit(folder, lambda top, own: top.update(_attn_implementation="stranger/kernel"))


@case("attention is none of")
def attention_from_the_hub(folder):
    edit(folder, lambda top, own: own.update(attention="stranger/kernel"))


@case("unknown setting 'quantization_config'")
def config_that_quantises(folder):
    edit(folder, lambda top, own: top.update(quantization_config={"quant_method": "stranger"}))


@case("hidden_act is out of range")
def activation_by_name_of_a_function(folder):
    edit(folder, lambda top, own: top.update(hidden_act="os.system"))


# Sizes --------------------------------------------------------------------------------------------------


@case("hidden_size is out of range")
def billions_of_neurons(folder):
    edit(folder, lambda top, own: top.update(hidden_size=2**31, intermediate_size=2**33))


@case("num_hidden_layers is out of range")
def millions_of_layers(folder):
    edit(folder, lambda top, own: top.update(num_hidden_layers=10**6))


@case("shape")
def network_a_thousand_times_the_weights(folder):
    sizes = {"hidden_size": 16384, "intermediate_size": 131072}

    def change(top, own):
        top.update(sizes)
        own["head"]["width"] = 16384

    edit(folder, change)


@case("conv_dim is out of range")
def a_thousand_convolutions(folder):
    def change(top, own):
        for name in ("conv_dim", "conv_kernel", "conv_stride"):
            top[name] = [8] * 1000

    edit(folder, change)


@case("no common number")
def convolutions_without_strides(folder):
    edit(folder, lambda top, own: top.update(conv_stride=top["conv_stride"][:3]))


@case("hidden_size is out of range")
def negative_width(folder):
    edit(folder, lambda top, own: top.update(hidden_size=-16))


@case("num_attention_heads is out of range")
def fractional_heads(folder):
    edit(folder, lambda top, own: top.update(num_attention_heads=2.5))


@case("no multiple of its 3 heads")
def heads_that_do_not_divide_the_width(folder):
    edit(folder, lambda top, own: top.update(num_attention_heads=3))


@case("bytes, more than")
def config_of_a_gigabyte(folder):
    with (folder / CONFIG).open("r+b") as file:
        file.truncate(1 << 30)


@case("nested too deeply|is not JSON")
def config_nested_a_hundred_thousand_deep(folder):
    (folder / CONFIG).write_text('{"s3_speechbrain": ' + "[" * 100_000 + "]" * 100_000 + "}")


@case("nested too deeply")
def config_nested_twelve_deep(folder):
    value = 1
    for _ in range(12):
        value = {"x": value}
    edit(folder, lambda top, own: top.update(more=value))


@case("claims a header of")
def weights_with_an_endless_header(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[:8] = struct.pack("<Q", 1 << 40)
    (folder / WEIGHTS).write_bytes(data)
    sign(folder)


@case("has no type or no shape|shape")
def tensor_with_an_impossible_shape(folder):
    with_header(folder, lambda text: text.replace('"shape":[6,16]', '"shape":[99999999999,99999999999]'))


@case("vocabulary is empty or too large")
def a_million_labels(folder):
    edit(folder, lambda top, own: own["tokenizer"].update(labels=["", *map(str, range(10**5))]))


@case("'sliced' does not fit")
def sliced_with_more_heads_than_there_are(folder):
    sliced = {"heads": [[0, 1, 2, 3, 4], [0]], "neurons": [32, 32]}
    edit(folder, lambda top, own: nest(top, own).update(sliced=sliced))


@case("sliced is out of range")
def sliced_with_a_billion_neurons(folder):
    sliced = {"heads": [[0], [0]], "neurons": [10**9, 10**9]}
    edit(folder, lambda top, own: nest(top, own).update(sliced=sliced))


# Weights ------------------------------------------------------------------------------------------------


@case("holds NaN or infinity")
def one_weight_is_nan(folder):
    with_tensors(folder, lambda tensors: tensors["lm_head.weight"].view(-1)[3].fill_(float("nan")))


@case("holds NaN or infinity")
def one_weight_is_infinite(folder):
    with_tensors(folder, lambda tensors: tensors["lm_head.bias"][0].fill_(float("inf")))


@case("'lm_head.bias' is missing")
def a_tensor_is_missing(folder):
    with_tensors(folder, lambda tensors: tensors.pop("lm_head.bias"))


@case("'zz_payload' is unknown")
def a_tensor_too_many(folder):
    with_tensors(folder, lambda tensors: tensors.update(zz_payload=torch.zeros(1000)))


@case("lm_head.weight has shape")
def a_tensor_of_another_shape(folder):
    with_tensors(folder, lambda tensors: tensors.update({"lm_head.weight": torch.zeros(16, 6)}))


@case("is of type F64")
def a_tensor_of_another_type(folder):
    with_tensors(folder, lambda tensors: tensors.update({"lm_head.bias": torch.zeros(6).double()}))


@case("is of type F32, its config says F16")
def weights_of_another_type_than_the_config_says(folder):
    def change(top, own):
        own["weights"]["dtype"] = top["dtype"] = "float16"

    edit(folder, change)


@case("checksum")
def one_bit_is_flipped(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)


@case("bytes, its config says")
def weights_are_cut_off(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


@case("invalid|offset|header")
def weights_are_cut_off_and_signed(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    sign(folder)


@case("git lfs pull")
def weights_are_a_pointer(folder):
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@case("has a field twice")
def a_tensor_twice_in_the_header(folder):
    def twice(text):
        start = text.index('"lm_head.bias"')
        row = text[start : text.index("}", start) + 1]
        return text.rstrip()[:-1] + "," + row + "}"

    with_header(folder, twice)


@case("offset|overlap|[Ii]nvalid")
def two_tensors_over_the_same_bytes(folder):
    def overlap(text):
        table = json.loads(text)
        names = [name for name in table if name.endswith("layer_norm.bias")][:2]
        table[names[1]]["data_offsets"] = table[names[0]]["data_offsets"]
        return json.dumps(table)

    with_header(folder, overlap)


@case("has no type or no shape")
def a_tensor_without_a_shape(folder):
    with_header(folder, lambda text: text.replace('"shape":[6]', '"shape":null'))


# Paths --------------------------------------------------------------------------------------------------


@case("link that leads out")
def weights_link_to_a_file_elsewhere(folder):
    secret = folder.parent / "secret.safetensors"
    shutil.move(folder / WEIGHTS, secret)
    (folder / WEIGHTS).symlink_to(secret)


@case("link that leads out")
def config_links_to_the_password_file(folder):
    (folder / CONFIG).unlink()
    (folder / CONFIG).symlink_to("/etc/passwd")


@case("link that leads out")
def weights_link_up_and_down_again(folder):
    (folder.parent / "blobs").mkdir()
    shutil.move(folder / WEIGHTS, folder.parent / "blobs" / "x")
    (folder / WEIGHTS).symlink_to(Path("..") / "blobs" / "x")


@case("is not a file")
def weights_are_a_folder(folder):
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


@case("is not a file")
def weights_are_a_pipe_that_never_ends(folder):
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


@case("weights lack a field or have an unknown one")
def weights_named_outside_of_the_folder(folder):
    edit(folder, lambda top, own: own["weights"].update(file="../../secret.safetensors"))


@case("not a language code")
def language_that_is_a_path(folder):
    edit(folder, lambda top, own: own.update(languages={"../../etc": "fr/1"}))


@case("header|bytes")
def an_archive_as_weights(folder):
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        archive.writestr("../../outside", "escaped")
    sign(folder)


# Config -------------------------------------------------------------------------------------------------


@case("has a field twice")
def a_field_twice(folder):
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"format": 1,', '"format": 1, "format": 1,'))


@case("its format is 2, this version of s3_speechbrain reads 1")
def a_format_of_the_future(folder):
    edit(folder, lambda top, own: own.update(format=2))


@case("its format is True")
def a_format_that_is_almost_a_number(folder):
    edit(folder, lambda top, own: own.update(format=True))


@case("holds NaN|holds -?Infinity")
def nan_in_the_config(folder):
    edit(folder, lambda top, own: own.update(sampling_rate=float("nan")))


@case("holds 1e999")
def a_number_beyond_all_numbers(folder):
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"layer_norm_eps": 1e-05', '"layer_norm_eps": 1e999'))


@case("lacks a field or has an unknown one")
def a_field_is_missing(folder):
    edit(folder, lambda top, own: own.pop("tokenizer"))


@case("lacks a field or has an unknown one")
def an_unknown_field(folder):
    edit(folder, lambda top, own: own.update(postprocessor="evil.py"))


@case("none of the families")
def a_family_that_is_unknown(folder):
    edit(folder, lambda top, own: top.update(model_type="gpt2"))


@case("describes two encoders")
def two_encoders(folder):
    edit(folder, lambda top, own: own.update(encoder={"model_type": "wav2vec2"}))


@case("fields for transformers are others")
def other_fields_for_transformers_than_for_us(folder):
    edit(folder, lambda top, own: top.update(vocab_size=7))


@case("not a model folder of this project")
def somebody_elses_config(folder):
    edit(folder, lambda top, own: top.pop("s3_speechbrain"))


@case("decode|utf-8")
def config_that_is_no_text(folder):
    (folder / CONFIG).write_bytes(b'{"s3_speechbrain": "\xff\xfe"}')


@case("label twice")
def two_labels_alike(folder):
    edit(folder, lambda top, own: own["tokenizer"].update(labels=["", " ", "a", "a", "c", "é"]))


@case("no base64")
def tokenizer_model_that_is_no_base64(folder):
    edit(folder, lambda top, own: own["tokenizer"].update(kind="sentencepiece", model="?!"))


@case("tokenizer cannot be made|labels are not those")
def tokenizer_model_that_is_no_sentencepiece(folder):
    edit(folder, lambda top, own: own["tokenizer"].update(kind="sentencepiece", model="AAAA"))


@case("mixes another number of layers")
def head_for_more_layers_than_there_are(folder):
    def change(top, own):
        own["head"]["layers"] = 9
        nest(top, own)

    edit(folder, change)


@case("wrong place")
def encoder_where_transformers_would_run_a_part_of_the_model(folder):
    edit(folder, lambda top, own: own["head"].update(layers=3))


@case("width of its head")
def head_of_another_width(folder):
    edit(folder, lambda top, own: own["head"].update(width=17))


@case("selector lacks a field")
def selector_without_settings(folder):
    edit(folder, lambda top, own: own.update(selector={"selector": "salad"}))


@case("sampling rate is not 16000")
def another_sampling_rate(folder):
    edit(folder, lambda top, own: own.update(sampling_rate=8000))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A sound folder, to be copied."""
    place = tmp_path_factory.mktemp("good")
    return write_toy_model(place / "model", place / "encoder")


def test_there_are_many_cases_and_the_folder_that_they_spoil_is_sound(good):
    assert len(CASES) >= 60
    assert read_model(good).languages == ("fr",)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_folder_is_refused_in_one_line(name, good, tmp_path, monkeypatch):
    spoil, match = CASES[name]
    folder = tmp_path / "inner" / "model"
    shutil.copytree(good, folder)
    spoil(folder)
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=match) as caught:
            read_model(folder)
        allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder} is refused: ")
    assert len(str(caught.value)) < 600
    assert allocated < 200e6
    assert not (tmp_path / "exploded").exists()
