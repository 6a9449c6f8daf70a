"""Do two likenesses go together, and do groups hang together: permutation tests on few languages.

The entries of a similarity matrix are not independent (each language stands in many pairs), so a correlation
over pairs has no usable textbook p-value. The tests here permute languages, not pairs.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from s3_speechbrain.errors import UserError

KINDS = ("pearson", "spearman")


@dataclass(frozen=True)
class Association:
    """A statistic with its permutation test.

    Attributes
    ----------
    statistic : float
        A correlation, or a difference of means.
    p : float
        Share of permutations with a statistic at least as large (in size, for two-sided tests), the one
        observed among them; never below 1 / permutations.
    permutations : int
        How many were looked at.
    exact : bool
        Whether those were all there are; otherwise a random sample.
    """

    statistic: float
    p: float
    permutations: int
    exact: bool


def mantel(
    first: np.ndarray, second: np.ndarray, kind: str = "pearson", draws: int = 9999, seed: int = 0
) -> Association:
    """Correlate two similarity (or distance) matrices of the same items (Mantel, 1967), two-sided.

    Rows and columns of one matrix are permuted together, as if the names of the items were exchanged.

    Parameters
    ----------
    first, second : array, shape (n, n)
        Symmetric, at least three items; diagonals do not count.
    kind : str
        ``pearson`` or ``spearman``.
    draws, seed : int
        Random permutations where there are more than that; all n! of them otherwise.

    Returns
    -------
    Association
        The correlation over pairs of items; nan with p 1 where a matrix does not vary.

    Raises
    ------
    UserError
        If a matrix is not square and symmetric, sizes differ, or there are fewer than three items.
    """
    first, second = (_symmetric(matrix) for matrix in (first, second))
    if first.shape != second.shape or len(first) < 3:
        raise UserError(
            f"matrices of {len(first)} and {len(second)} items: give two of the same items, three or more"
        )
    rows, columns = np.triu_indices(len(first), 1)
    fixed = _numbers(first[rows, columns], kind)
    moving = np.zeros_like(second)
    moving[rows, columns] = _numbers(second[rows, columns], kind)
    moving += moving.T
    if np.ptp(fixed) == 0 or np.ptp(moving[rows, columns]) == 0:
        return Association(math.nan, 1.0, 1, True)
    fixed = fixed - fixed.mean()
    scale = np.linalg.norm(fixed) * np.linalg.norm(moving[rows, columns] - moving[rows, columns].mean())
    orders, exact = _orders(len(first), draws, seed)
    # orders: (p, n), so the entries of all permuted triangles stand in one array (p, pairs)
    correlations = moving[orders[:, rows], orders[:, columns]] @ fixed / scale
    return _two_sided(correlations, exact)


def grouping(similarity: np.ndarray, groups: Sequence[str], draws: int = 9999, seed: int = 0) -> Association:
    """Test whether items of one group are more alike than items of different groups.

    Parameters
    ----------
    similarity : array, shape (n, n)
        Symmetric; the diagonal does not count.
    groups : sequence of str
        The group of each item, for example its language where items are runs with several seeds.
    draws, seed : int
        Random permutations of the groups where there are more than that; all of them otherwise.

    Returns
    -------
    Association
        Mean similarity within groups minus the mean between groups, and its two-sided test.

    Raises
    ------
    UserError
        If the matrix does not fit the groups, or all pairs are of one kind.
    """
    similarity = _symmetric(similarity)
    if len(similarity) != len(groups):
        raise UserError(f"{len(similarity)} masks but {len(groups)} groups: give one group per mask")
    rows, columns = np.triu_indices(len(groups), 1)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    same = codes[rows] == codes[columns]
    if same.all() or not same.any():
        raise UserError("there is nothing to compare: give two groups or more, one of them with two masks")
    weights = np.where(same, 1 / same.sum(), -1 / (~same).sum())
    orders, exact = _orders(len(groups), draws, seed)
    return _two_sided(similarity[orders[:, rows], orders[:, columns]] @ weights, exact)


def _two_sided(statistics: np.ndarray, exact: bool) -> Association:
    """Compare the first statistic, which is the observed one, with all."""
    # a permutation that changes nothing may differ in the last bit
    extreme = np.abs(statistics) >= abs(statistics[0]) * (1 - 1e-9) - 1e-15
    return Association(float(statistics[0]), float(extreme.mean()), len(statistics), exact)


def _orders(items: int, draws: int, seed: int) -> tuple[np.ndarray, bool]:
    """Return the identity and further orders of the items, and whether these are all orders."""
    if math.factorial(items) <= draws:
        return np.array(list(itertools.permutations(range(items)))), True
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(np.arange(items), (draws, 1)), axis=1)
    return np.concatenate([np.arange(items)[None], shuffled]), False


def _numbers(values: Sequence[float], kind: str) -> np.ndarray:
    if kind not in KINDS:
        raise UserError(f"correlation {kind!r}: choose one of {', '.join(KINDS)}")
    numbers = np.asarray(values, dtype=np.float64)
    return stats.rankdata(numbers) if kind == "spearman" else numbers


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(matrix, dtype=np.float64)
    off = ~np.eye(len(matrix), dtype=bool) if matrix.ndim == 2 else None
    if (
        off is None
        or matrix.shape != off.shape
        or not np.allclose(matrix[off], matrix.T[off], equal_nan=True)
    ):
        raise UserError(
            f"a matrix of shape {matrix.shape} is not symmetric: give one row and column per item"
        )
    if not np.isfinite(matrix[off]).all():
        raise UserError(
            "a likeness is not defined for some pair (an empty or full mask): leave that mask out"
        )
    return matrix
