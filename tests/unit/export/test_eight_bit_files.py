"""8-bit files: smaller, close to float32, and exact where that matters."""

import numpy as np
import onnx
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_folders import make_model, tokenizer
from token_selectors import speech
from toy_encoders import write_encoder

from s3_speechbrain.brains import CTCHead, Recogniser
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.export.eight_bits import KEPT, quantise_rows, to_eight_bits
from s3_speechbrain.export.graph import export_onnx
from s3_speechbrain.export.parity import compare
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference.one_clip import OneClip


def pair(recogniser, folder):
    clip = OneClip(recogniser)
    source = export_onnx(clip, tokenizer(), folder / "fp32.onnx", {"language": "fr"})
    return clip, source, to_eight_bits(source, folder / "int8.onnx")


def test_a_file_is_smaller_and_close(tmp_path):
    folder = write_encoder(tmp_path / "e", hidden_size=64, intermediate_size=512, conv_dim=[32] * 7)
    encoder = SpeechEncoder(str(folder), freeze=True)
    clip, source, target = pair(Recogniser(encoder, CTCHead(64, 6)), tmp_path)
    weights = sum(value.nbytes for value in clip.state_dict().values())
    assert source.stat().st_size - target.stat().st_size > 0.6 * weights  # three quarters of most of them
    parity = compare(clip, OnnxRecogniser(target, 1), [speech(16000)[0][0], torch.zeros(8000)])
    assert 1e-5 < parity.error < 0.1
    facts = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert facts["language"] == "fr"


def test_the_selector_and_the_head_stay_exact(tmp_path):
    _, source, target = pair(make_model(tmp_path, selector="salad"), tmp_path)
    kept = [node for node in onnx.load(source).graph.node if node.name.startswith(KEPT)]
    assert {"Conv", "MatMul"} <= {node.op_type for node in kept}
    assert any(node.name.startswith("/scorer/") for node in kept)
    nodes = {node.name: node for node in onnx.load(target).graph.node}
    assert all(nodes[node.name].op_type == node.op_type for node in kept)
    assert any(node.op_type == "MatMulInteger" for node in nodes.values())
    assert not any(node.op_type == "ConvInteger" for node in nodes.values())


@settings(deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(*(st.integers(1, 4) for _ in range(3))),
        elements=st.floats(-100, 100, width=32).filter(lambda value: value == 0 or abs(value) > 1e-20),
    )
)
def test_rounding_is_within_half_a_step_of_each_row(weight):
    packed, scale = quantise_rows(weight)
    assert packed.dtype == np.int8
    assert scale.shape == (len(weight), 1, 1)
    assert (np.abs(packed * scale - weight) <= scale * 0.5001).all()
    assert np.array_equal(packed == 0, np.abs(weight) <= scale / 2)


def test_rounding_by_hand():
    packed, scale = quantise_rows(np.array([[127.0, -1.0], [0.0, 0.0]], np.float32))
    assert packed.tolist() == [[127, -1], [0, 0]]
    assert scale.tolist() == [[1.0], [1.0]]
