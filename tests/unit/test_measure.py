import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from s3_speechbrain import measure
from s3_speechbrain.errors import UserError


class Scored(nn.Module):
    def __init__(self, like):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros_like(like))

    def forward(self, weight):
        return weight * (self.scores >= 0)


def test_parameters_are_counted_once_and_frozen_ones_are_not_trainable():
    encoder, head = nn.Linear(4, 3), nn.Linear(3, 2)  # 4*3+3 = 15 and 3*2+2 = 8
    encoder.requires_grad_(False)
    assert measure.count_parameters(encoder, head, head) == (23, 8)


def test_mask_scores_are_trainable_but_no_part_of_the_network():
    layer = nn.Linear(4, 3)
    layer.requires_grad_(False)
    parametrize.register_parametrization(layer, "weight", Scored(layer.weight))
    assert measure.count_parameters(layer) == (15, 12)


def test_entropy_of_a_mask_by_hand():
    # half of 16 bits: 16 * 1 bit = 2 bytes; a quarter of 32: 32 * (0.25 * 2 + 0.75 * log2(4/3)) / 8
    assert measure.entropy_bytes(8, 16) == 2.0
    assert math.isclose(measure.entropy_bytes(8, 32), 4 * (0.5 + 0.75 * math.log2(4 / 3)))
    assert measure.entropy_bytes(0, 9) == measure.entropy_bytes(9, 9) == 0.0
    with pytest.raises(ValueError, match="10 kept of 9"):
        measure.entropy_bytes(10, 9)


@settings(deadline=None)
@given(st.integers(1, 10_000), st.floats(0, 1))
def test_entropy_never_exceeds_one_bit_per_weight_and_is_symmetric(total, share):
    kept = round(share * total)
    assert 0 <= measure.entropy_bytes(kept, total) <= total / 8 + 1e-9
    assert math.isclose(
        measure.entropy_bytes(kept, total), measure.entropy_bytes(total - kept, total), abs_tol=1e-9
    )


def test_bytes_of_a_language_by_hand():
    masks = {"a": torch.tensor([True, False] * 4), "b": torch.ones(3, 3, dtype=torch.bool)}
    head = nn.Linear(4, 2)
    found = measure.language_bytes(masks, head.parameters(), ["a", "é", "<blank>"])
    assert found.entropy == 1.0  # 8 bits at one half; the full mask holds no information
    assert found.masks == 1 + 2  # 8 bits and 9 bits, each in whole bytes
    assert found.weights == 10 * 4
    assert found.vocabulary == 2 + 3 + 8  # a, two bytes of é, <blank>, and three line ends
    assert (found.packed, found.bound) == (56, 54)
    assert measure.language_bytes(None, head.parameters(), dtype=torch.float16).packed == 20


def test_peak_memory_grows_with_what_is_held():
    before = measure.peak_rss_mb()
    held = torch.ones(60_000_000, dtype=torch.uint8)
    assert measure.peak_rss_mb() >= before
    assert measure.peak_rss_mb() >= held.numel() / 1e6


def test_the_real_time_factor_is_seconds_per_second_of_audio(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    calls = []
    found = measure.real_time_factor(calls.append, [torch.zeros(16000), torch.zeros(48000)], repeats=2)
    assert found.rtf == 0.5  # every clip takes one tick, two for four seconds of audio
    assert (found.audio_s, found.dtype, found.device, found.repeats) == (4.0, "float32", "cpu", 2)
    assert found.threads == torch.get_num_threads()
    assert len(calls) == 1 + 2 * 2  # one clip to warm up, then two passes


def test_recognisers_are_measured_in_turns(monkeypatch):
    clock = iter([*(0, 4, 0, 8), *(0, 6, 0, 2), *(0, 5, 0, 3)])  # start and end of each clip
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    order = []
    found = measure.real_time_factors(
        [lambda _: order.append("a"), lambda _: order.append("b")], [torch.zeros(16000)], repeats=3
    )
    assert order == ["a", "b"] * 4
    assert [speed.rtf for speed in found] == [4.0, 2.0]


def test_of_each_clip_the_fastest_pass_counts(monkeypatch):
    clock = iter([*(0, 4, 0, 1), *(0, 2, 0, 3)])  # two clips, two passes
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(clock)))
    found = measure.real_time_factor(
        lambda _: None, [torch.zeros(16000), torch.zeros(16000)], repeats=2, warmup=0
    )
    assert found.rtf == (2 + 1) / 2


def test_the_real_time_factor_runs_without_gradients_and_tells_its_conditions():
    layer = nn.Linear(1, 1)
    seen = []
    speed = measure.real_time_factor(
        lambda clip: seen.append(layer(clip[:, None]).requires_grad), [torch.zeros(800)], dtype=torch.bfloat16
    )
    assert not any(seen)
    fields = speed.as_metrics()
    assert fields["dtype"] == "bfloat16"
    assert set(fields) == {"rtf", "threads", "dtype", "device", "audio_s", "repeats", "load"}


@pytest.mark.parametrize("clips", [[], [torch.zeros(0)]])
def test_the_real_time_factor_of_no_audio_is_a_user_error(clips):
    with pytest.raises(UserError, match="at least one clip"):
        measure.real_time_factor(print, clips)


def test_the_clock_goes_on_after_a_resume(monkeypatch):
    ticks = iter([5.0, 7.0, 8.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(ticks))
    with measure.WallClock(already=100.0) as clock:
        assert clock.seconds == 102.0
    assert clock.seconds == clock.seconds == 103.0


def test_versions_name_what_decides_a_result():
    found = measure.versions()
    assert found["torch"] == torch.__version__
    assert {"python", "speechbrain", "transformers", "numpy"} <= set(found)
