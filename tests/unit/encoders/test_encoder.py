"""What the encoder wrapper promises, family by family, on tiny networks with random weights."""

import json

import numpy as np
import pytest
import torch
from families import CONFIGS, write_family
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.encoders import Kept, SpeechEncoder, log_mel, waveform
from s3_speechbrain.encoders.encoder import ATTENTION
from s3_speechbrain.errors import UserError


@pytest.fixture(scope="module", params=list(CONFIGS))
def folder(request, tmp_path_factory):
    return write_family(request.param, tmp_path_factory.mktemp(request.param))


def waves(*counts):
    generator = torch.Generator().manual_seed(1)
    clips = [torch.randn(count, generator=generator) for count in counts]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    return clips, batch, torch.tensor(counts) / max(counts)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_clip_gives_the_same_output_alone_and_in_a_padded_batch(folder, attention):
    encoder = SpeechEncoder(str(folder), attention=attention).eval()
    clips, batch, lengths = waves(9001, 16000, 4321)
    with torch.no_grad():
        together = encoder(batch, lengths)
        for row, clip in enumerate(clips):
            alone = encoder(clip[None], torch.ones(1))
            count = int(alone.frames)
            assert count == int(together.frames[row]) == int(encoder.frame_count(len(clip)))
            torch.testing.assert_close(
                together.hidden[row, :count], alone.hidden[0, :count], atol=1e-5, rtol=0
            )


def test_what_fills_the_padding_does_not_matter(folder):
    encoder = SpeechEncoder(str(folder)).eval()
    _, batch, lengths = waves(8000, 16000)
    noisy = batch.clone()
    noisy[0, 8000:] = 3.0
    with torch.no_grad():
        clean, dirty = encoder(batch, lengths), encoder(noisy, lengths)
    count = int(clean.frames[0])
    torch.testing.assert_close(clean.hidden[0, :count], dirty.hidden[0, :count], atol=1e-5, rtol=0)


def test_plain_and_fused_attention_agree(folder):
    _, batch, lengths = waves(16000, 16000)
    with torch.no_grad():
        fused, plain = (SpeechEncoder(str(folder), attention=a).eval()(batch, lengths) for a in ATTENTION)
    torch.testing.assert_close(fused.hidden, plain.hidden, atol=1e-5, rtol=0)


def test_all_layers_are_returned_and_end_in_the_output(folder):
    encoder = SpeechEncoder(str(folder)).eval()
    _, batch, lengths = waves(8000, 16000)
    with torch.no_grad():
        last = encoder(batch, lengths).hidden
        every = encoder(batch, lengths, all_layers=True).hidden
    assert len(every) == len(encoder.layers) + 1 == 4
    assert all(state.shape == last.shape for state in every)
    torch.testing.assert_close(every[-1], last, atol=0, rtol=0)
    assert not torch.equal(every[0], every[1])


def test_keeping_every_frame_changes_nothing(folder):
    encoder = SpeechEncoder(str(folder)).eval()
    _, batch, lengths = waves(16000, 9001)
    with torch.no_grad():
        features, frames = encoder.extract(batch, lengths)
        places = torch.arange(features.shape[1]).expand(2, -1)
        kept = encoder.contextualise(features, frames, kept=Kept(places, frames))
        plain = encoder.contextualise(features, frames)
    for row, count in enumerate(frames.tolist()):
        torch.testing.assert_close(kept[row, :count], plain[row, :count], atol=1e-6, rtol=0)


def test_kept_frames_keep_their_positions_alone_and_in_a_padded_batch(folder):
    encoder = SpeechEncoder(str(folder)).eval()
    clips, batch, lengths = waves(9001, 16000)
    index, counts = torch.tensor([[0, 4, 9, 0], [0, 1, 20, 33]]), torch.tensor([3, 4])
    with torch.no_grad():
        together = encoder.contextualise(*encoder.extract(batch, lengths), kept=Kept(index, counts))
        for row, clip in enumerate(clips):
            count = int(counts[row])
            kept = Kept(index[row : row + 1, :count], counts[row : row + 1])
            features, frames = encoder.extract(clip[None], torch.ones(1))
            alone = encoder.contextualise(features, frames, kept=kept)
            torch.testing.assert_close(together[row, :count], alone[0], atol=1e-5, rtol=0)
            # counted on the kept frames alone, positions are others
            near = encoder.contextualise(features[:, kept.index[0]], kept.frames)
            assert (alone - near).abs().max() > 1e-3
    assert torch.equal(
        encoder.contextualise(features, frames), encoder.contextualise(features, frames)
    )  # the positional convolution is itself again


def test_means_of_frames_have_the_means_of_their_positions():
    config = CONFIGS["whisper"]
    model = WhisperEncoder(config).eval()
    features = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    # two groups of frames, 0 to 2 and 3; the last frame is padding
    kept = Kept(torch.tensor([[0, 3]]), torch.tensor([2]), torch.tensor([[0, 0, 0, 1, 2]]))
    with torch.no_grad():
        found = log_mel.transform(model, log_mel.project(model, features), torch.tensor([4]), kept)
        placed = features + model.embed_positions.weight[:5]
        by_hand = torch.stack([placed[:, :3].mean(1), placed[:, 3]], dim=1)
        for layer in model.layers:
            by_hand = layer(by_hand, None)
        torch.testing.assert_close(found, model.layer_norm(by_hand), atol=1e-6, rtol=0)


def test_positions_of_kept_frames_are_those_of_the_whole_clip():
    config = CONFIGS["whisper"]
    model = WhisperEncoder(config).eval()
    features = torch.randn(1, 10, 32, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([[0, 3, 7]])
    with torch.no_grad():
        found = log_mel.transform(
            model, log_mel.project(model, features), torch.tensor([10]), Kept(index, torch.tensor([3]))
        )
        by_hand = features[:, [0, 3, 7]] + model.embed_positions.weight[[0, 3, 7]]
        for layer in model.layers:
            by_hand = layer(by_hand, None)
        torch.testing.assert_close(found, model.layer_norm(by_hand), atol=1e-6, rtol=0)

    model = Wav2Vec2Model(CONFIGS["wav2vec2-group"]).eval()
    with torch.no_grad():
        found = waveform.transform(model, features, torch.tensor([10]), Kept(index, torch.tensor([3])))
        positions = model.encoder.pos_conv_embed(features)
        by_hand = model.encoder.layer_norm((features + positions)[:, [0, 3, 7]])
        for layer in model.encoder.layers:
            by_hand = layer(by_hand)
            by_hand = by_hand[0] if isinstance(by_hand, tuple) else by_hand
        torch.testing.assert_close(found, by_hand, atol=1e-6, rtol=0)


def test_gradient_checkpointing_gives_the_same_gradients(folder):
    _, batch, lengths = waves(8000, 16000)
    gradients = []
    for checkpointing in (False, True):
        encoder = SpeechEncoder(str(folder), dropout=0.0, gradient_checkpointing=checkpointing).train()
        encoder(batch, lengths).hidden.square().mean().backward()
        gradients.append(
            encoder.layers[0].get_parameter(next(n for n, _ in encoder.layers[0].named_parameters())).grad
        )
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-4)


def test_freezing(folder):
    _, batch, lengths = waves(8000, 16000)
    frozen = SpeechEncoder(str(folder), freeze=True, layerdrop=0.5, dropout=0.5).train()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    torch.testing.assert_close(frozen(batch, lengths).hidden, frozen(batch, lengths).hidden, atol=0, rtol=0)
    half = SpeechEncoder(str(folder), freeze_extractor=True).train()
    half(batch, lengths).hidden.sum().backward()
    assert all(p.grad is None for module in half.extractor for p in module.parameters())
    assert any(p.grad is not None for p in half.layers.parameters())
    free = SpeechEncoder(str(folder), freeze_extractor=False).train()
    free(batch, lengths).hidden.square().sum().backward()
    assert all(p.grad is not None for module in free.extractor for p in module.parameters())


def test_layerdrop_skips_layers_in_training_only(folder):
    _, batch, lengths = waves(16000)
    encoder = SpeechEncoder(str(folder), layerdrop=1.0, dropout=0.0)
    every = encoder.train()(batch, lengths, all_layers=True).hidden
    first = 2 if encoder.family == "wavlm" else 1  # WavLM never drops its first layer
    torch.testing.assert_close(every[first], every[-2], atol=0, rtol=0)
    kept = encoder.eval()(batch, lengths, all_layers=True).hidden
    assert not torch.equal(kept[1], kept[2])


def test_saved_folder_gives_the_same_encoder(folder, tmp_path):
    encoder = SpeechEncoder(str(folder)).eval()
    encoder.save_pretrained(tmp_path)
    _, batch, lengths = waves(8000, 16000)
    with torch.no_grad():
        torch.testing.assert_close(
            SpeechEncoder(str(tmp_path)).eval()(batch, lengths), encoder(batch, lengths)
        )


def test_random_weights_follow_the_seed(folder):
    draw = [SpeechEncoder(str(folder), pretrained=False, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(draw[0][name], draw[1][name]) for name in draw[0])
    assert any(not torch.equal(draw[0][name], draw[2][name]) for name in draw[0])


def test_very_short_clips_give_few_or_no_frames_and_no_nan(folder):
    encoder = SpeechEncoder(str(folder)).eval()
    _, batch, lengths = waves(500, 16000)
    with torch.no_grad():
        found = encoder(batch, lengths)
    count = int(found.frames[0])
    assert count <= 2
    assert found.hidden[0, :count].isfinite().all()
    silent = encoder(torch.zeros(1, 8000), torch.ones(1))
    assert silent.hidden.isfinite().all()


def test_layer_norm_family_agrees_with_transformers(tmp_path):
    config = CONFIGS["wav2vec2-layer"]
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path)
    encoder = SpeechEncoder(str(tmp_path)).eval()
    _, batch, _ = waves(16000)
    inputs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        batch[0].numpy(), sampling_rate=16000, return_tensors="pt"
    )
    with torch.no_grad():
        reference = Wav2Vec2Model.from_pretrained(tmp_path).eval()(
            inputs.input_values, output_hidden_states=True
        )
        ours = encoder(batch, torch.ones(1), all_layers=True).hidden
    for state, expected in zip(ours[:-1], reference.hidden_states[:-1], strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[-1], reference.last_hidden_state, atol=1e-5, rtol=0)


def test_whisper_agrees_with_transformers_on_30_seconds(tmp_path):
    config = CONFIGS["whisper"]
    WhisperEncoder(config).save_pretrained(tmp_path)
    encoder = SpeechEncoder(str(tmp_path)).eval()
    wav = 0.1 * np.random.default_rng(0).standard_normal(480000).astype("float32")
    inputs = WhisperFeatureExtractor()(wav, sampling_rate=16000, return_tensors="pt").input_features
    with torch.no_grad():
        expected = encoder.model(inputs).last_hidden_state
        found = encoder(torch.from_numpy(wav)[None], torch.ones(1))
    assert found.frames.tolist() == [1500]
    torch.testing.assert_close(found.hidden, expected, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match=r"30 s"):
        encoder(torch.zeros(1, 500000), torch.ones(1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/folder", "no encoder folder"),
        ("./nothing", "no encoder folder"),
        ("a/b/c", "no encoder folder"),
    ],
)
def test_wrong_sources_are_told_in_one_line(source, message):
    with pytest.raises(UserError, match=message):
        SpeechEncoder(source)


def test_folders_that_cannot_serve_are_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        SpeechEncoder(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="supported families"):
        SpeechEncoder(str(tmp_path))
    CONFIGS["wav2vec2-layer"].save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no encoder weights"):
        SpeechEncoder(str(tmp_path))
    model = Wav2Vec2Model(CONFIGS["wav2vec2-layer"])
    model.encoder.layer_norm.weight.data[0] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="NaN"):
        SpeechEncoder(str(tmp_path))
    with pytest.raises(UserError, match="unknown dropout"):
        SpeechEncoder(str(tmp_path), dropout={"everything": 0.1})
