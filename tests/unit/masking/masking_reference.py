"""The definition of the masked layer, written down once more: a full sort, plain loops, no autograd."""

import numpy as np


def kept(scores, zeros):
    """Sort all entries of one flat list by (magnitude, position); the first ``zeros`` go."""
    order = sorted(range(len(scores)), key=lambda i: (abs(scores[i]), i))
    return np.array([i not in set(order[:zeros]) for i in range(len(scores))])


def linear(x, weight, score, zeros, grad):
    """Forward and straight-through backward of y = x (W m)^T, in double precision."""
    x, weight, score, grad = (np.asarray(a, np.float64) for a in (x, weight, score, grad))
    mask = kept(score.ravel(), zeros).reshape(score.shape) * np.ones_like(weight)
    effective = weight * mask
    d_effective = grad.T @ x
    d_score = np.sign(score) * (d_effective * weight)
    for axis in range(2):
        if score.shape[axis] == 1:
            d_score = d_score.sum(axis, keepdims=True)
    return x @ effective.T, grad @ effective, d_score, d_effective * mask
