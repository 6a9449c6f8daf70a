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

import threading
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class Mask(NamedTuple):
    """A mask as the operators below take it.

    Attributes
    ----------
    score : Tensor or None
        The scores A; of size 1 along an axis where they are shared. None for a fixed mask.
    keep : bool Tensor
        True where a weight is kept; shape of the weight, or broadcastable to it.
    threshold : float or None
        If given, ``keep == (|score| > threshold)`` is promised.
    sigmoid : bool
        Pass the gradient through ``sigmoid(|A|)`` instead of the identity.
    """

    score: Tensor | None
    keep: Tensor
    threshold: float | None = None
    sigmoid: bool = False


def apply_mask(weight: Tensor, mask: Mask, out: Tensor | None = None) -> Tensor:
    """Zero the removed weights.

    Parameters
    ----------
    weight : Tensor
        Shape (out, in) or (out, in, kernel).
    mask : Mask
        What to remove; the scores are only read if there is a threshold.
    out : Tensor, optional
        Where to write the result, of the weight's shape and type.

    Returns
    -------
    Tensor
        `out` or a new tensor: the weight where kept, exactly 0 elsewhere.
    """
    out = torch.empty_like(weight) if out is None else out
    score = mask.score
    fast = score is not None and score.shape == weight.shape and score.dtype == weight.dtype == torch.float32
    if fast and mask.threshold is not None:
        # Gives its first argument where |second| > third, else 0: one pass, four times faster on a CPU than
        # torch.where, which does not vectorise over a bool.
        return torch.ops.aten.hardshrink_backward.grad_input(weight, score, mask.threshold, grad_input=out)
    return torch.where(mask.keep, weight, weight.new_zeros(()), out=out)


def score_gradient(effective: Tensor, weight: Tensor, mask: Mask) -> Tensor:
    """Turn the gradient of the masked weight into the gradient of the scores.

    Parameters
    ----------
    effective : Tensor
        dL/dW_eff, of the weight's shape; **overwritten**.
    weight : Tensor
        W.
    mask : Mask
        With scores A.

    Returns
    -------
    Tensor
        dL/dA, shape and dtype of the score; 0 where the score is 0.
    """
    score = mask.score
    gradient = effective.to(score.dtype).mul_(weight)
    if score.shape != weight.shape:
        gradient = gradient.sum_to_size(score.shape)
    gradient.mul_(torch.sign(score, out=_room(score, score.dtype)))
    if mask.sigmoid:
        half = torch.sigmoid(score.abs())
        gradient.mul_(half * (1 - half))
    return gradient


def masked_weight(weight: Tensor, mask: Mask) -> Tensor:
    """Give the masked weight with its straight-through gradient; arguments as in `apply_mask`."""
    return _MaskedWeight.apply(weight, *mask)


def masked_linear(x: Tensor, weight: Tensor, bias: Tensor | None, mask: Mask) -> Tensor:
    """Compute ``x W_eff^T + b`` without holding ``W_eff`` for the backward pass.

    Parameters
    ----------
    x : Tensor
        Shape (..., in).
    weight : Tensor
        Shape (out, in); may have a lower precision than `x`.
    bias : Tensor or None
        Shape (out,).
    mask : Mask
        Of the weight.

    Returns
    -------
    Tensor
        Shape (..., out), in the autocast dtype under autocast, else in the dtype of `x`.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    bias = None if bias is None else bias.to(x.dtype)
    return _MaskedLinear.apply(x, weight, bias, *mask)


class _MaskedWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, *mask: Any) -> Tensor:
        _save(ctx, weight, mask=Mask(*mask))
        return apply_mask(weight, Mask(*mask))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (weight,), mask = _saved(ctx)
        train_weight, train_score = ctx.needs_input_grad[:2]
        grad_weight = torch.where(mask.keep, grad, 0) if train_weight else None
        # A gradient that comes from outside may be used elsewhere too: work on a copy.
        grad_score = score_gradient(grad.clone(), weight, mask) if train_score else None
        return grad_weight, grad_score, None, None, None


class _MaskedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *mask: Any) -> Tensor:
        learns = ctx.needs_input_grad[1] or ctx.needs_input_grad[3]
        _save(ctx, x if learns else None, weight, mask=Mask(*mask))
        return F.linear(x, _masked_in_room(weight, Mask(*mask), x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), mask = _saved(ctx)
        train_x, train_weight, train_bias, train_score = ctx.needs_input_grad[:4]
        grad_x = grad_weight = grad_bias = grad_score = None
        rows = grad.reshape(-1, grad.shape[-1])
        if train_x:
            effective = _masked_in_room(weight, mask, grad.dtype)
            grad_x = (rows @ effective).view(*grad.shape[:-1], weight.shape[1])
        if train_bias:
            grad_bias = rows.sum(0)
        if train_weight or train_score:
            grad_effective = rows.T @ x.reshape(-1, x.shape[-1])
            if train_weight:
                grad_weight = torch.where(mask.keep, grad_effective, 0).to(weight.dtype)
            if train_score:
                grad_score = score_gradient(grad_effective, weight, mask)
        return grad_x, grad_weight, grad_bias, grad_score, None, None, None


def _save(ctx: FunctionCtx, *tensors: Tensor | None, mask: Mask) -> None:
    ctx.save_for_backward(*tensors, mask.score, mask.keep)
    ctx.threshold, ctx.sigmoid = mask.threshold, mask.sigmoid


def _saved(ctx: Any) -> tuple[list[Tensor | None], Mask]:
    *tensors, score, keep = ctx.saved_tensors
    return tensors, Mask(score, keep, ctx.threshold, ctx.sigmoid)


def _masked_in_room(weight: Tensor, mask: Mask, dtype: torch.dtype) -> Tensor:
    masked = apply_mask(weight, mask, out=_room(weight, weight.dtype))
    return masked if dtype == weight.dtype else _room(weight, dtype).copy_(masked)


class _Rooms(threading.local):
    def __init__(self) -> None:
        self.by_dtype: dict[torch.dtype, Tensor] = {}


_rooms = _Rooms()


def _room(like: Tensor, dtype: torch.dtype) -> Tensor:
    """Give memory shaped like a tensor, for use until the next call; on the CPU each thread has one per dtype.

    Matrices of some MB that come and go between the activations kept for the backward pass would leave holes in
    the heap, which count as used memory to the end.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like, dtype=dtype)
    memory = _rooms.by_dtype.get(dtype)
    if memory is None or memory.numel() < like.numel():
        with torch.inference_mode(False):  # training could not write to memory that inference made
            memory = _rooms.by_dtype[dtype] = torch.empty(like.numel(), dtype=dtype)
    return memory[: like.numel()].view(like.shape)
