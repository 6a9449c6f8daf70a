"""A recogniser with a token selector: what is kept in memory, what is trained, what is counted."""

import pytest
import torch
from speechbrain.nnet.adapters import LoRA
from token_selectors import build, speech

from s3_speechbrain.brains.batches import Clips, make_dataset
from s3_speechbrain.brains.methods import finetune_, freeze_weights_
from s3_speechbrain.brains.model import CTCHead, Recogniser, fill_cache
from s3_speechbrain.brains.shortened import TokenCount, token_macs
from s3_speechbrain.macs import count_macs
from s3_speechbrain.masking import MaskConfig, mask_
from s3_speechbrain.tokens import Shortened

LABELS = 5
BEFORE = {"cut": "before_positions"}


def recogniser(tiny_encoder, name, ratio=0.5, layers=None, **settings):
    encoder, selector = build(name, tiny_encoder, ratio, **settings)
    torch.manual_seed(0)
    return Recogniser(encoder, CTCHead(encoder.width, LABELS, layers=layers), selector)


class Words:
    """Every letter is label 1, so that a target of n letters needs 2 n - 1 frames."""

    def encode(self, text):
        return [1] * len(text)


@pytest.fixture
def clips(tiny_corpus):
    wavs = sorted((tiny_corpus / "en" / "clips").glob("dev_*.wav"))[:3]
    texts = ("a" * 16, "aa", "")
    rows = {
        wav.stem: {"wav": str(wav), "duration": 1.0, "text": text}
        for wav, text in zip(wavs, texts, strict=True)
    }
    return Clips(make_dataset(rows, Words()))


def logits_of(model, clips, guard=False):
    """Return the logits of each clip alone, from whatever stage the clips are at."""
    found = {}
    with torch.no_grad():
        for index, clip in enumerate(clips.ids):
            batch = clips.collate([clips[index]])
            needed = batch.frames_needed() if guard else None
            found[clip] = model.eval()(batch.inputs, batch.lengths, batch.stage, needed=needed)[0][0]
    return found


@pytest.mark.parametrize(
    ("name", "settings", "stage"),
    [
        ("salad", BEFORE, "kept"),
        ("salad", BEFORE | {"reduce": "drop"}, "kept"),
        ("salad", {}, "features"),
        ("salad", BEFORE | {"jitter": 0.1}, "features"),
        ("random", {}, "features"),
        ("conv", {}, "features"),
        ("vad", BEFORE, "kept"),
        ("vad", {}, "wave"),
        ("merge", BEFORE, "kept"),
    ],
)
def test_what_is_frozen_is_kept_in_memory_and_gives_the_same(tiny_encoder, clips, name, settings, stage):
    model = recogniser(tiny_encoder, name, **settings)
    assert model.frozen_stage == stage
    if stage == "wave":
        return
    expected = logits_of(model, clips)
    fill_cache(model, clips, "cpu", progress=False)
    assert clips.stage == stage
    found = logits_of(model, clips)
    for clip, logits in expected.items():
        torch.testing.assert_close(found[clip], logits, atol=1e-5, rtol=0)
    if stage == "kept":
        assert sum(map(len, clips.cache.values())) == sum(map(len, expected.values()))


def test_a_frozen_encoder_is_kept_as_hidden_states(tiny_encoder, clips):
    model = recogniser(tiny_encoder, "salad")
    model.encoder.requires_grad_(False)
    assert model.frozen_stage == "hidden"
    expected = logits_of(model, clips)
    fill_cache(model, clips, "cpu", progress=False)
    torch.testing.assert_close(logits_of(model, clips), expected)


def test_kept_features_come_from_features_in_memory_but_from_waves_where_those_are_needed(
    tiny_encoder, clips
):
    plain = recogniser(tiny_encoder, "uniform")
    plain.selector = None
    for name in ("salad", "vad"):
        fill_cache(plain, clips, "cpu", progress=False)
        assert clips.stage == "features"
        model = recogniser(tiny_encoder, name, **BEFORE)
        fill_cache(model, clips, "cpu", progress=False)
        short = logits_of(model, clips)
        clips.forget()
        torch.testing.assert_close(logits_of(model, clips), short, atol=1e-5, rtol=0)


def test_training_clips_are_left_as_many_frames_as_their_targets_need(tiny_encoder, clips):
    model = recogniser(tiny_encoder, "uniform", 0.25, **BEFORE)
    free = {clip: len(rows) for clip, rows in logits_of(model, clips).items()}
    guarded = {clip: len(rows) for clip, rows in logits_of(model, clips, guard=True).items()}
    needs = dict(zip(clips.ids, (31, 3, 0), strict=True))  # letters and a blank between each two
    assert free[clips.ids[0]] < 31
    assert guarded == {clip: max(free[clip], needs[clip]) for clip in clips.ids}
    fill_cache(model, clips, "cpu", progress=False, training=True)
    assert {clip: len(rows) for clip, rows in clips.cache.items()} == guarded


@pytest.mark.parametrize("cut", ["before_positions", "after_positions"])
@pytest.mark.parametrize("layers", [None, 3])
def test_a_batch_gives_what_its_clips_give_alone(tiny_encoder, cut, layers):
    model = recogniser(tiny_encoder, "salad", cut=cut, layers=layers).eval()
    wavs, lengths = speech(9001, 16000)
    with torch.no_grad():
        logits, frames = model(wavs, lengths)
        assert logits.shape == (2, int(frames.max()), LABELS)
        for row, count in enumerate((9001, 16000)):
            alone, left = model(wavs[row : row + 1, :count], torch.ones(1))
            assert int(left) == int(frames[row])
            torch.testing.assert_close(logits[row, : int(left)], alone[0], atol=1e-5, rtol=0)


def adapt_masks(encoder):
    freeze_weights_(encoder)
    mask_(encoder, MaskConfig(0.25))


@pytest.mark.parametrize(
    ("adapt", "learns"),
    [
        (lambda encoder: None, lambda name: "feature_extractor" not in name and "masked_spec" not in name),
        (lambda encoder: finetune_(encoder, "lora", rank=2), lambda name: "adapter_" in name),
        (adapt_masks, lambda name: name.endswith(".score")),
    ],
    ids=["dense", "lora", "masks"],
)
@pytest.mark.parametrize("cut", ["before_positions", "after_positions"])
def test_every_way_to_adapt_learns_on_the_shortened_sequence(tiny_encoder, adapt, learns, cut):
    model = recogniser(tiny_encoder, "salad", cut=cut)
    adapt(model.encoder)
    wavs, lengths = speech(9001, 16000)
    logits, _ = model.train()(wavs, lengths, needed=torch.tensor([3, 5]))
    logits.square().sum().backward()
    found = {name for name, value in model.named_parameters() if value.grad is not None}
    wanted = {name for name, _ in model.encoder.named_parameters(prefix="encoder") if learns(name)}
    wanted = {name for name in wanted if not name.endswith("mask_vector")}
    assert found == wanted | {name for name, _ in model.head.named_parameters(prefix="head")}
    assert any(isinstance(module, LoRA) for module in model.modules()) == ("adapter_" in "".join(found))


def test_frames_are_counted():
    count = TokenCount()
    assert count.keep_ratio is None
    for frames, kept, back in (([10, 6], [5, 3], [0, 1]), ([4, 0], [2, 0], [0, 0])):
        short = Shortened(torch.zeros(2, 5, 1), torch.tensor(kept), None, torch.tensor(back))
        count.add(torch.tensor(frames), short)
    assert count.keep_ratio == 0.5
    assert count.reinserted_share == pytest.approx(0.1)


def test_macs_by_hand(tiny_encoder):
    frames = 499  # of 10 s
    detector = 8 * 8 + 2 * (5 * 8 + 8 * 8) + 8  # entry, two depthwise-separable layers, exit
    short, dense = (count_macs(recogniser(tiny_encoder, "all").encoder, 10.0, n) for n in (250, frames))
    found = token_macs(recogniser(tiny_encoder, "salad", **BEFORE), 0.5)
    assert found["total"] == short.total + frames * detector
    assert found["transformer"] == short.transformer + frames * detector
    assert (found["dense_transformer"], found["dense_total"]) == (dense.transformer, dense.total)
    late = token_macs(recogniser(tiny_encoder, "salad"), 0.5)
    assert late["total"] == dense.total - dense.transformer + found["transformer"]
    stride = token_macs(recogniser(tiny_encoder, "conv"), 0.5)
    assert stride["total"] == short.total + 250 * 2 * 8 * 8
    perfect = token_macs(recogniser(tiny_encoder, "oracle", **BEFORE), 0.5)
    assert perfect["total"] == short.total + dense.total - dense.extractor
