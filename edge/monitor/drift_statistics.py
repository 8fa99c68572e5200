"""Two-sample tests in numpy alone: Kolmogorov-Smirnov, population stability index, chi-square, Holm's correction."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BINS = 10
_TERMS = 30
_ALIKE = 0.2
"""Below it the sum does not converge, and the probability is 1."""


def ks_p(distance: npt.ArrayLike, n: npt.ArrayLike, m: npt.ArrayLike) -> Array:
    """How likely so large a Kolmogorov-Smirnov distance is between samples of n and m of one law.

    The asymptotic law with Stephens' correction (Numerical Recipes, 14.3.3): within a factor of 1.4 of the exact one
    where it is below 0.01, for 60 samples and more.
    """
    of_one, of_other = np.asarray(n, dtype=np.float64), np.asarray(m, dtype=np.float64)
    root = np.sqrt(of_one * of_other / (of_one + of_other))
    scaled = (root + 0.12 + 0.11 / root) * np.asarray(distance, dtype=np.float64)
    k = np.arange(1, _TERMS + 1).reshape(-1, *(1,) * scaled.ndim)
    terms = np.where(k % 2 == 1, 2.0, -2.0) * np.exp(-2.0 * (k * scaled) ** 2)
    p = np.where(scaled < _ALIKE, 1.0, terms.sum(axis=0))
    return np.asarray(np.clip(p, 0.0, 1.0))


def ks_distance(one: Array, other: Array) -> Array:
    """Largest difference between the distributions of (n, F) and (m, F) samples, of each of F columns; ties counted."""
    pooled = np.concatenate([one, other])
    order = np.argsort(pooled, axis=0, kind="stable")
    weight = np.concatenate([np.full(len(one), 1.0 / len(one)), np.full(len(other), -1.0 / len(other))])
    gap = np.abs(np.cumsum(weight[order], axis=0))
    values = np.take_along_axis(pooled, order, axis=0)
    last_of_its_value = np.vstack([np.diff(values, axis=0) > 0, np.ones((1, pooled.shape[1]), dtype=bool)])
    return np.asarray(np.where(last_of_its_value, gap, 0.0).max(axis=0))


def stability_index(live: Array, reference: Array, bins: int = BINS) -> Array:
    """Population stability index of (n, F) samples against (m, F), in bins of equal share of the reference."""
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1], axis=0)
    p, q = (_shares(values, edges, bins) for values in (live, reference))
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=0))


def _shares(values: Array, edges: Array, bins: int) -> Array:
    """(bins, F) shares of each bin, with half a sample added to each so that none is 0."""
    above = np.stack([(values > edge).sum(axis=0) for edge in edges])
    everything, nothing = np.full((1, values.shape[1]), len(values)), np.zeros((1, values.shape[1]))
    counts = -np.diff(np.vstack([everything, above, nothing]), axis=0)
    return np.asarray((counts + 0.5) / (len(values) + 0.5 * bins))


def chi_square_p(x: float, freedom: int) -> float:
    """How likely a chi-square of so many degrees of freedom is larger than x."""
    if x <= 0:
        return 1.0
    half = x / 2.0
    if freedom % 2 == 0:
        term, total = math.exp(-half), math.exp(-half)
        for i in range(1, freedom // 2):
            term *= half / i
            total += term
        return min(total, 1.0)
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half) / math.gamma(1.5)
    for i in range(freedom // 2):
        total += term
        term *= half / (i + 1.5)
    return min(total, 1.0)


@lru_cache(maxsize=1024)
def chi_square_quantile(p: float, freedom: int) -> float:
    """What a chi-square exceeds with probability p."""
    low, high = 0.0, 20.0 * freedom + 200.0
    while high - low > 1e-9 * (1.0 + high):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_p(middle, freedom) > p else (low, middle)
    return (low + high) / 2


def holm(p: Array, alpha: float) -> npt.NDArray[np.bool_]:
    """Which of many tests are rejected so that any false rejection has a probability of alpha at most."""
    order = np.argsort(p)
    allowed = alpha / np.arange(len(p), 0, -1)
    passed = np.logical_and.accumulate(p[order] <= allowed)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order[passed]] = True
    return rejected


def scores(live: Array, reference: Array) -> tuple[Array, Array]:
    """Ranks (0 to 1, ties share theirs) of (n, F) and (m, F) samples among all of both, column by column."""
    pooled = np.concatenate([live, reference])
    size = len(pooled)
    order = np.argsort(pooled, axis=0)
    values = np.take_along_axis(pooled, order, axis=0)
    place = np.broadcast_to(np.arange(size)[:, None], pooled.shape)
    changes = np.diff(values, axis=0) > 0
    edge = np.ones((1, pooled.shape[1]), dtype=bool)
    first = np.maximum.accumulate(np.where(np.vstack([edge, changes]), place, 0), axis=0)
    last = np.minimum.accumulate(np.where(np.vstack([changes, edge]), place, size)[::-1], axis=0)[::-1]
    ranks = np.empty_like(pooled)
    np.put_along_axis(ranks, order, (first + last + 1) / (2 * size), axis=0)
    return ranks[: len(live)], ranks[len(live) :]
