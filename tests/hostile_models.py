"""Ways to spoil a model folder, each with what its refusal has to say: `CASES`, by name."""

import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import hostile_weights  # noqa: F401  adds its cases
import torch
from safetensors.torch import load_file
from spoiling import CASES, CONFIG, WEIGHTS, case, edit, nest, sign, with_header, with_tensors

from s3_speechbrain.modelfolder import read_config
from s3_speechbrain.modelfolder.building import expected_tensors


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __reduce__(self):
        return os.system, ("touch exploded",)


# Changes of the config.
EDITS = {
    "config_that_names_a_kernel_of_the_hub": (
        "unknown setting '_attn_implementation'",
        lambda top, own: top.update(_attn_implementation="stranger/kernel"),
    ),
    "attention_from_the_hub": (
        "attention is none of",
        lambda top, own: own.update(attention="stranger/kernel"),
    ),
    "config_that_quantises": (
        "unknown setting 'quantization_config'",
        lambda top, own: top.update(quantization_config={"quant_method": "stranger"}),
    ),
    "activation_by_name_of_a_function": (
        "hidden_act is out of range",
        lambda top, own: top.update(hidden_act="os.system"),
    ),
    "billions_of_neurons": (
        "hidden_size is out of range",
        lambda top, own: top.update(hidden_size=2**31, intermediate_size=2**33),
    ),
    "millions_of_layers": (
        "num_hidden_layers is out of range",
        lambda top, own: top.update(num_hidden_layers=10**6),
    ),
    "convolutions_without_strides": (
        "no common number",
        lambda top, own: top.update(conv_stride=top["conv_stride"][:3]),
    ),
    "negative_width": ("hidden_size is out of range", lambda top, own: top.update(hidden_size=-16)),
    "fractional_heads": (
        "num_attention_heads is out of range",
        lambda top, own: top.update(num_attention_heads=2.5),
    ),
    "heads_that_do_not_divide_the_width": (
        "no multiple of its 3 heads",
        lambda top, own: top.update(num_attention_heads=3),
    ),
    "a_hundred_thousand_labels": (
        "vocabulary is empty or too large",
        lambda top, own: own["tokenizer"].update(labels=["", *map(str, range(10**5))]),
    ),
    "weights_named_outside_of_the_folder": (
        "weights lack a field or have an unknown one",
        lambda top, own: own["weights"].update(file="../../secret.safetensors"),
    ),
    "language_that_is_a_path": (
        "not a language code",
        lambda top, own: own.update(languages={"../../etc": "fr/1"}),
    ),
    "a_format_of_the_future": (
        "its format is 2, this version of s3_speechbrain reads 1",
        lambda top, own: own.update(format=2),
    ),
    "a_format_that_is_almost_a_number": ("its format is True", lambda top, own: own.update(format=True)),
    "nan_in_the_config": (
        "holds NaN|holds -?Infinity",
        lambda top, own: own.update(sampling_rate=float("nan")),
    ),
    "a_field_is_missing": ("lacks a field or has an unknown one", lambda top, own: own.pop("tokenizer")),
    "an_unknown_field": (
        "lacks a field or has an unknown one",
        lambda top, own: own.update(postprocessor="evil.py"),
    ),
    "a_family_that_is_unknown": ("none of the families", lambda top, own: top.update(model_type="gpt2")),
    "two_encoders": (
        "describes two encoders",
        lambda top, own: own.update(encoder={"model_type": "wav2vec2"}),
    ),
    "other_fields_for_transformers_than_for_us": (
        "fields for transformers are others",
        lambda top, own: top.update(vocab_size=7),
    ),
    "somebody_elses_config": (
        "not a model folder of this project",
        lambda top, own: top.pop("s3_speechbrain"),
    ),
    "two_labels_alike": (
        "label twice",
        lambda top, own: own["tokenizer"].update(labels=["", " ", "a", "a", "c", "é"]),
    ),
    "tokenizer_model_that_is_no_base64": (
        "no base64",
        lambda top, own: own["tokenizer"].update(kind="sentencepiece", model="?!"),
    ),
    "tokenizer_model_that_is_no_sentencepiece": (
        "tokenizer cannot be made|labels are not those",
        lambda top, own: own["tokenizer"].update(kind="sentencepiece", model="AAAA"),
    ),
    "encoder_where_transformers_would_run_a_part_of_the_model": (
        "wrong place",
        lambda top, own: own["head"].update(layers=3),
    ),
    "head_of_another_width": ("width of its head", lambda top, own: own["head"].update(width=17)),
    "selector_without_settings": (
        "selector lacks a field",
        lambda top, own: own.update(selector={"selector": "salad"}),
    ),
    "another_sampling_rate": ("sampling rate is not 16000", lambda top, own: own.update(sampling_rate=8000)),
}

# Changes of the tensors, with a checksum that fits.
TENSORS = {
    "one_weight_is_nan": (
        "holds NaN or infinity",
        lambda tensors: tensors["lm_head.weight"].view(-1)[3].fill_(float("nan")),
    ),
    "one_weight_is_infinite": (
        "holds NaN or infinity",
        lambda tensors: tensors["lm_head.bias"][0].fill_(float("inf")),
    ),
    "a_tensor_is_missing": ("'lm_head.bias' is missing", lambda tensors: tensors.pop("lm_head.bias")),
    "a_tensor_too_many": (
        "'zz_payload' is unknown",
        lambda tensors: tensors.update(zz_payload=torch.zeros(1000)),
    ),
    "a_tensor_of_another_shape": (
        "lm_head.weight has shape",
        lambda tensors: tensors.update({"lm_head.weight": torch.zeros(16, 6)}),
    ),
    "a_tensor_of_another_type": (
        "is of type F64",
        lambda tensors: tensors.update({"lm_head.bias": torch.zeros(6).double()}),
    ),
}

# Changes of the header of the weights.
HEADERS = {
    "tensor_with_an_impossible_shape": (
        "has no type or no shape|shape",
        lambda text: text.replace('"shape":[6,16]', '"shape":[99999999999,99999999999]'),
    ),
    "a_tensor_without_a_shape": (
        "has no type or no shape",
        lambda text: text.replace('"shape":[6]', '"shape":null'),
    ),
}

for _change, _table in ((edit, EDITS), (with_tensors, TENSORS), (with_header, HEADERS)):
    for _name, (_match, _how) in _table.items():
        CASES[_name] = (lambda folder, change=_change, how=_how: change(folder, how), _match)


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


# Sizes --------------------------------------------------------------------------------------------------


@case("shape")
def network_a_thousand_times_the_weights(folder):
    sizes = {"hidden_size": 16384, "intermediate_size": 131072}

    def change(top, own):
        top.update(sizes)
        own["head"]["width"] = 16384

    edit(folder, change)


@case("other offsets than its shape")
def a_header_of_gigabytes_without_data(folder):
    sizes = {"intermediate_size": 131072, "num_hidden_layers": 24}
    edit(folder, lambda top, own: top.update(sizes))
    config = read_config(folder)
    rows = {
        name: {"dtype": "F32", "shape": list(value.shape), "data_offsets": [0, 0]}
        for name, value in expected_tensors(config).items()
    }
    text = json.dumps(rows).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text)
    sign(folder)


@case("conv_dim is out of range")
def a_thousand_convolutions(folder):
    def change(top, own):
        for name in ("conv_dim", "conv_kernel", "conv_stride"):
            top[name] = [8] * 1000

    edit(folder, change)


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


@case("'sliced' does not fit")
def sliced_with_more_heads_than_there_are(folder):
    sliced = {"heads": [[0, 1, 2, 3, 4], [0]], "neurons": [32, 32]}
    edit(folder, lambda top, own: nest(top, own).update(sliced=sliced))


@case("sliced is out of range")
def sliced_with_a_billion_neurons(folder):
    sliced = {"heads": [[0], [0]], "neurons": [10**9, 10**9]}
    edit(folder, lambda top, own: nest(top, own).update(sliced=sliced))


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


@case("holds 1e999")
def a_number_beyond_all_numbers(folder):
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"layer_norm_eps": 1e-05', '"layer_norm_eps": 1e999'))


@case("decode|utf-8")
def config_that_is_no_text(folder):
    (folder / CONFIG).write_bytes(b'{"s3_speechbrain": "\xff\xfe"}')


@case("mixes another number of layers")
def head_for_more_layers_than_there_are(folder):
    def change(top, own):
        own["head"]["layers"] = 9
        nest(top, own)

    edit(folder, change)
