"""Forward and backward of a masked layer, against the definition and against a worked example."""

import masking_reference as reference
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.masking.selection import keep_largest, select_
from s3_speechbrain.masking.straight_through import Mask, apply_mask, masked_linear, masked_weight

W = torch.tensor([[1.0, -2.0, 3.0], [4.0, -5.0, 6.0]])
A = torch.tensor([[0.3, -0.1, 0.2], [-0.4, 0.05, 0.6]])  # the two smallest: 0.05 and 0.1


def test_worked_example():
    x = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    weight, score = W.clone().requires_grad_(), A.clone().requires_grad_()
    [keep] = keep_largest([score], 2)
    y = masked_linear(x, weight, None, Mask(score, keep))
    assert y.tolist() == [[1 + 9, 4 + 18]]
    y.backward(torch.tensor([[1.0, -1.0]]))
    assert x.grad.tolist() == [[1 - 4, 0, 3 - 6]]
    # sign(A) * dL/dW_eff * W with dL/dW_eff = [[1, 2, 3], [-1, -2, -3]]; removed entries have a gradient too
    assert score.grad.tolist() == [[1, 4, 9], [4, 10, -18]]
    assert weight.grad.tolist() == [[1, 0, 3], [-1, 0, -3]]


@given(
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(1, 4),
    st.sampled_from(["element", "row", "column"]),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_definition(rows, columns, batch, structure, data):
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    shape = {"element": (rows, columns), "row": (rows, 1), "column": (1, columns)}[structure]
    weight = torch.randn(rows, columns, requires_grad=True)
    score = torch.randint(-4, 5, shape).float().requires_grad_()  # ties, and zeros, whose gradient is zero
    x, grad = torch.randn(batch, columns, requires_grad=True), torch.randn(batch, rows)
    zeros = data.draw(st.integers(0, score.numel()))
    keep = torch.empty(shape, dtype=torch.bool)
    threshold = select_([score], zeros, [keep])
    wanted = reference.linear(x.detach(), weight.detach(), score.detach(), zeros, grad)

    fused = masked_linear(x, weight, None, Mask(score, keep, threshold))
    plain = x @ masked_weight(weight, Mask(score, keep, threshold)).T
    for y in (fused, plain):
        found = (y, *torch.autograd.grad(y, (x, score, weight), grad))
        for ours, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours.double(), torch.as_tensor(theirs), rtol=1e-5, atol=1e-5)


def test_the_fast_pass_and_the_mask_give_the_same_bits():
    weight, score = torch.randn(40, 30), torch.randn(40, 30)
    keep = torch.empty(40, 30, dtype=torch.bool)
    threshold = select_([score], 300, [keep])
    assert threshold is not None
    assert torch.equal(apply_mask(weight, Mask(score, keep, threshold)), apply_mask(weight, Mask(None, keep)))


def test_sigmoid_scales_the_gradient_by_its_slope():
    score = A.clone().requires_grad_()
    [keep] = keep_largest([score], 2)
    masked_weight(W, Mask(score, keep, sigmoid=True)).backward(torch.ones_like(W))
    slope = torch.sigmoid(A.abs()) * torch.sigmoid(-A.abs())
    torch.testing.assert_close(score.grad, A.sign() * W * slope)


def test_a_gradient_from_outside_is_not_overwritten():
    score = A.clone().requires_grad_()
    grad = torch.ones_like(W)
    masked_weight(W, Mask(score, A > 0)).backward(grad)
    assert bool((grad == 1).all())


def test_batch_and_time_axes_are_kept():
    x = torch.randn(2, 5, 3, requires_grad=True)
    score = A.clone().requires_grad_()
    y = masked_linear(x, W, torch.ones(2, requires_grad=True), Mask(score, A > 0))
    y.sum().backward()
    assert (y.shape, x.grad.shape) == ((2, 5, 2), (2, 5, 3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_gives_its_dtype_and_full_precision_score_gradients(dtype):
    weight = torch.randn(8, 16)
    score = torch.randn(8, 16, requires_grad=True)
    keep = torch.empty(8, 16, dtype=torch.bool)
    threshold = select_([score], 40, [keep])
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        y = masked_linear(torch.randn(4, 16), weight, torch.zeros(8), Mask(score, keep, threshold))
    y.float().sum().backward()
    assert (y.dtype, score.grad.dtype) == (dtype, torch.float32)


def test_no_masked_copy_is_held_for_the_backward_pass():
    held = []
    score, x = torch.randn(8, 16, requires_grad=True), torch.randn(4, 16, requires_grad=True)
    weight, keep = torch.randn(8, 16), torch.ones(8, 16, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.data_ptr()) or t, lambda t: t):
        masked_linear(x, weight, None, Mask(score, keep))
    assert set(held) == {t.data_ptr() for t in (x, weight, score, keep)}


def test_layers_share_their_working_memory_without_mixing_their_values():
    masks = [Mask(score := torch.randn(8, 16, requires_grad=True), score > 0) for _ in range(2)]
    weights = [torch.randn(8, 16), torch.randn(8, 16)]
    x = torch.randn(4, 16, requires_grad=True)
    ys = [masked_linear(x, weight, None, mask) for weight, mask in zip(weights, masks, strict=True)]
    (ys[0] * ys[1]).sum().backward()
    plain = [weight * mask.keep for weight, mask in zip(weights, masks, strict=True)]
    torch.testing.assert_close(ys[0], x @ plain[0].T)
    torch.testing.assert_close(x.grad, ys[1] @ plain[0] + ys[0] @ plain[1])
    torch.testing.assert_close(masks[0].score.grad, masks[0].score.sign() * weights[0] * (ys[1].T @ x))


def test_inference_before_training_leaves_training_possible():
    score = torch.randn(64, 65, requires_grad=True)  # larger than any other here: inference makes the memory
    mask = Mask(score, score > 0)
    with torch.inference_mode():
        masked_linear(torch.randn(4, 65), torch.randn(64, 65), None, mask)
    masked_linear(torch.randn(4, 65), torch.randn(64, 65), None, mask).sum().backward()
    assert score.grad.isfinite().all()
