import math

import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.pretraining.objectives import (
    PAST,
    LayerRegression,
    MaskedPrediction,
    Standardise,
    TaughtLayers,
    frame_centre,
    frames_late,
)
from s3_speechbrain.pretraining.student import band_pass_filters, build_student, save_half, take_layers_
from s3_speechbrain.pretraining.units import KMeansUnits, RandomProjectionUnits, TeacherLayer, mfcc_features

SMALL = {"width": 32, "layers": 2, "heads": 4, "ffn": 64, "conv_dim": [16, 8, 8, 8]}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    config = WhisperConfig(d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=64)
    WhisperEncoder(config).save_pretrained(folder)
    return SpeechEncoder(str(folder), freeze=True)


@pytest.fixture
def student(tmp_path):
    return build_student(tmp_path / "student", **SMALL)


def batch():
    wavs = torch.randn(3, 16000, generator=torch.Generator().manual_seed(0))
    return wavs, torch.tensor([1.0, 0.5, 0.25]), ["a", "b", "c"]


def train(student, objective, steps):
    """Train on one batch; return the losses."""
    optimizer = torch.optim.Adam([*student.parameters(), *objective.parameters()], 3e-3)
    student.train()
    losses = []
    for _ in range(steps):
        loss = objective(student, *batch())["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_copied_layers_compute_what_the_teachers_do(student, teacher):
    take_layers_(student, teacher, [0, 2])
    student.eval()
    hidden = torch.randn(2, 20, 32)
    with torch.no_grad():
        for mine, theirs in ((0, 0), (1, 2)):
            ours = student.layers[mine](hidden)
            ours = ours[0] if isinstance(ours, tuple) else ours
            torch.testing.assert_close(ours, teacher.layers[theirs](hidden, None), atol=1e-6, rtol=1e-5)
    with pytest.raises(UserError, match="Whisper teacher"):
        take_layers_(student, student, [0])


def test_standardised_frames_have_zero_mean_and_unit_variance():
    frames = 3 + 2 * torch.randn(5000, 4)
    scale = Standardise(4)
    scale.update(frames)  # the first batch sets the statistics
    out = scale(frames)
    torch.testing.assert_close(out.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)


def test_regression_learns_and_leaves_the_teacher_alone(student, teacher):
    torch.manual_seed(0)
    objective = LayerRegression(teacher, [(1, 1), (2, 3)], student.width)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    losses = train(student, objective, steps=15)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any("teacher" in name for name in objective.state_dict())


def test_remembered_layers_are_those_of_the_teacher(teacher):
    wavs, lengths, names = batch()
    fresh, frames = TaughtLayers(teacher, [1, 3])(wavs, lengths, names)
    keeper = TaughtLayers(teacher, [1, 3], remember=True)
    keeper(wavs, lengths, names)
    again, counts = keeper(
        wavs.flip(0)[:, :8000], lengths[[2, 1]] * 2, ["c", "b"]
    )  # another batch, other padding
    assert counts.tolist() == frames[[2, 1]].tolist()
    for layer in (1, 3):
        for row, old in ((0, 2), (1, 1)):
            count = int(counts[row])
            torch.testing.assert_close(
                again[layer][row, :count], fresh[layer][old, :count], atol=2e-3, rtol=2e-3
            )


@pytest.mark.parametrize("kind", ["random projection", "mfcc", "teacher"])
def test_masked_prediction_learns_units(kind, student, teacher):
    torch.manual_seed(0)
    if kind == "random projection":
        labeller = RandomProjectionUnits(units=16)
    else:
        features = mfcc_features if kind == "mfcc" else TeacherLayer(teacher, 2)
        labeller = KMeansUnits(features, units=8).fit([batch()], seed=1)
    labels = labeller(*batch()[:2])
    assert labels.dtype == torch.int64
    assert all(0 <= unit < labeller.units for unit in labels[labels != PAST].tolist())
    late = frames_late(student, labeller.centre)
    assert abs(labels.shape[1] - late - int(student.frame_count(16000))) <= 1
    objective = MaskedPrediction(labeller, student.width, {"prob": 0.5, "length": 4})
    losses = train(student, objective, steps=25)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert student.mask_vector.requires_grad


def test_random_projection_units_are_the_nearest_codes_of_a_hand_made_frame():
    units = RandomProjectionUnits(units=8, width=4, seed=3)
    wavs, lengths, _ = batch()
    mel = (units.mel(wavs[:1]) + 1e-6).log().transpose(1, 2)[0]
    normal = (mel - mel.mean(0)) / (mel.std(0, unbiased=False) + 1e-5)
    frame = torch.cat([normal[6], normal[7]]) @ units.projection
    expected = (units.codebook - frame / frame.norm()).norm(dim=1).argmin()
    assert units(wavs[:1], lengths[:1])[0, 3] == expected


def test_too_few_frames_for_the_units_are_told():
    with pytest.raises(UserError, match="cannot give 500 units"):
        KMeansUnits(mfcc_features, units=500).fit([batch()])


def test_impossible_sizes_are_told(tmp_path):
    with pytest.raises(UserError, match="multiply to 320"):
        build_student(tmp_path, conv_stride=(160, 1, 1, 1))
    with pytest.raises(UserError, match="attention heads"):
        build_student(tmp_path, width=30, heads=4)


def test_the_saved_half_precision_folder_is_an_encoder(student, tmp_path):
    save_half(student, tmp_path / "half")
    again = SpeechEncoder(str(tmp_path / "half"))
    assert again.family == "wav2vec2"
    wavs, lengths, _ = batch()
    with torch.no_grad():
        ours, theirs = student.eval()(wavs, lengths).hidden, again.eval()(wavs, lengths).hidden
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)


def test_a_band_pass_filter_answers_its_own_frequency():
    filters = band_pass_filters(128, 400)
    assert filters.shape == (128, 400)
    tone = torch.cos(2 * torch.pi * 1000 * torch.arange(400) / 16000)
    answer = (filters @ tone).abs().view(32, 4).amax(1)
    centres = 700 * torch.linspace(math.log1p(80 / 700), math.log1p(7600 / 700), 32).expm1()
    assert abs(centres[answer.argmax()] - 1000) < 200
    torch.testing.assert_close(filters[0], -filters[2], atol=1e-4, rtol=1e-3)  # opposite phases


def test_frames_are_matched_by_their_centres(student, teacher):
    # kernels 400, 1, 3, 3 with strides 160, 1, 1, 2: 400 + 2 * 160 + 2 * 160 samples, two frames late at 32.5 ms
    assert frame_centre(student) == 520
    assert frame_centre(teacher) == 0
    assert frames_late(student, frame_centre(teacher)) == 2
    assert frames_late(student, 200.0) == 1
