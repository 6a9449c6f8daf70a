"""Two settings compared over languages: relative change, its interval, and how likely chance alone gives it.

Two sides are paired by language and, within a language, by utterance. Everything here is a pure function of the
numbers that it is given: the same evidence always gives the same page.
"""

import math
import statistics
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import binomtest

from s3_speechbrain.report.runs import Run, Setting
from s3_speechbrain.report.scatter import Scatter, Scatters
from s3_speechbrain.report.schema import error_name, value_of

DRAWS = 2000
MIDDLE = (2.5, 97.5)  # percentiles: 95 % of the draws
SEED = 20261
BOUNDLESS = 1e3  # stands for an error rate divided by none


@dataclass(frozen=True)
class Side:
    """One setting in one language.

    Attributes
    ----------
    errors : sequence of (int, float)
        Seed and error rate in percent of every run.
    edits : array, shape (runs, utterances), optional
        Edits of each utterance; None where the runs did not record them, or on other clips than the other side.
    lengths : array, shape (utterances,), optional
        Of the references.
    scatter : Scatter, optional
        What a seed changes; None where that is not known.
    joint : bool
        Whether its runs are trainings of several languages: the other languages then have the same trainings.
    """

    errors: Sequence[tuple[int, float]]
    edits: np.ndarray | None = None
    lengths: np.ndarray | None = None
    scatter: Scatter | None = None
    joint: bool = False


Pair = tuple[Side, Side]


@dataclass(frozen=True)
class Difference:
    """What a comparison found.

    Attributes
    ----------
    change : float
        Of the mean error over languages, in percent of the other side's.
    interval : (float, float), optional
        95 %, of utterances and seeds together; None without utterances, or where the scatter is not known.
    p : float
        Two-sided: of sign flips over utterances; without utterances that of the sign test over `changes`.
    languages : tuple of str
        What was paired.
    runs : (int, int)
        Trainings of each side; one of several languages counts once.
    utterances : int
        In all languages together; 0 where they were not recorded.
    changes : tuple of float
        Relative change in percent of each language and seed that both sides have; of the languages of one training
        together.
    """

    change: float
    interval: tuple[float, float] | None
    p: float
    languages: tuple[str, ...]
    runs: tuple[int, int]
    utterances: int
    changes: tuple[float, ...]

    @property
    def single(self) -> bool:
        """Whether one language and, on a side, one training are all that stands behind it."""
        return len(self.languages) == 1 and min(self.runs) == 1


def paired(ours: Setting, theirs: Setting, scatters: Scatters | None = None) -> Pair:
    """Take two settings of one language apart, with the utterances of the clips that most runs of both share.

    Of these runs those stay whose seed both sides have, if there are any: a seed draws the order of the data too, and
    does much the same to all methods, so that one that only one side has would speak for or against the other.
    """
    clips = [Counter(value_of(run, "utterances.clips") for run in each.runs) for each in (ours, theirs)]
    shared = [name for name in clips[0] if name is not None and name in clips[1]]
    chosen = max(sorted(shared), key=lambda name: clips[0][name] + clips[1][name], default=None)
    sides = [_on_clips(each, chosen) for each in (ours, theirs)]
    seeds = set.intersection(*({run["seed"] for run in runs} for runs in sides))
    if seeds:
        sides = [[run for run in runs if run["seed"] in seeds] for runs in sides]
    known = [scatters.of(*each) if scatters else None for each in ((ours, theirs), (theirs, ours))]
    return _side(sides[0], chosen, known[0]), _side(sides[1], chosen, known[1])


def _on_clips(setting: Setting, clips: str | None) -> list[Run]:
    return [run for run in setting.runs if clips is None or value_of(run, "utterances.clips") == clips]


def _side(runs: Sequence[Run], clips: str | None, scatter: Scatter | None) -> Side:
    errors = [(run["seed"], run["test"][error_name(run)]) for run in runs]
    known: dict[str, Any] = {"scatter": scatter, "joint": len(value_of(runs[0], "config.languages", [])) > 1}
    if clips is None:
        return Side(errors, **known)
    edits = np.array([[int(word) for word in run["utterances"]["edits"].split()] for run in runs])
    lengths = np.array([int(word) for word in runs[0]["utterances"]["lengths"].split()])
    return Side(errors, edits.astype(float), lengths.astype(float), **known)


def compare(pairs: Mapping[str, Pair]) -> Difference | None:
    """Compare two settings over languages; None where no language has both.

    Parameters
    ----------
    pairs : mapping of str to pair of Side
        Ours and the other, by language.

    Returns
    -------
    Difference
        From utterances if all languages have them, else from the error rates alone.
    """
    if not pairs:
        return None
    measured = all(side.edits is not None and side.edits.size for pair in pairs.values() for side in pair)
    means = [[_rate(side, measured) for side in pair] for pair in pairs.values()]
    base = statistics.fmean(theirs for _, theirs in means)
    if base == 0:
        return None
    changes = tuple(_changes(list(pairs.values())))
    change = 100 * (statistics.fmean(ours for ours, _ in means) / base - 1)
    reach = _reach(pairs, means)
    return Difference(
        change=change,
        interval=None if reach is None or not measured else widened(bootstrap(pairs), change, reach),
        p=flip_test(pairs) if measured else sign_test(changes),
        languages=tuple(pairs),
        runs=tuple(_trainings([pair[place] for pair in pairs.values()]) for place in (0, 1)),
        utterances=sum(ours.edits.shape[1] for ours, _ in pairs.values()) if measured else 0,
        changes=changes,
    )


def _reach(pairs: Mapping[str, Pair], means: Sequence[Sequence[float]]) -> float | None:
    """Return half of the interval that seeds alone give the ratio of both sums, in percent of it; None if unknown."""
    parts = []
    for sides, rates in zip(zip(*pairs.values(), strict=True), zip(*means, strict=True), strict=True):
        if any(side.scatter is None for side in sides):
            return None
        shares = [rate / (sum(rates) or 1) for rate in rates]
        reaches = [
            (side.joint, side.scatter.reach(share, len(side.errors)))
            for side, share in zip(sides, shares, strict=True)
        ]
        # what a seed does to one training it does to all its languages
        parts += [reach for joint, reach in reaches if not joint]
        parts.append(sum(reach for joint, reach in reaches if joint))
    return math.hypot(*parts)


def _trainings(sides: Sequence[Side]) -> int:
    alone = sum(len(side.errors) for side in sides if not side.joint)
    return alone + max((len(side.errors) for side in sides if side.joint), default=0)


def widened(interval: tuple[float, float], change: float, reach: float) -> tuple[float, float]:
    """Add to an interval around a change another, independent source of chance: squares of half widths add.

    Parameters
    ----------
    interval : (float, float)
        Percent, around `change`.
    change : float
        Percent.
    reach : float
        Half width of the other source, in percent of the ratio ``1 + change / 100``.
    """
    other = reach * (1 + change / 100)
    low, high = (math.hypot(change - edge, other) for edge in interval)
    return change - low, change + high


def _rate(side: Side, measured: bool) -> float:
    if measured:
        return 100 * side.edits.mean(0).sum() / max(side.lengths.sum(), 1)
    return statistics.fmean(error for _, error in side.errors)


def _changes(pairs: Sequence[Pair]) -> list[float]:
    """Return the changes of the seeds that both sides have; that of the means where they share none.

    A training of several languages is one pair: the mean over them.
    """
    alone, together = [], []
    for pair in pairs:
        (together if any(side.joint for side in pair) else alone).append(pair)
    groups = [*([pair] for pair in alone), *([together] if together else [])]
    return [change for group in groups for change in _changes_of(group)]


def _changes_of(group: Sequence[Pair]) -> list[float]:
    rates = [[_by_seed(side) for side in sides] for sides in zip(*group, strict=True)]
    both = sorted(set.intersection(*(set(known) for side in rates for known in side)))
    couples = [[statistics.fmean(known[seed] for known in side) for side in rates] for seed in both]
    means = [statistics.fmean(statistics.fmean(known.values()) for known in side) for side in rates]
    return [100 * (first / second - 1) for first, second in couples or [means] if second > 0]


def _by_seed(side: Side) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for seed, error in side.errors:
        found.setdefault(seed, []).append(error)
    return {seed: statistics.fmean(errors) for seed, errors in found.items()}


@lru_cache(maxsize=64)
def _weights(language: str, utterances: int, draws: int) -> np.ndarray:
    """Return how often each draw takes each utterance; a language's draws are the same in all comparisons."""
    generator = np.random.default_rng([SEED, zlib.crc32(language.encode())])
    # random() is the stream that numpy keeps stable; multinomial() may change between versions
    taken = (generator.random((draws, utterances)) * utterances).astype(np.int64)
    places = taken + utterances * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * utterances).reshape(draws, utterances).astype(float)


def bootstrap(pairs: Mapping[str, Pair], draws: int = DRAWS) -> tuple[float, float]:
    """Return the 95 % interval of the relative change over utterances, in percent.

    Each draw takes as many utterances of each language with replacement, the same for both sides. Trainings of a side
    are averaged; what another seed would change is `Scatter`'s part. Languages are not drawn: they are those that are
    claimed.
    """
    sums = np.zeros((2, draws))
    for language, pair in pairs.items():
        weights = _weights(language, pair[0].edits.shape[1], draws)
        for place, side in enumerate(pair):
            sums[place] += (weights @ side.edits.mean(0)) / np.maximum(weights @ side.lengths, 1)
    ratios = np.full(draws, BOUNDLESS)  # of draws in which the other side has no errors at all
    ratios[sums[0] == 0] = 1.0
    np.divide(sums[0], sums[1], out=ratios, where=sums[1] > 0)
    changes = 100 * (ratios - 1)
    low, high = np.percentile(changes, MIDDLE)
    return float(low), float(high)


@lru_cache(maxsize=16)
def _signs(utterances: int, draws: int) -> np.ndarray:
    return np.where(np.random.default_rng(SEED).random((draws, utterances)) < 0.5, -1.0, 1.0)


def flip_test(pairs: Mapping[str, Pair], draws: int = DRAWS) -> float:
    """Return the two-sided p-value of sign flips: under the null hypothesis an utterance may change sides.

    The statistic is the difference of the mean errors over languages. Trainings of a side are averaged first, so the
    test speaks of these trainings; what another seed would change is in the interval alone.
    """
    parts = [
        (ours.edits.mean(0) - theirs.edits.mean(0)) / max(ours.lengths.sum(), 1)
        for ours, theirs in pairs.values()
    ]
    values = np.concatenate(parts)
    observed, flipped = abs(values.sum()), np.abs(_signs(len(values), draws) @ values)
    reached = np.count_nonzero(flipped >= observed * (1 - 1e-9))  # equal sums may differ by rounding
    return (1 + int(reached)) / (1 + draws)


def sign_test(changes: Sequence[float], margin: float = 0.0) -> float:
    """Return the exact two-sided p-value of so many changes on one side of a margin; ties count for neither."""
    below = sum(change < margin for change in changes)
    untied = below + sum(change > margin for change in changes)
    return float(binomtest(below, untied).pvalue) if untied else 1.0
