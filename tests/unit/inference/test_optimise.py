"""Levers: pulled where the error allows it, refused with a reason elsewhere, and no switch is left behind."""

import threading

import pytest
import torch
from model_folders import make_model

from s3_speechbrain.errors import UserError
from s3_speechbrain.inference import optimise
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.inference.optimise import Limit, difference, onednn_products, optimize_for_inference

WIDE = dict.fromkeys(("onednn", "bf16", "int8"), Limit(0.5, 1.0))
NARROW = dict.fromkeys(WIDE, Limit(-1.0, 1.0))  # no error is small enough
PRODUCTS = torch.backends.mkldnn.matmul


@pytest.fixture
def recogniser(tmp_path):
    return make_model(tmp_path)


def clip_of(samples=9000):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(4))


def switch_rounds():
    """Tell whether the switch is real bfloat16 here, as on a CPU with matrix units (AMX)."""
    matrix = torch.randn(64, 64, generator=torch.Generator().manual_seed(4))
    exact = matrix @ matrix
    with onednn_products():
        return bool((matrix @ matrix - exact).norm() > 1e-4 * exact.norm())


@pytest.mark.parametrize(
    ("dtype", "levers"),
    [("float32", ["onednn"]), ("bfloat16", ["bf16"]), ("int8", ["onednn", "int8"])],
)
def test_levers_within_their_limits_are_applied(recogniser, dtype, levers):
    exact = OneClip(recogniser)(clip_of()[None])
    optimised = optimize_for_inference(recogniser, dtype, [clip_of()], WIDE)
    assert [lever.lever for lever in optimised.levers] == levers
    assert all(lever.applied and str(lever).startswith("applied") for lever in optimised.levers)
    assert optimised.dtype == dtype
    found = optimised(clip_of()[None])
    assert found.dtype == torch.float32
    apart = float((found - exact).norm() / exact.norm())
    largest = max(lever.error for lever in optimised.levers)
    assert apart <= largest + 1e-4  # what it says of its error is true on the clip that it was shown
    assert (apart > 1e-4) == (dtype != "float32" or switch_rounds())


def test_levers_beyond_their_limits_are_refused_with_numbers(recogniser):
    optimised = optimize_for_inference(recogniser, "int8", [clip_of()], NARROW)
    assert [lever.applied for lever in optimised.levers] == [False, False]
    assert "allowed are at most" in str(optimised.levers[0])
    assert optimised.dtype == "float32"
    assert torch.equal(optimised(clip_of()[None]), OneClip(recogniser)(clip_of()[None]))


def test_a_refused_half_precision_leaves_the_faster_products(recogniser):
    optimised = optimize_for_inference(
        recogniser, "bfloat16", [clip_of()], {"bf16": Limit(0.0, 0.0), "onednn": WIDE["onednn"]}
    )
    assert [(lever.lever, lever.applied) for lever in optimised.levers] == [("bf16", False), ("onednn", True)]


def test_a_kernel_that_is_not_there_is_a_reason_and_no_crash(tmp_path, monkeypatch):
    dense_wavlm = make_model(tmp_path, "wavlm")  # its attention reads weights that 8-bit layers do not show
    lever = optimize_for_inference(dense_wavlm, "int8", [clip_of()], WIDE).levers[-1]
    assert (lever.lever, lever.applied, lever.error) == ("int8", False, None)
    assert "cannot run here" in lever.why
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    refused = optimize_for_inference(dense_wavlm, "bfloat16", [clip_of()], WIDE).levers
    assert [str(lever) for lever in refused] == [
        "refused bf16: this PyTorch was built without oneDNN",
        "refused onednn: this PyTorch was built without oneDNN",
    ]


def test_an_arithmetic_that_is_worse_than_its_name_is_refused(recogniser, monkeypatch):
    """As on a CPU with matrix units, where the switch is real bfloat16: the error decides."""
    monkeypatch.setitem(optimise._LEVERS, "onednn", optimise._half)
    lever = optimize_for_inference(recogniser, "float32", [clip_of()]).levers[0]
    assert not lever.applied
    assert lever.error > 1e-3


def test_the_process_computes_as_before_afterwards(recogniser):
    before = PRODUCTS.fp32_precision, torch.backends.quantized.engine
    for dtype in ("float32", "bfloat16", "int8"):
        optimize_for_inference(recogniser, dtype, [clip_of()], WIDE)(clip_of()[None])
        assert (PRODUCTS.fp32_precision, torch.backends.quantized.engine) == before
    with pytest.raises(RuntimeError), onednn_products():
        raise RuntimeError
    assert PRODUCTS.fp32_precision == before[0]


def test_overlapping_uses_of_the_switch_end_with_the_last():
    before = PRODUCTS.fp32_precision
    entered, leave = threading.Event(), threading.Event()

    def other():
        with onednn_products():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with onednn_products():
        thread.start()
        entered.wait(10)
    assert PRODUCTS.fp32_precision == "bf16"  # the other thread still computes
    leave.set()
    thread.join()
    assert PRODUCTS.fp32_precision == before


def test_the_recogniser_stays_as_it_is(recogniser):
    before = {name: value.clone() for name, value in recogniser.state_dict().items()}
    optimize_for_inference(recogniser, "bfloat16", None, WIDE)
    assert all(torch.equal(value, before[name]) for name, value in recogniser.state_dict().items())


def test_difference_by_hand():
    exact = torch.tensor([[[0.0, 3.0], [4.0, 0.0], [0.0, 5.0]]])  # labels 1, blank, 1
    assert difference([exact], [exact]) == (0.0, 0.0)
    found = exact.clone()
    found[0, 2] = torch.tensor([5.0, 0.0])  # the second label is gone
    error, changed = difference([exact], [found])
    assert error == pytest.approx((50 / 50) ** 0.5)
    assert changed == 0.5
    assert difference([exact], [exact[:, :1]]) == (None, 0.5)
    assert difference([exact], [exact / 0])[0] == float("inf")


def test_mistakes_are_told_in_one_line(recogniser):
    with pytest.raises(UserError, match="choose one of float32, bfloat16, int8"):
        optimize_for_inference(recogniser, "float16")
    with pytest.raises(UserError, match="long enough"):
        optimize_for_inference(recogniser, "float32", [torch.zeros(10)])
