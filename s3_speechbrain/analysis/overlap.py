"""How alike two masks are, beyond what chance gives them.

Everything follows from four counts of two masks A and B over the same matrix: entries, kept by A, kept by B,
kept by both. Counts of several matrices add up, and so do the mean and the variance of the last one under the
null hypothesis, so a layer or a whole network is the sum of its matrices.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.errors import UserError


@dataclass(frozen=True)
class PackedMask:
    """A mask at one bit per entry.

    Attributes
    ----------
    bits : uint8 array
        Eight entries per byte, zeros at the end.
    shape : tuple of int
        Of the mask.
    kept : int
        How many entries are kept.
    """

    bits: np.ndarray
    shape: tuple[int, ...]
    kept: int

    @classmethod
    def of(cls, mask: Tensor) -> "PackedMask":
        """Pack a boolean mask, True where a weight is kept."""
        if mask.dtype != torch.bool:
            raise UserError(f"a mask is {mask.dtype}: expected torch.bool, True where a weight is kept")
        flat = mask.detach().cpu().numpy()
        return cls(np.packbits(flat), tuple(mask.shape), int(np.count_nonzero(flat)))

    @property
    def entries(self) -> int:
        """How many entries the mask has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Overlap:
    """The counts of two masks over one matrix or several, and what measures of likeness make of them.

    The null hypothesis: within every matrix the kept positions of one mask are a uniformly random set of their
    number. The count kept by both is then hypergeometric in each matrix, and independent between matrices.

    A measure that is not defined (0/0 once chance is taken off) is nan.

    Attributes
    ----------
    entries, first, second, both : int
        Entries, kept by A, kept by B, kept by both.
    expected, variance : float
        Mean and variance of `both` under the null hypothesis.
    """

    entries: int
    first: int
    second: int
    both: int
    expected: float
    variance: float

    @classmethod
    def of_counts(cls, entries: int, first: int, second: int, both: int) -> "Overlap":
        """Make the overlap of one matrix."""
        n, a, b = entries, first, second
        variance = a * (n - a) / n * b * (n - b) / n / (n - 1) if n > 1 else 0.0
        return cls(n, a, b, both, a * b / n if n else 0.0, variance)

    def __add__(self, other: "Overlap") -> "Overlap":
        """Take two groups of matrices together."""
        return Overlap(
            self.entries + other.entries,
            self.first + other.first,
            self.second + other.second,
            self.both + other.both,
            self.expected + other.expected,
            self.variance + other.variance,
        )

    @property
    def iou(self) -> float:
        """Intersection over union of the kept weights, |A and B| / |A or B| (PARP's measure)."""
        return self._iou(self.both)

    @property
    def chance_iou(self) -> float:
        """`iou` at the expected intersection; k / (2 - k) where both keep the ratio k in every matrix."""
        return self._iou(self.expected)

    @property
    def corrected_iou(self) -> float:
        """`iou` rescaled so that chance is 0 and identity 1: (iou - chance) / (1 - chance)."""
        return _above(self.iou, self.chance_iou)

    @property
    def removed_iou(self) -> float:
        """Intersection over union (Jaccard index) of the removed weights."""
        return self._removed_iou(self.both)

    @property
    def chance_removed_iou(self) -> float:
        """`removed_iou` at the expected intersection; s / (2 - s) at equal sparsity s in every matrix."""
        return self._removed_iou(self.expected)

    @property
    def corrected_removed_iou(self) -> float:
        """`removed_iou` rescaled so that chance is 0 and identity 1."""
        return _above(self.removed_iou, self.chance_removed_iou)

    @property
    def cosine(self) -> float:
        """Cosine of the two masks as vectors of 0 and 1 (S3-Router's measure); near k by chance."""
        if self.first == 0 or self.second == 0:
            return float(self.first == self.second)
        return self.both / math.sqrt(self.first * self.second)

    @property
    def phi(self) -> float:
        """Pearson correlation of the two masks as vectors of 0 and 1, all matrices strung together."""
        n, a, b = self.entries, self.first, self.second
        scale = math.sqrt(a * b) * math.sqrt((n - a) * (n - b))
        return (n * self.both - a * b) / scale if scale else math.nan

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance; the same for kept and for removed weights.

        Chance is that of the null hypothesis, so agreement about how many weights each matrix keeps does not
        count. For one matrix this is the textbook's kappa.
        """
        room = self.first + self.second - 2 * self.expected
        return 2 * (self.both - self.expected) / room if room > 0 else math.nan

    @property
    def z(self) -> float:
        """Standard deviations by which `both` is above its mean under the null hypothesis."""
        return (self.both - self.expected) / math.sqrt(self.variance) if self.variance > 0 else math.nan

    @property
    def p(self) -> float:
        """Two-sided p-value of `z`, normal, as the count is in matrices of a thousand entries or more."""
        return math.erfc(abs(self.z) / math.sqrt(2))

    @property
    def chance_range(self) -> tuple[float, float]:
        """The middle 95 % of `iou` under the null hypothesis."""
        return self._range(self._iou)

    @property
    def chance_removed_range(self) -> tuple[float, float]:
        """The middle 95 % of `removed_iou` under the null hypothesis."""
        return self._range(self._removed_iou)

    def _range(self, measure: Callable[[float], float]) -> tuple[float, float]:
        # both measures grow with the count, so its quantiles are theirs
        reach = 1.96 * math.sqrt(self.variance)
        return measure(self.expected - reach), measure(self.expected + reach)

    def _iou(self, both: float) -> float:
        union = self.first + self.second - both
        return both / union if union else 1.0

    def _removed_iou(self, both: float) -> float:
        union = self.entries - both
        return (self.entries - self.first - self.second + both) / union if union else 1.0


COUNTS = ("entries", "first", "second", "both")
MEASURES = (
    "iou",
    "chance_iou",
    "corrected_iou",
    "removed_iou",
    "chance_removed_iou",
    "corrected_removed_iou",
    "cosine",
    "phi",
    "kappa",
    "z",
    "p",
)


def _above(value: float, chance: float) -> float:
    return (value - chance) / (1 - chance) if chance < 1 else math.nan


def overlap_of(first: PackedMask, second: PackedMask, given: PackedMask | None = None) -> Overlap:
    """Count the overlap of two masks of one matrix.

    Parameters
    ----------
    first, second : PackedMask
        Of one shape.
    given : PackedMask, optional
        Of the same shape. The null hypothesis then permutes positions only among those that it keeps, and
        among those that it removes: what is above chance is not explained by both masks being like `given`
        (the Cochran-Mantel-Haenszel test with `given` as the stratum).

    Returns
    -------
    Overlap
        Their counts.

    Raises
    ------
    UserError
        If the shapes differ.
    """
    shapes = {mask.shape for mask in (first, second, given) if mask is not None}
    if len(shapes) > 1:
        raise UserError(
            f"masks of shape {' and '.join(map(str, sorted(shapes)))}: compare masks of one backbone"
        )
    both = first.bits & second.bits
    if given is None:
        return Overlap.of_counts(first.entries, first.kept, second.kept, _count(both))
    inside = Overlap.of_counts(
        given.kept,
        _count(first.bits & given.bits),
        _count(second.bits & given.bits),
        _count(both & given.bits),
    )
    whole = Overlap.of_counts(first.entries, first.kept, second.kept, _count(both))
    return inside + Overlap.of_counts(*(getattr(whole, name) - getattr(inside, name) for name in COUNTS))


def _count(bits: np.ndarray) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def overlaps(
    first: Mapping[str, PackedMask],
    second: Mapping[str, PackedMask],
    given: Mapping[str, PackedMask] | None = None,
) -> dict[str, Overlap]:
    """Count the overlap of two sets of masks, matrix by matrix.

    Parameters
    ----------
    first, second : mapping of str to PackedMask
        By matrix name; matrices that only one of them has are left out.
    given : mapping of str to PackedMask, optional
        A third set, see `overlap_of`; it needs the matrices that the others share.

    Returns
    -------
    dict of str to Overlap
        In the first set's order.

    Raises
    ------
    UserError
        If they have no matrix in common, one of two shapes, or `given` lacks one; the message names it.
    """
    common = [name for name in first if name in second]
    if not common:
        raise UserError("two sets of masks have no matrix in common: compare masks of one backbone")
    found = {}
    for name in common:
        if given is not None and name not in given:
            raise UserError(f"the given masks lack {name}: make them with the same groups of layers")
        try:
            found[name] = overlap_of(first[name], second[name], None if given is None else given[name])
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return found


def total(parts: Iterable[Overlap]) -> Overlap:
    """Add overlaps up; of nothing, all counts are 0."""
    return sum(parts, start=Overlap(0, 0, 0, 0, 0.0, 0.0))


def grouped(parts: Mapping[str, Overlap], group: Callable[[str], str]) -> dict[str, Overlap]:
    """Add overlaps up by a name that `group` makes of the matrix name, in order of first appearance."""
    sums: dict[str, Overlap] = {}
    for name, part in parts.items():
        key = group(name)
        sums[key] = sums[key] + part if key in sums else part
    return sums


def chance_iou(first_keep: float, second_keep: float) -> float:
    """Tell the IOU of two large masks that keep random entries.

    Parameters
    ----------
    first_keep, second_keep : float
        Keep ratios, 1 - sparsity.

    Returns
    -------
    float
        k / (2 - k) for equal ratios k; 1 where both keep nothing.

    Examples
    --------
    >>> round(chance_iou(0.5, 0.5), 3), round(chance_iou(0.9, 0.9), 3)
    (0.333, 0.818)
    """
    both = first_keep * second_keep
    union = first_keep + second_keep - both
    return both / union if union else 1.0
