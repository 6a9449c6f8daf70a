"""A sliced encoder gives what the masked one gives, for any pattern, in every family."""

import copy
import json

import pytest
import torch
from families import write_family
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structured_tools import ALL, FAMILIES, random_keep, stirred, zero_columns_

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.slicing import slice_, sliced_config
from s3_speechbrain.structured.units import find_units, parameter_at

LAYERS, HEADS, NEURONS = 3, 4, 64
WAVS = torch.randn(2, 2800, generator=torch.Generator().manual_seed(1))
LENGTHS = torch.tensor([1.0, 0.7])


@pytest.fixture(scope="module", params=FAMILIES)
def speech_encoder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_family(request.param, folder)
    encoder = SpeechEncoder(str(folder)).eval()
    encoder.model.load_state_dict(stirred(request.param).state_dict())
    return encoder


def outputs(encoder):
    with torch.no_grad():
        hidden, frames = encoder(WAVS, LENGTHS)
    return torch.cat([row[:count] for row, count in zip(hidden, frames, strict=True)])


def count(encoder):
    return sum(parameter.numel() for parameter in encoder.parameters())


def assert_same(encoder, keep):
    masked, sliced = copy.deepcopy(encoder), copy.deepcopy(encoder)
    zero_columns_(masked, keep)
    slice_(sliced, keep)
    torch.testing.assert_close(outputs(sliced), outputs(masked), atol=1e-5, rtol=1e-5)
    return sliced


@st.composite
def patterns(draw):
    keep = {}
    for layer in range(LAYERS):
        keep[f"heads.{layer}"] = draw(st.lists(st.booleans(), min_size=HEADS, max_size=HEADS))
        count = draw(st.sampled_from([0, 1, 7, NEURONS - 1, NEURONS]))
        seed = draw(st.integers(0, 99))
        order = torch.randperm(NEURONS, generator=torch.Generator().manual_seed(seed))
        keep[f"neurons.{layer}"] = (order < count).tolist()
    return {name: torch.tensor(mask) for name, mask in keep.items()}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=patterns())
def test_any_pattern_of_heads_and_neurons(speech_encoder, attention, keep):
    speech_encoder.model.set_attn_implementation(attention)
    assert_same(speech_encoder, keep)


@pytest.mark.parametrize("kept", [0, 1])
def test_layers_with_nothing_or_one_unit_left(speech_encoder, kept):
    keep = {name: torch.arange(g.count) < kept for name, g in find_units(speech_encoder).items()}
    sliced = assert_same(speech_encoder, keep)
    gone = sum(
        (group.count - kept) * parameter_at(speech_encoder, part.parameter).numel() // group.count
        for group in find_units(speech_encoder).values()
        for part in group.parts
    )
    shared = 8 * 8 + 8 if speech_encoder.family == "wavlm" and not kept else 0  # the gates' linear map
    assert count(sliced) == count(speech_encoder) - gone - LAYERS * shared


def test_one_kind_alone_and_nothing_removed(speech_encoder):
    for kind in ("heads", "neurons"):
        assert_same(speech_encoder, random_keep(speech_encoder, 3, [kind]))
    everything = {
        name: torch.ones(g.count, dtype=torch.bool) for name, g in find_units(speech_encoder).items()
    }
    same = copy.deepcopy(speech_encoder)
    slice_(same, everything)
    assert torch.equal(outputs(same), outputs(speech_encoder))


def test_slicing_twice_is_slicing_once(speech_encoder):
    first = random_keep(speech_encoder, 4, least=2)
    second = {name: torch.arange(int(mask.sum())) % 2 == 0 for name, mask in first.items()}
    both = {}
    for name, mask in first.items():
        both[name] = mask.clone()
        both[name][mask] = second[name]
    once, twice = copy.deepcopy(speech_encoder), copy.deepcopy(speech_encoder)
    slice_(once, both)
    slice_(twice, first)
    slice_(twice, second)
    assert torch.equal(outputs(once), outputs(twice))
    assert once.model.config.sliced == twice.model.config.sliced


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_saved_sliced_encoder_is_rebuilt_without_the_original_weights(speech_encoder, share, tmp_path):
    sliced = copy.deepcopy(speech_encoder)
    keep = random_keep(speech_encoder, 6, ALL, share)
    described = sliced_config(speech_encoder, keep)
    assert json.loads(json.dumps(described)) == described
    slice_(sliced, keep)
    sliced.save_pretrained(tmp_path)
    loaded = SpeechEncoder(str(tmp_path)).eval()
    assert torch.equal(outputs(loaded), outputs(sliced))
    random = SpeechEncoder(str(tmp_path), pretrained=False)
    shapes = {name: value.shape for name, value in sliced.model.named_parameters()}
    assert {name: value.shape for name, value in random.model.named_parameters()} == shapes


def test_training_goes_on_after_slicing(speech_encoder):
    encoder = copy.deepcopy(speech_encoder)
    slice_(encoder, random_keep(encoder, 2))
    encoder.train()(WAVS, LENGTHS).hidden.square().mean().backward()
    for layer in encoder.layers:
        assert all(p.grad is not None for name, p in layer.named_parameters() if "rel_attn_embed" not in name)


def test_masks_that_do_not_fit_are_refused(speech_encoder):
    keep = random_keep(speech_encoder, 0)
    with pytest.raises(UserError, match=r"heads\.1.*missing"):
        slice_(speech_encoder, {name: mask for name, mask in keep.items() if name != "heads.1"})
    with pytest.raises(UserError, match=r"heads\.9.*not in this encoder"):
        slice_(speech_encoder, {**keep, "heads.9": keep["heads.0"]})
    with pytest.raises(UserError, match=r"neurons\.0.*shape"):
        slice_(speech_encoder, {**keep, "neurons.0": keep["neurons.0"][:-1]})
    none = {name: torch.zeros(g.count).bool() for name, g in find_units(speech_encoder, ["channels"]).items()}
    with pytest.raises(UserError, match="needs one channel"):
        slice_(speech_encoder, none)


def test_a_damaged_sliced_folder_is_told_in_one_line(speech_encoder, tmp_path):
    encoder = copy.deepcopy(speech_encoder)
    slice_(encoder, random_keep(encoder, 1, least=1))
    encoder.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())

    def write(**changes):
        stored["sliced"].update(changes)
        (tmp_path / "config.json").write_text(json.dumps(stored))

    neurons = list(stored["sliced"]["neurons"])
    for wrong in ({"neurons": [1]}, {"neurons": [1, 2, NEURONS + 1]}, {"neurons": "abc"}):
        write(**wrong)
        with pytest.raises(UserError, match="does not fit"):
            SpeechEncoder(str(tmp_path))
    for heads in ([[0], [9], [1]], [[0], [1, 0], [1]], [[0], [0, 0], [1]], [[0], 3, [1]]):
        write(heads=heads, neurons=neurons)
        with pytest.raises(UserError, match="does not fit"):
            SpeechEncoder(str(tmp_path))
    write(heads=[[0, 1, 2, 3]] * 3, neurons=[NEURONS, NEURONS, 5])
    with pytest.raises(UserError, match="no weights for the sliced encoder"):
        SpeechEncoder(str(tmp_path))
