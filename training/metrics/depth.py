"""Depth metrics of Eigen et al. (2014), over the pixels whose truth is known and within the limits.

Alignments before measuring:

* `metric`: none;
* `median`: the prediction times the ratio of the medians (Zhou et al. 2017);
* `affine`: least-squares scale and shift of the *depth* (Marigold, Ke et al. 2024);
* `affine_inverse`: least-squares scale and shift of the *inverse depth*, against the truth's inverse (MiDaS, Ranftl et
  al. 2020): for networks that give inverse depth up to scale and shift.

Then the prediction is clipped to the limits. A metric is averaged over pictures, each counting the same (`per_image`,
as most NYU tables since 2019), or over the pixels of all pictures at once (`pooled`, as Eigen's and Laina's code); the
two are different numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from training.arrays import Array

Alignment = Literal["metric", "median", "affine", "affine_inverse"]
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)
_JUMP = 0.15
LIMITS_M = (1e-3, 100.0)
"""Truth outside counts nowhere, and predictions are clipped to it, unless a data set's protocol says otherwise."""


def _scale_and_shift(given: Array, wanted: Array) -> Array:
    """The least-squares fit of `wanted` by a factor and a constant."""
    design = np.stack([given, np.ones_like(given)], axis=1)
    scale, shift = np.linalg.lstsq(design, wanted, rcond=None)[0]
    return np.asarray(given * scale + shift)


def aligned(predicted: Array, truth: Array, alignment: Alignment, limits_m: tuple[float, float] = LIMITS_M) -> Array:
    """The prediction (N,) brought to the truth (N,) as the alignment allows, and clipped to the limits."""
    low, high = limits_m
    if alignment == "median":
        predicted = predicted * (np.median(truth) / np.median(predicted))
    elif alignment == "affine":
        predicted = _scale_and_shift(predicted, truth)
    elif alignment == "affine_inverse":
        inverse = _scale_and_shift(1 / np.maximum(predicted, 1e-9), 1 / truth)
        predicted = 1 / np.maximum(inverse, 1 / high)
    return np.clip(predicted, low, high)


def both_ways(depth: npt.NDArray[np.float32], mirrored_back: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One depth map (H, W) from that of a picture and that of its mirror image, mirrored back (Godard et al. 2017).

    A network that learnt from pairs of eyes errs along the left edge, which the right eye does not see: there the
    mirror image's counts, along the right edge the picture's, and between the mean of both disparities.
    """
    x = np.linspace(0.0, 1.0, depth.shape[1], dtype=np.float32)
    left = 1 - np.clip(20 * (x - 0.05), 0, 1)
    right = left[::-1]
    a, b = 1 / np.maximum(depth, 1e-6), 1 / np.maximum(mirrored_back, 1e-6)
    return np.asarray(1 / (right * a + left * b + (1 - left - right) * (a + b) / 2), dtype=np.float32)


def known(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, limits_m: tuple[float, float] = LIMITS_M
) -> tuple[Array, Array]:
    """Both maps at the pixels that count: (N,), (N,)."""
    t = np.asarray(truth, dtype=np.float64)
    counts = (t > limits_m[0]) & (t < limits_m[1])
    return np.asarray(predicted, dtype=np.float64)[counts], t[counts]


def steps_recovered(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """How much of the true steps of ln(depth) a map (H, W) has: 1 = all, 0 = none, as a flat map; nan without steps.

    Steps are between pixels a hundredth of the width apart, across and down, where the true depth jumps by over 15 %:
    the regression of the found steps on the true ones. Scale has no part in it.
    """
    p, t = (np.asarray(a, dtype=np.float64) for a in (predicted, truth))
    usable = (t > LIMITS_M[0]) & (t < LIMITS_M[1]) & (p > 0)
    log_p, log_t = (np.log(np.where(usable, a, 1.0)) for a in (p, t))
    apart, both, squares = max(1, round(t.shape[1] / 100)), 0.0, 0.0
    for across in (False, True):
        ps, ts, known_there = (m.T if across else m for m in (log_p, log_t, usable))
        found, true = (m[apart:] - m[:-apart] for m in (ps, ts))
        jump = known_there[apart:] & known_there[:-apart] & (np.abs(true) > _JUMP)
        both, squares = both + float((found * true)[jump].sum()), squares + float((true * true)[jump].sum())
    return both / squares if squares else float("nan")


def _pixel_means(p: Array, t: Array) -> dict[str, float]:
    """Means over the pixels, before any root is taken."""
    ratio, error = np.maximum(p / t, t / p), p - t
    log = np.log(p) - np.log(t)
    means = {
        "absrel": np.abs(error) / t,
        "sqrel_m": error**2 / t,
        "rmse_m": error**2,
        "rmse_log": log**2,
        "log10": np.abs(log) / np.log(10),
        "delta1": ratio < 1.25,
        "delta2": ratio < 1.25**2,
        "delta3": ratio < 1.25**3,
    }
    return {name: float(np.mean(values)) for name, values in means.items()}


def _rooted(means: dict[str, float]) -> dict[str, float]:
    return {name: float(np.sqrt(v)) if name.startswith("rmse") else v for name, v in means.items()}


@dataclass
class DepthScores:
    """The errors of a set of pictures under one alignment, gathered picture by picture.

    AbsRel, SqRel (m), RMSE (m), RMSE of ln, mean |log10|, delta1..3; `limits_m`: least and greatest depth that counts.
    """

    alignment: Alignment = "metric"
    limits_m: tuple[float, float] = LIMITS_M
    pixels: list[int] = field(default_factory=list)
    _means: list[dict[str, float]] = field(default_factory=list)

    def add(self, predicted: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
        """Count one picture; returns its own errors.

        Args:
            predicted: metres (any positive unit but for `metric`), any shape.
            truth: metres, the same shape, 0 = unknown; at least one pixel must count.
        """
        p, t = known(predicted, truth, self.limits_m)
        means = _pixel_means(aligned(p, t, self.alignment, self.limits_m), t)
        self._means.append(means)
        self.pixels.append(len(t))
        return _rooted(means)

    @property
    def per_image(self) -> dict[str, float]:
        """The mean over pictures of each picture's errors."""
        rows = [_rooted(means) for means in self._means]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    @property
    def pooled(self) -> dict[str, float]:
        """The errors over all pictures' pixels as if they were one picture (each aligned by itself)."""
        return _rooted(
            {
                name: float(np.average([means[name] for means in self._means], weights=self.pixels))
                for name in self._means[0]
            }
        )
