"""Folders laid out as encoders are released: every weight arrives, whatever head or format it was saved with."""

import io
import json

import pytest
import torch
import transformers
from families import CONFIGS, write_family
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError

# What the hub holds: bare encoders, encoders below a head, and for Whisper below a decoder.
SAVED_AS = {
    "wav2vec2-layer": ("Model", "ForCTC", "ForPreTraining", "ForSequenceClassification"),
    "wav2vec2-group": ("Model", "ForCTC", "ForPreTraining"),
    "hubert": ("Model", "ForCTC", "ForSequenceClassification"),
    "wavlm": ("Model", "ForCTC", "ForXVector"),
    "data2vec": ("Model", "ForCTC"),
    "whisper": ("Model", "ForConditionalGeneration", "ForAudioClassification"),
}
HEADS = {"vocab_size": 16, "num_codevectors_per_group": 4, "codevector_dim": 8, "proj_codevector_dim": 8}
DECODER = {
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "decoder_start_token_id": 1,
}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def released(family, kind):
    """Build a model with its head, all weights random, and its encoder."""
    torch.manual_seed(3)
    config = CONFIGS[family].__class__.from_dict({**CONFIGS[family].to_dict(), **HEADS, **DECODER, **TOKENS})
    name = type(config).__name__.removesuffix("Config")
    whole = getattr(transformers, name + kind)(config)
    with torch.no_grad():
        for parameter in whole.parameters():  # norms and biases too: fresh ones look alike in any network
            parameter.normal_(0, 0.05)
    if family == "whisper":
        return whole, whole.encoder if kind == "ForAudioClassification" else whole.get_encoder()
    return whole, getattr(whole, whole.base_model_prefix, whole)


def write_folder(whole, family, folder, form):
    whole.save_pretrained(folder, max_shard_size="20KB" if form == "shards" else "1GB")
    if form == "bin":  # PyTorch's format, with the names that weight_norm had before it was a parametrisation
        old = {
            "parametrizations.weight.original0": "weight_g",
            "parametrizations.weight.original1": "weight_v",
        }
        weights = {}
        for name, value in load_file(folder / "model.safetensors").items():
            for new, before in old.items():
                name = name.replace(new, before)
            weights[name] = value
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / "pytorch_model.bin")
    extractor = (
        WhisperFeatureExtractor() if family == "whisper" else Wav2Vec2FeatureExtractor(do_normalize=True)
    )
    extractor.save_pretrained(folder)


@pytest.mark.parametrize("form", ["safetensors", "bin", "shards"])
@pytest.mark.parametrize(
    ("family", "kind"), [(family, kind) for family in SAVED_AS for kind in SAVED_AS[family]]
)
def test_every_weight_arrives(family, kind, form, tmp_path):
    whole, encoder = released(family, kind)
    write_folder(whole, family, tmp_path, form)
    found, wanted = SpeechEncoder(str(tmp_path)).model.state_dict(), encoder.state_dict()
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def test_a_missing_vector_of_spec_augment_is_no_fault(tmp_path):
    write_family("wav2vec2-layer", tmp_path)
    edit(tmp_path, lambda weights: weights.pop("masked_spec_embed"))
    assert SpeechEncoder(str(tmp_path)).mask_vector.isfinite().all()


def edit(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


QUERY = "encoder.layers.1.attention.q_proj.weight"
LAST_CONVOLUTION = {
    "conv_dim": [16] * 6,
    "conv_kernel": [10, 3, 3, 3, 3, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2],
    "num_feat_extract_layers": 6,
}


@pytest.mark.parametrize(
    ("family", "damage", "message"),
    [
        (
            "wav2vec2-layer",
            lambda folder: edit(folder, lambda weights: weights.pop(QUERY)),
            f"1 weights are missing, first {QUERY}",
        ),
        (
            "hubert",
            lambda folder: edit(
                folder, lambda w: w.pop("encoder.pos_conv_embed.conv.parametrizations.weight.original0")
            ),
            "1 weights are missing, first encoder.pos_conv_embed.conv",
        ),
        (
            "whisper",
            lambda folder: edit(folder, lambda w: w.pop("layers.1.fc1.weight")),
            "1 weights are missing",
        ),
        ("wavlm", lambda folder: configure(folder, num_hidden_layers=4), "weights are missing"),
        (
            "wav2vec2-group",
            lambda folder: configure(folder, **LAST_CONVOLUTION),
            "no place for 1 weights of the encoder, first feature_extractor.conv_layers.6",
        ),
        (
            "whisper",
            lambda folder: configure(folder, encoder_layers=2),
            "no place for 15 weights of the encoder",
        ),
        (
            "data2vec",
            lambda folder: configure(folder, intermediate_size=48),
            r"intermediate_dense.bias has shape \(64,\), config.json asks for \(48,\)",
        ),
    ],
)
def test_a_folder_whose_parts_do_not_fit_is_an_error(family, damage, message, tmp_path):
    write_family(family, tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        SpeechEncoder(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_head_trained_on_another_family_is_an_error(tmp_path):
    whole, _ = released("wav2vec2-layer", "ForCTC")
    write_folder(whole, "wav2vec2-layer", tmp_path, "safetensors")
    configure(tmp_path, model_type="hubert", architectures=["HubertForCTC"])
    with pytest.raises(UserError, match="weights are missing"):
        SpeechEncoder(str(tmp_path))


def half_a_pytorch_file():
    stream = io.BytesIO()
    torch.save({"weight": torch.ones(1000)}, stream)
    return stream.getvalue()[:2000]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", POINTER, "pointer of Git LFS, not the weights: run git lfs pull in"),
        ("pytorch_model.bin", POINTER, "pointer of Git LFS, not the weights: run git lfs pull in"),
        ("model.safetensors", b"", "cannot be read .* download them again"),
        ("model.safetensors", b"\x10" * 5000, "cannot be read .* download them again"),
        ("pytorch_model.bin", b"\x80" * 5000, "cannot be read .* download them again"),
        ("pytorch_model.bin", half_a_pytorch_file(), "cannot be read .* download them again"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(name, content, message, tmp_path):
    write_family("wav2vec2-layer", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        SpeechEncoder(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    write_family("wav2vec2-layer", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be read"):
        SpeechEncoder(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_a_missing_shard_is_named(tmp_path):
    whole, _ = released("hubert", "ForCTC")
    write_folder(whole, "hubert", tmp_path, "shards")
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    with pytest.raises(UserError, match="model-00002-of"):
        SpeechEncoder(str(tmp_path))


def test_a_broken_preprocessor_config_is_named(tmp_path):
    write_family("wav2vec2-layer", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(UserError, match=r"preprocessor_config\.json is no JSON"):
        SpeechEncoder(str(tmp_path))
