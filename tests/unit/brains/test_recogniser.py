"""Encoder and head together: stages, caching, mixing of layers."""

import pytest
import torch

from s3_speechbrain.brains.batches import Clips, make_dataset
from s3_speechbrain.brains.methods import METHODS, encoder_options, finetune_, freeze_weights_
from s3_speechbrain.brains.model import CTCHead, Recogniser, cache_size_mb, fill_cache
from s3_speechbrain.brains.tokens import Characters
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError

AUGMENT = {"time_prob": 0.5, "time_length": 2, "channel_prob": 0.2, "channel_length": 4}


def recogniser(source, method="dense", layers=None):
    encoder = SpeechEncoder(str(source), spec_augment=AUGMENT, **encoder_options(method))
    finetune_(encoder, method, rank=2)
    return Recogniser(encoder, CTCHead(encoder.width, 5, layers=layers))


@pytest.fixture
def clips(tiny_corpus, tmp_path):
    folder = tiny_corpus / "en" / "clips"
    rows = {
        path.stem: {"duration": 1.0, "wav": str(path), "text": "ab"} for path in sorted(folder.iterdir())[:5]
    }
    rows["broken"] = {"duration": 1.0, "wav": "nowhere.wav", "text": "ab"}
    return Clips(make_dataset(rows, Characters.load_or_create(tmp_path / "characters.txt", ["ab"])))


def trained(encoder):
    return {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_trains_what_it_says(tiny_encoder, method):
    encoder = recogniser(tiny_encoder, method).encoder
    names = trained(encoder)
    kinds = {
        "frozen": lambda name: False,
        "dense": lambda name: "feature_extractor" not in name,
        "dense_freeze": lambda name: "feature_extractor" not in name,
        "scratch": lambda name: True,
        "lora": lambda name: "adapter_" in name or name == "mask_vector",
        "bitfit": lambda name: (
            ("feature_extractor" not in name and name.endswith(".bias")) or name == "mask_vector"
        ),
    }
    unused = "masked_spec_embed"  # replaced by the encoder's own mask_vector
    assert names == {n for n, _ in encoder.named_parameters() if kinds[method](n) and unused not in n}


def test_lora_starts_as_the_encoder_it_adapts(tiny_encoder):
    waves, lengths = torch.randn(2, 8000), torch.ones(2)
    plain, adapted = recogniser(tiny_encoder).encoder.eval(), recogniser(tiny_encoder, "lora").encoder.eval()
    assert torch.allclose(plain(waves, lengths).hidden, adapted(waves, lengths).hidden, atol=1e-6)


def test_scratch_has_other_weights_than_the_pretrained(tiny_encoder):
    plain, scratch = recogniser(tiny_encoder).encoder, recogniser(tiny_encoder, "scratch").encoder
    name = "model.encoder.layers.0.attention.q_proj.weight"
    assert not torch.equal(plain.get_parameter(name), scratch.get_parameter(name))


def test_freezing_all_weights_leaves_the_vector_of_spec_augment(tiny_encoder):
    encoder = recogniser(tiny_encoder).encoder
    freeze_weights_(encoder)
    assert trained(encoder) == {"mask_vector"}


def test_an_unknown_method_is_named():
    with pytest.raises(UserError, match="method is 'adapters': choose one of frozen, dense"):
        encoder_options("adapters")


def test_the_head_starts_with_zero_bias_and_xavier_weights():
    head = CTCHead(64, 32, hidden=[48])
    assert not head.classifier.bias.any()
    bound = (6 / (48 + 32)) ** 0.5
    assert 0.9 * bound < head.classifier.weight.abs().max() <= bound
    assert head(torch.randn(2, 3, 64)).shape == (2, 3, 32)


def test_mixed_layers_start_as_their_mean(tiny_encoder):
    model = recogniser(tiny_encoder, "frozen", layers=3).eval()
    waves, lengths = torch.randn(2, 8000), torch.tensor([1.0, 0.6])
    states = model.encoder(waves, lengths, all_layers=True).hidden
    expected = model.head.classifier(torch.stack(states).mean(0))
    logits, frames = model(waves, lengths)
    for row, length in enumerate(frames):
        assert torch.allclose(logits[row, :length], expected[row, :length], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "stage"), [("frozen", "hidden"), ("dense", "features"), ("scratch", "wave")]
)
def test_the_cache_starts_where_training_starts(tiny_encoder, method, stage):
    assert recogniser(tiny_encoder, method).frozen_stage == stage


@pytest.mark.parametrize(("method", "layers"), [("frozen", None), ("frozen", 3), ("dense", None)])
def test_cached_clips_give_the_logits_of_uncached_ones(tiny_encoder, clips, method, layers):
    model = recogniser(tiny_encoder, method, layers)
    before = clips.collate([clips[index] for index in range(5)])
    size = cache_size_mb(model, clips, torch.float32)
    skipped = fill_cache(model, clips, "cpu", seconds=2.5, progress=False)
    assert [clip for clip, _ in skipped] == ["broken"]
    assert "broken" not in clips.ids
    held = sum(value.numel() * value.element_size() for value in clips.cache.values()) / 1e6
    assert held == pytest.approx(size * 5 / 6, rel=0.5)
    after = clips.collate([clips[index] for index in range(5)])
    assert after.stage == model.frozen_stage
    model.eval()
    with torch.no_grad():
        expected, frames = model(before.inputs, before.lengths, before.stage)
        logits, cached_frames = model(after.inputs, after.lengths, after.stage)
    assert torch.equal(frames, cached_frames)
    for row, length in enumerate(frames):
        assert torch.allclose(logits[row, :length], expected[row, :length], atol=1e-4)


def test_held_encoders_get_no_gradient(tiny_encoder):
    model = recogniser(tiny_encoder)
    logits, _ = model(torch.randn(1, 8000), torch.ones(1), hold_encoder=True)
    logits.sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert model.head.classifier.weight.grad is not None
