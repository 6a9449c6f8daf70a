"""A clip's units depended on the clips beside it: on their level (MFCCs), and on the padding up to their length."""

import pytest
import torch
from toy_encoders import write_encoder
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.pretraining.objectives import PAST
from s3_speechbrain.pretraining.units import KMeansUnits, RandomProjectionUnits, TeacherLayer, mfcc_features


def clips():
    """Return noise that swells and fades, of 0.4 to 2.3 s, the loudest 50 dB above the softest."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for samples, level in ((36813, -25), (20007, 0), (6411, -50), (29999, -50), (6400, -12), (13337, -37)):
        swell = 1e-4 + torch.sin(torch.arange(samples) / 1500).square()
        found.append(10 ** (level / 20) * swell * torch.randn(samples, generator=generator))
    return found


def padded(chosen):
    sizes = torch.tensor([len(clip) for clip in chosen])
    return torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True), sizes / sizes.max()


def whisper(folder):
    config = WhisperConfig(d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64)
    torch.manual_seed(0)
    WhisperEncoder(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["random projection", "mfcc", "whisper", "wav2vec2"])
def test_units_are_the_same_alone_and_in_a_batch(kind, tmp_path):
    every = clips()
    if kind == "random projection":
        labeller = RandomProjectionUnits(units=64)
    elif kind == "mfcc":
        labeller = KMeansUnits(mfcc_features, units=32)
    else:
        folder = whisper(tmp_path) if kind == "whisper" else write_encoder(tmp_path)
        labeller = KMeansUnits(TeacherLayer(SpeechEncoder(str(folder), freeze=True), 1), units=32)
    if isinstance(labeller, KMeansUnits):
        labeller.fit([(*padded(every), [])])
    alone = [labeller(*padded([clip]))[0] for clip in every]
    assert len(torch.cat(alone).unique()) > 8
    for order in (range(6), (5, 4, 3), (2, 1), (3, 0)):
        labels = labeller(*padded([every[i] for i in order]))
        for row, i in zip(labels, order, strict=True):
            count = len(alone[i])
            assert torch.equal(row[:count], alone[i])
            assert (row[count:] == PAST).all()


def test_centroids_are_the_same_whatever_the_batches():
    every = clips()
    one = KMeansUnits(mfcc_features, units=8).fit([(*padded(every), [])])
    each = KMeansUnits(mfcc_features, units=8).fit([(*padded([clip]), []) for clip in every])
    assert torch.equal(one.centroids, each.centroids)


def test_a_clip_shorter_than_a_window_has_units():
    for labeller in (RandomProjectionUnits(units=8), KMeansUnits(mfcc_features, units=8)):
        if isinstance(labeller, KMeansUnits):
            labeller.fit([(*padded(clips()), [])])
        labels = labeller(*padded([torch.ones(16000), torch.ones(100)]))
        assert (labels[1] != PAST).sum() == 1
