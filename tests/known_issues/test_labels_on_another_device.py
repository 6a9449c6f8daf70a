"""Units were computed from weights that stayed on the CPU, so that masked prediction failed on any GPU."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from s3_speechbrain.encoders.encoder import Encoded
from s3_speechbrain.pretraining.objectives import PAST, MaskedPrediction
from s3_speechbrain.pretraining.units import KMeansUnits, RandomProjectionUnits, TeacherLayer, mfcc_features

# Operations of one tensor on "meta" and one on the CPU fail, as they do between a GPU and the CPU.
ELSEWHERE = torch.device("meta")


class Teacher(nn.Module):
    """A linear layer over frames of 20 ms, in the place of an encoder."""

    family = "whisper"

    def __init__(self):
        super().__init__()
        self.model = SimpleNamespace()
        self.linear = nn.Linear(320, 6)

    def forward(self, wavs, wav_lens, all_layers):
        hidden = self.linear(wavs.unfold(1, 320, 320))
        return Encoded([hidden, hidden], torch.round(wav_lens * hidden.shape[1]).long())


def batch():
    return torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 0.5])


def labeller_of(kind):
    if kind == "random projection":
        return RandomProjectionUnits(units=16)
    features = mfcc_features if kind == "mfcc" else TeacherLayer(Teacher(), 1)
    return KMeansUnits(features, units=8).fit([(*batch(), ["a", "b"])])


@pytest.mark.parametrize("kind", ["random projection", "mfcc", "teacher"])
def test_labels_are_computed_where_the_waveforms_are(kind):
    labeller, (wavs, lengths) = labeller_of(kind), batch()
    expected = labeller(wavs, lengths)
    labels = labeller(wavs.to(ELSEWHERE), lengths)
    assert labels.device == ELSEWHERE
    assert labels.shape == expected.shape


@pytest.mark.parametrize("kind", ["random projection", "mfcc", "teacher"])
def test_nothing_of_the_labeller_is_saved_or_trained_with_the_objective(kind):
    objective = MaskedPrediction(labeller_of(kind), 4, {"prob": 0.5, "length": 2})
    assert set(objective.state_dict()) == {name for name, _ in objective.named_parameters()}
    assert set(objective.state_dict()) == {"head.weight", "head.bias"}


def test_labels_are_not_rounded_with_the_training():
    seen = []

    def labeller(wavs, wav_lens):
        seen.append((wavs @ wavs.T).dtype)
        return torch.full((len(wavs), 50), PAST)

    labeller.units, labeller.centre = 4, 0.0
    objective = MaskedPrediction(labeller, 4, {"prob": 0.5, "length": 2})
    student = SimpleNamespace(family="whisper", frame_stride=320)
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(AttributeError, match="extract"):
        objective(student, *batch(), ["a", "b"])
    assert seen == [torch.float32]
