"""Exported files took any array: integers unscaled, two channels as no speech, NaN. Others ended in a traceback.

`transcribe_batch` computed with any sampling rate (0: division by zero; 44101: a filter of 705 million values) and
knew no arrays that run backwards; `SharedRecogniser.transcribe` knew no arrays at all, and neither refused an
unknown language for no clips.
"""

import numpy as np
import pytest
import torch
from bank_entries import make_entry
from model_folders import make_model, tokenizer

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.export.graph import export_onnx
from s3_speechbrain.export.runtime import OnnxRecogniser
from s3_speechbrain.inference import OneModel, SharedRecogniser, Transcriber
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.maskbank import MaskBank
from s3_speechbrain.waves import as_samples

NOISE = np.random.default_rng(0).normal(0, 0.1, 9000).astype(np.float32)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def transcriber(recogniser):
    return Transcriber(OneModel(recogniser, tokenizer(), ["en", "fr"]), "en")


@pytest.fixture(scope="module")
def exported(recogniser, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "m.onnx"
    return OnnxRecogniser(export_onnx(OneClip(recogniser), tokenizer(), path), 1)


@pytest.fixture
def shared(tmp_path, tiny_encoder):
    bank = MaskBank(tmp_path / "bank")
    bank.add(make_entry(SpeechEncoder(str(tiny_encoder), freeze=True), "fr"))
    return SharedRecogniser.from_bank(bank.folder, str(tiny_encoder))


WRONG = {
    "integers": np.zeros(9000, np.int16),
    "two channels": np.stack([NOISE, NOISE]),
    "channels last": np.stack([NOISE, NOISE], 1),
    "not a number": np.where(np.arange(9000) == 5, np.nan, NOISE),
    "too large for float32": np.full(9000, 1e300),
    "texts": ["a", "b"],
    "rows of different lengths": [[0.1], [0.1, 0.2]],
    "no clip": None,
    "a tensor of integers": torch.zeros(9000, dtype=torch.int32),
}


@pytest.mark.parametrize("wave", WRONG.values(), ids=WRONG)
def test_all_refuse_the_same_waveforms_alike(wave, transcriber, exported, shared):
    told = "is not one channel of finite floating-point samples: give"
    with pytest.raises(UserError, match=f"the clip {told}"):
        exported.transcribe(wave)
    with pytest.raises(UserError, match=f"clip 1 {told}"):
        transcriber.transcribe_batch([NOISE, wave])
    with pytest.raises(UserError, match=f"clip 1 {told}"):
        shared.transcribe([NOISE, wave], "fr")


def test_memory_and_type_do_not_matter(transcriber, exported, shared):
    backwards = NOISE[::-1].copy()[::-1]
    fixed = NOISE.copy()
    fixed.setflags(write=False)
    kinds = (NOISE.astype(np.float64), NOISE.astype(">f4"), np.repeat(NOISE, 2)[::2], backwards, fixed)
    kinds = (*kinds, torch.from_numpy(NOISE).requires_grad_(), NOISE.tolist())
    wanted = transcriber.transcribe_batch([NOISE])[0].text
    assert wanted
    assert [found.text for found in transcriber.transcribe_batch(kinds)] == [wanted] * len(kinds)
    assert [exported.transcribe(wave) for wave in kinds] == [wanted] * len(kinds)
    assert len(set(shared.transcribe(kinds, "fr"))) == 1


def test_the_samples_are_not_copied_without_need():
    assert np.shares_memory(as_samples(NOISE, "it"), NOISE)
    assert torch.from_numpy(as_samples(np.zeros(1, np.float32)[::-1], "it")).shape == (1,)
    assert as_samples(torch.ones(3, dtype=torch.bfloat16), "it").tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        (0, "unusual sampling rate of 0 Hz"),
        (-8000, "unusual sampling rate of -8000 Hz"),
        (44101, "unusual sampling rate of 44101 Hz: resample"),
        (44100.0, "sampling rate of 44100.0: give a whole number"),
        ("16000", "sampling rate of '16000': give a whole number"),
        (None, "sampling rate of None"),
    ],
)
def test_rates_are_checked(transcriber, rate, reason):
    with pytest.raises(UserError, match=f"clip 0 has an? {reason}"):
        transcriber.transcribe_batch([NOISE], rate=rate)


def test_an_unknown_language_of_no_clips_is_refused(transcriber, shared):
    for recogniser in (transcriber.transcribe_batch, shared.transcribe):
        with pytest.raises(UserError, match="no language 'xx'"):
            recogniser([], "xx")
    assert transcriber.transcribe_batch([], "fr") == shared.transcribe([], "fr") == []
