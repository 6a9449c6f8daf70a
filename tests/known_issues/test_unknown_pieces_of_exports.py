"""An exported file wrote ``<unk>`` where SentencePiece, and with it the recogniser in PyTorch, writes its own sign."""

import pytest
import torch
from model_folders import make_model

from s3_speechbrain.brains import CTCHead
from s3_speechbrain.brains.tokens import Pieces
from s3_speechbrain.export.graph import export_onnx
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference.one_clip import OneClip


@pytest.fixture
def pieces(tmp_path):
    return Pieces.load_or_create(tmp_path / "pieces.model", ["ab ba ab a b", "ba ba"] * 20, 7)


def test_texts_are_those_of_sentencepiece(pieces, tmp_path):
    recogniser = make_model(tmp_path)
    torch.manual_seed(0)
    recogniser.head = CTCHead(recogniser.encoder.width, len(pieces.labels)).eval()
    runs = OnnxRecogniser(export_onnx(OneClip(recogniser), pieces, tmp_path / "m.onnx"), 1)
    unknown = pieces.labels.index("<unk>")
    first = next(index for index, label in enumerate(pieces.labels) if label.startswith("▁"))
    every = [index for index in range(1, len(pieces.labels)) if index != unknown]
    for labels in ([unknown], [first, unknown, first], [unknown, *every, unknown], every):
        assert runs.text(labels) == " ".join(pieces.decode(labels).split())
    assert runs.labels[0] == ""
    assert "⁇" in runs.text([unknown])
