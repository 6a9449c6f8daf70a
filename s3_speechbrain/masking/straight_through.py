"""The masked weight and its straight-through gradient (S3-Router, arXiv 2211.01522).

Forward, with a mask ``m`` that is 1 for the top-k of ``|A|``::

    W_eff = W * m                    y = x W_eff^T + b

Backward: the top-k has no useful derivative, so it is treated as the identity, ``dm/d|A| = 1``. Then, for
*every* entry, kept or not::

    dL/dA = sign(A) * dL/dW_eff * W  [* sigmoid'(|A|) for ste="sigmoid"]
    dL/dW = dL/dW_eff * m            (only if the weights train too)

A removed connection thus still learns whether it is missed. Two things make this about as cheap as a dense
layer: the mask is applied by comparing scores with one number, in one vectorised pass, and `masked_linear`
keeps the input but not the masked weight for the backward pass; it makes it anew there.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def apply_mask(weight: Tensor, score: Tensor | None, keep: Tensor, threshold: float | None) -> Tensor:
    """Zero the removed weights.

    Parameters
    ----------
    weight : Tensor
        Shape (out, in) or (out, in, kernel).
    score : Tensor or None
        Only read if a threshold is given.
    keep : bool Tensor
        Shape of the weight, or broadcastable to it.
    threshold : float or None
        If given, ``keep == (|score| > threshold)`` is promised.

    Returns
    -------
    Tensor
        New tensor: the weight where kept, exactly 0 elsewhere.
    """
    fast = score is not None and score.shape == weight.shape and score.dtype == weight.dtype == torch.float32
    if fast and threshold is not None:
        # Gives its first argument where |second| > third, else 0: one pass, four times faster on a CPU than
        # torch.where, which does not vectorise over a bool.
        return torch.ops.aten.hardshrink_backward(weight, score, threshold)
    return torch.where(keep, weight, 0)


def score_gradient(effective: Tensor, weight: Tensor, score: Tensor, sigmoid: bool) -> Tensor:
    """Turn the gradient of the masked weight into the gradient of the scores.

    Parameters
    ----------
    effective : Tensor
        dL/dW_eff, of the weight's shape; **overwritten**.
    weight, score : Tensor
        W and A; a score of size 1 along an axis is shared along it.
    sigmoid : bool
        Pass the gradient through ``sigmoid(|A|)`` instead of the identity.

    Returns
    -------
    Tensor
        dL/dA, shape and dtype of the score; 0 where the score is 0.
    """
    gradient = effective.to(score.dtype).mul_(weight)
    if score.shape != weight.shape:
        gradient = gradient.sum_to_size(score.shape)
    gradient.mul_(torch.sign(score))
    if sigmoid:
        half = torch.sigmoid(score.abs())
        gradient.mul_(half * (1 - half))
    return gradient


def masked_weight(
    weight: Tensor, score: Tensor | None, keep: Tensor, threshold: float | None, sigmoid: bool
) -> Tensor:
    """Give the masked weight with its straight-through gradient; arguments as in `apply_mask`."""
    return _MaskedWeight.apply(weight, score, keep, threshold, sigmoid)


def masked_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    score: Tensor | None,
    keep: Tensor,
    threshold: float | None,
    sigmoid: bool,
) -> Tensor:
    """Compute ``x W_eff^T + b`` without holding ``W_eff`` for the backward pass.

    Parameters
    ----------
    x : Tensor
        Shape (..., in).
    weight : Tensor
        Shape (out, in); may have a lower precision than `x`.
    bias : Tensor or None
        Shape (out,).
    score, keep, threshold
        As in `apply_mask`.
    sigmoid : bool
        As in `score_gradient`.

    Returns
    -------
    Tensor
        Shape (..., out), in the autocast dtype under autocast, else in the dtype of `x`.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    bias = None if bias is None else bias.to(x.dtype)
    return _MaskedLinear.apply(x, weight, bias, score, keep, threshold, sigmoid)


class _MaskedWeight(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, score: Tensor | None, keep: Tensor, threshold: float | None, sigmoid: bool
    ) -> Tensor:
        ctx.save_for_backward(weight, score, keep)
        ctx.sigmoid = sigmoid
        return apply_mask(weight, score, keep, threshold)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, score, keep = ctx.saved_tensors
        train_weight, train_score = ctx.needs_input_grad[:2]
        grad_weight = torch.where(keep, grad, 0) if train_weight else None
        # A gradient that comes from outside may be used elsewhere too: work on a copy.
        grad_score = score_gradient(grad.clone(), weight, score, ctx.sigmoid) if train_score else None
        return grad_weight, grad_score, None, None, None


class _MaskedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        score: Tensor | None,
        keep: Tensor,
        threshold: float | None,
        sigmoid: bool,
    ) -> Tensor:
        ctx.threshold, ctx.sigmoid = threshold, sigmoid
        learns = ctx.needs_input_grad[1] or ctx.needs_input_grad[3]
        ctx.save_for_backward(x if learns else None, weight, score, keep)
        return F.linear(x, apply_mask(weight, score, keep, threshold).to(x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, score, keep = ctx.saved_tensors
        train_x, train_weight, train_bias, train_score = ctx.needs_input_grad[:4]
        grad_x = grad_weight = grad_bias = grad_score = None
        rows = grad.reshape(-1, grad.shape[-1])
        if train_x:
            effective = apply_mask(weight, score, keep, ctx.threshold).to(grad.dtype)
            grad_x = (rows @ effective).view(*grad.shape[:-1], weight.shape[1])
        if train_bias:
            grad_bias = rows.sum(0)
        if train_weight or train_score:
            grad_effective = rows.T @ x.reshape(-1, x.shape[-1])
            if train_weight:
                grad_weight = torch.where(keep, grad_effective, 0).to(weight.dtype)
            if train_score:
                grad_score = score_gradient(grad_effective, weight, score, ctx.sigmoid)
        return grad_x, grad_weight, grad_bias, grad_score, None, None, None
