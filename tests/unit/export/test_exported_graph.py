"""Exported graphs: the logits of PyTorch for clips of any length, from all encoders and selectors."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from families import CONFIGS, write_family
from model_folders import LABELS, make_model, tokenizer
from token_selectors import build, speech

from s3_speechbrain.brains import CTCHead, Recogniser
from s3_speechbrain.brains.errors import greedy_decode
from s3_speechbrain.brains.tokens import Characters, Phones
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.log_mel import LogMel
from s3_speechbrain.errors import UserError
from s3_speechbrain.export import graph
from s3_speechbrain.export.graph import OPSET, ConvLogMel, export_onnx
from s3_speechbrain.export.parity import compare
from s3_speechbrain.export.runtime import OnnxRecogniser, greedy
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.masking import MaskConfig, mask_


def clips_for(clip):
    """Return one frame, two clips of no round length, and silence."""
    return [*(speech(n)[0][0] for n in (clip.least_samples, 9001, 40123)), torch.zeros(12000)]


def exported(recogniser, path, labels=None):
    clip = OneClip(recogniser)
    labels = tokenizer() if labels is None else labels
    return clip, OnnxRecogniser(export_onnx(clip, labels, path / "m.onnx"), 1)


def assert_parity(recogniser, path):
    clip, runs = exported(recogniser, path)
    for wave in clips_for(clip):
        parity = compare(clip, runs, [wave])
        assert parity.exact
        assert parity.error < 1e-5
        assert parity.changed == 0


@pytest.mark.parametrize("family", CONFIGS)
def test_graphs_of_all_families_equal_pytorch(family, tmp_path):
    assert_parity(make_model(tmp_path, family, hidden=(8,), layers=4), tmp_path)


@pytest.mark.parametrize("family", [None, "wavlm", "whisper"])
def test_graphs_of_sliced_networks_equal_pytorch(family, tmp_path):
    assert_parity(
        make_model(tmp_path, family, sliced=True), tmp_path
    )  # a layer without heads, one without neurons


@pytest.mark.parametrize(
    ("selector", "cut"),
    [
        ("salad", "before_positions"),
        ("salad", "after_positions"),
        *((name, "before_positions") for name in ("uniform", "average", "conv", "vad", "merge", "random")),
    ],
)
def test_tokens_are_removed_inside_the_graph(selector, cut, tiny_encoder, tmp_path):
    encoder, chooser = build(selector, tiny_encoder, cut=cut)
    assert_parity(Recogniser(encoder, CTCHead(encoder.width, len(LABELS)), chooser), tmp_path)


def test_whisper_removes_tokens_too(tmp_path):
    encoder, chooser = build("salad", write_family("whisper", tmp_path), cut="after_positions")
    assert_parity(Recogniser(encoder, CTCHead(encoder.width, len(LABELS)), chooser), tmp_path)


def test_masks_are_baked_into_the_graph(tiny_encoder, tmp_path):
    encoder = SpeechEncoder(str(tiny_encoder), freeze=True)
    mask_(encoder, MaskConfig(sparsity=0.5))
    assert_parity(Recogniser(encoder, CTCHead(encoder.width, len(LABELS))), tmp_path)


def test_louder_and_shifted_recordings_give_the_same_as_normalisation_is_inside(tmp_path):
    _, runs = exported(make_model(tmp_path), tmp_path)
    wave = speech(20000)[0][0].numpy()
    np.testing.assert_allclose(runs.logits(3 * wave + 0.1), runs.logits(wave), atol=1e-4)


def test_a_file_explains_itself(tmp_path):
    clip, runs = exported(make_model(tmp_path), tmp_path)
    model = onnx.load(tmp_path / "m.onnx")
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["labels"]) == LABELS == runs.labels
    assert facts["sampling_rate"] == "16000"
    assert runs.least_samples == clip.least_samples
    assert [found.version for found in model.opset_import if not found.domain] == [OPSET]


def test_short_clips_have_no_text_and_others_that_of_pytorch(tmp_path):
    recogniser = make_model(tmp_path)
    clip, runs = exported(recogniser, tmp_path)
    assert runs.logits(np.zeros(clip.least_samples - 1, np.float32)).shape == (0, len(LABELS))
    assert runs.transcribe(np.zeros(10, np.float32)) == ""
    wave = speech(30000)[0]
    labels = greedy_decode(clip(wave), torch.tensor([93]))[0]
    assert labels
    assert runs.transcribe(wave[0].numpy()) == tokenizer().decode(labels)


def test_greedy_by_hand():
    best = [0, 2, 2, 0, 2, 1, 1, 0]
    assert greedy(np.eye(3, dtype=np.float32)[best]) == [2, 2, 1]
    assert greedy(np.zeros((0, 3), np.float32)) == []


def test_texts_are_put_together_as_the_tokenizer_does(tmp_path):
    recogniser = make_model(tmp_path)
    for kind in (Characters, Phones):
        labels = kind.from_labels(LABELS)
        _, runs = exported(recogniser, tmp_path, labels)
        assert runs.text([1, 2, 1, 1, 5, 3]) == labels.decode([1, 2, 1, 1, 5, 3])


def test_whispers_log_mel_as_a_convolution_is_that_of_the_fourier_transform():
    like = LogMel(80)
    for wave in (speech(16000)[0][0], 1e-3 * torch.randn(5000), torch.zeros(4000)):
        torch.testing.assert_close(ConvLogMel(like).one(wave), like.one(wave), atol=1e-4, rtol=0)


def test_a_device_needs_no_torch(tmp_path):
    exported(make_model(tmp_path), tmp_path)
    program = (
        "import sys, numpy; from s3_speechbrain.export.runtime import OnnxRecogniser; "
        f"OnnxRecogniser({str(tmp_path / 'm.onnx')!r}, 1).transcribe(numpy.zeros(8000)); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_mistakes_are_told_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is no file"):
        OnnxRecogniser(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(UserError, match="export it again"):
        OnnxRecogniser(tmp_path / "text.onnx")
    monkeypatch.setattr(graph, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="compress the model first"):
        exported(make_model(tmp_path), tmp_path)
    with pytest.raises(UserError, match=r"s3-speechbrain\[export\]"):
        graph.require("a_package_that_nobody_has")
