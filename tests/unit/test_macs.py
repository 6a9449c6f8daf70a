"""MACs counted from shapes, against torch's own counter and against numbers worked out before."""

import pytest
import torch
from families import CONFIGS, make_family, write_family
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, Wav2Vec2Config

from s3_speechbrain.brains.methods import finetune_
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.macs import Macs, count_macs
from s3_speechbrain.structured.slicing import slice_
from s3_speechbrain.structured.units import find_units

LOG_MEL = 80 * 201  # Whisper's filter bank per spectrum: torch counts it, it is no weight of the encoder


def counted(encoder, seconds):
    wavs = torch.zeros(1, round(16000 * seconds))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(wavs, torch.ones(1))
    macs = counter.get_total_flops() // 2
    return macs - LOG_MEL * (wavs.shape[1] // 160) if encoder.family == "whisper" else macs


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("seconds", [0.5, 0.77])
def test_total_is_what_torch_counts(family, seconds, tmp_path):
    encoder = SpeechEncoder(str(write_family(family, tmp_path)), attention="eager").eval()
    assert count_macs(encoder, seconds).total == counted(encoder, seconds)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wavlm", "data2vec", "whisper"])
def test_what_is_sliced_off_does_not_count(family, tmp_path):
    encoder = SpeechEncoder(str(write_family(family, tmp_path)), attention="eager").eval()
    units = find_units(encoder, ["heads", "neurons", "channels"])
    keep = {name: torch.arange(group.count) < 3 for name, group in units.items()}
    keep["heads.0"][:] = keep["neurons.1"][:] = False
    dense = count_macs(encoder, 0.5)
    slice_(encoder, keep)
    sliced = count_macs(encoder, 0.5)
    if (
        family != "wavlm"
    ):  # torch's counter does not see into fused attention, which sliced WavLM always takes
        assert sliced.total == counted(encoder, 0.5)
    assert sliced.ffn * 64 * 3 == dense.ffn * 3 * 2
    assert sliced.attention * 4 * 3 == dense.attention * 3 * 2
    assert sliced.scores * 4 * 3 == dense.scores * 3 * 2
    assert sliced.positional == dense.positional


def test_wav2vec2_base_at_ten_seconds():
    with torch.device("meta"):
        model = AutoModel.from_config(Wav2Vec2Config())
    macs = count_macs(model, 10.0)
    frames = 499
    assert macs.attention == 12 * 4 * 768 * 768 * frames
    assert macs.ffn == 12 * 2 * 768 * 3072 * frames
    assert macs.scores == 12 * 2 * 768 * frames * frames
    assert macs.projection == 512 * 768 * frames
    assert macs.positional == 768 * 48 * 128 * (
        frames + 1
    )  # an even kernel gives one output more, cut off later
    lengths = [31999, 15999, 7999, 3999, 1999, 999, 499]
    kernels = [10, 3, 3, 3, 3, 2, 2]
    inputs = [1] + 6 * [512]
    assert macs.extractor == sum(512 * i * k * n for i, k, n in zip(inputs, kernels, lengths, strict=True))
    assert macs.total / 1e9 == pytest.approx(74.07, abs=0.01)
    assert macs.extractor / macs.total == pytest.approx(0.331, abs=0.001)


def test_dropped_frames_save_behind_the_extractor_only():
    model = make_family("wav2vec2-layer")
    whole, half = count_macs(model, 4.0), count_macs(model, 4.0, frames=100)
    assert half.extractor == whole.extractor
    assert half.ffn * 199 == whole.ffn * 100
    assert half.scores * 199**2 == whole.scores * 100**2


def test_parts_add_up_and_have_names():
    macs = Macs(1, 2, 4, 8, 16, 32)
    assert (macs.transformer, macs.total) == (56, 63)
    assert macs.as_metrics()["scores"] == 16


def test_a_module_without_an_encoder_is_refused():
    with pytest.raises(UserError, match="holds no encoder"):
        count_macs(torch.nn.Linear(2, 2), 1.0)


def test_adapters_do_not_count(tmp_path):
    encoder = SpeechEncoder(str(write_family("wav2vec2-group", tmp_path)))
    dense = count_macs(encoder, 0.5)
    finetune_(encoder, "lora", 2, 4.0)
    assert count_macs(encoder, 0.5) == dense
