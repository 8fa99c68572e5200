"""How sure a heat loss is: loads of thousands of rooms as this one may be, and which input makes most of the spread.

Sizes, U-values and air changes are lognormal factors about what was measured, configured or assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edge.derive.heat_loss.elements import Shape
from edge.derive.heat_loss.loads import Loads, loads_of
from edge.derive.heat_loss.settings import Settings

Array = npt.NDArray[np.float64]

DRAWS = 4096
_SEED = 20_260_131
_PARTS = {"layout_x": "layout", "layout_y": "layout"}
"""Inputs that are told as one."""
_U = "u."


@dataclass(frozen=True, slots=True)
class Measurement:
    """How a room was measured."""

    camera_height_m: float
    confidence: float
    """Of the layout, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the variance one input makes."""

    input: str
    share: float


@dataclass(frozen=True, slots=True)
class Quantiles:
    """5, 50 and 95 percent."""

    p05: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The uncertainty of one room's loads, W."""

    total_w: Quantiles
    building_w: Quantiles
    largest: tuple[Share, ...]
    """Most important first."""
    sigma: Mapping[str, float]
    """What every input was taken to vary by, as `sigmas` gives it."""


def spread_of(shape: Shape, settings: Settings, measurement: Measurement, nominal: Loads) -> Spread:
    """The uncertainty of `nominal`, the loads of that room."""
    sigma = sigmas(shape, settings, measurement, nominal)
    standard = _standard_normal(len(sigma))
    draws = {
        name: s * z if name == "mean_outside" else np.exp(s * z)
        for (name, s), z in zip(sigma.items(), standard, strict=True)
    }
    loads = loads_of(shape, settings, draws)
    return Spread(
        total_w=_quantiles(loads.total_w),
        building_w=_quantiles(loads.building_w),
        largest=_shares(shape, settings, sigma),
        sigma=sigma,
    )


def sigmas(shape: Shape, settings: Settings, measurement: Measurement, nominal: Loads) -> dict[str, float]:
    """Standard deviation of every uncertain input: relative, but for the mean temperature outside, K."""
    u = settings.uncertainty
    layout = u.layout + u.layout_doubt * (1.0 - measurement.confidence)
    sigma = {
        "camera_height": u.camera_height_m / measurement.camera_height_m,
        "layout_x": layout,
        "layout_y": layout,
        "ceiling_height": u.ceiling_height_m / shape.ceiling_height_m,
        "air_changes": u.air_known if _air_is_known(settings) else u.air_assumed,
    }
    elements = nominal.shell.elements
    for kind in sorted({e.kind for e in elements}):
        guessed = any(e.u_assumed for e in elements if e.kind == kind and float(np.abs(e.difference_k[0])) > 0)
        sigma[f"{_U}{kind}"] = u.u_assumed if guessed else u.u_known
    if any(e.size_assumed for e in elements):
        sigma["openings"] = u.openings_assumed
    if any(e.to == "ground" for e in elements):
        sigma["mean_outside"] = u.mean_outside_k
    return {name: s for name, s in sigma.items() if s > 0}


def _air_is_known(settings: Settings) -> bool:
    measured = settings.method.ventilation == "q50" and settings.leakage.q50_m3_h_m2 is not None
    return settings.air_changes_per_h is not None or measured


@cache
def _standard_normal(inputs: int) -> Array:
    """Normal draws (inputs, DRAWS), each input's evenly spread over its law (McKay's Latin hypercube).

    They are the same for every room, so that a result changes with its room alone.
    """
    law = NormalDist()
    spread = np.array([law.inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])
    random = np.random.default_rng(_SEED)
    return np.stack([random.permutation(spread) for _ in range(inputs)])


def _quantiles(values: Array) -> Quantiles:
    p05, p50, p95 = np.quantile(np.broadcast_to(values, (DRAWS,)), (0.05, 0.5, 0.95))
    return Quantiles(float(p05), float(p50), float(p95))


def _shares(shape: Shape, settings: Settings, sigma: dict[str, float]) -> tuple[Share, ...]:
    """Each input's part of the variance: half of what it changes between one deviation below and one above, squared."""
    n = len(sigma)
    draws = {}
    for i, (name, s) in enumerate(sigma.items()):
        steps = np.zeros(2 * n)
        steps[2 * i : 2 * i + 2] = (-s, s)
        draws[name] = steps if name == "mean_outside" else np.exp(steps)
    loads = loads_of(shape, settings, draws)
    total = np.broadcast_to(loads.total_w, (2 * n,)).reshape(n, 2)
    variance = ((total[:, 1] - total[:, 0]) / 2) ** 2
    whole = float(variance.sum())
    if whole <= 0:
        return ()
    by_input: dict[str, float] = {}
    for name, part in zip(sigma, variance, strict=True):
        told = _PARTS.get(name, name)
        by_input[told] = by_input.get(told, 0.0) + float(part) / whole
    ordered = sorted(by_input.items(), key=lambda item: -item[1])
    return tuple(Share(name, share) for name, share in ordered)
