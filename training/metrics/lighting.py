"""Lighting metrics on (9, 3) pre-scaled irradiance coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import dominant_direction, irradiance_over_pi
from edge.geometry.panorama import rays, solid_angles

_ROWS = 32


def scale_invariant_irradiance_rmse(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """RMS irradiance error over the sphere after the best single scalar, over the RMS of the truth."""
    normals, share = rays(2 * _ROWS, _ROWS), solid_angles(2 * _ROWS, _ROWS)[..., None]
    p, t = irradiance_over_pi(predicted, normals), irradiance_over_pi(truth, normals)
    power = float((p * p * share).sum())
    scale = float((p * t * share).sum()) / power if power > 0 else 0.0
    return float(np.sqrt((share * (scale * p - t) ** 2).sum() / (share * t * t).sum()))


def direction_error_deg(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Angle between the two dominant directions, degrees."""
    a, b = dominant_direction(predicted)[0], dominant_direction(truth)[0]
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


def relative_l1(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean |error| over the 27 coefficients in units of the true mean of L00."""
    p, t = np.asarray(predicted, float), np.asarray(truth, float)
    return float(np.abs(p - t).mean() / t[0].mean())


def ambient_log_error(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """|ln| of the ratio of mean L00: how far the level is off, whichever way."""
    p, t = np.asarray(predicted, float)[0].mean(), np.asarray(truth, float)[0].mean()
    return float(abs(np.log(max(p, 1e-6) / t)))


def lighting_metrics(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
    """Every lighting metric of one picture."""
    return {
        "si_irradiance_rmse": scale_invariant_irradiance_rmse(predicted, truth),
        "direction_error_deg": direction_error_deg(predicted, truth),
        "relative_l1": relative_l1(predicted, truth),
        "ambient_log_error": ambient_log_error(predicted, truth),
    }
