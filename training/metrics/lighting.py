"""Lighting metrics on (9, 3) pre-scaled irradiance coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import dominant_direction, irradiance_over_pi
from edge.geometry.panorama import rays, solid_angles

_ROWS = 32
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


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


def ambient(coefficients: npt.ArrayLike) -> float:
    """Luminance of L00 (Rec. 709)."""
    return float(np.asarray(coefficients, float)[0] @ _LUMINANCE)


def ambient_log_error(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """|ln| of the ratio of ambient levels: how far the level is off, whichever way."""
    return float(abs(np.log(max(ambient(predicted), 1e-6) / ambient(truth))))


def lighting_metrics(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
    """Every lighting metric of one picture."""
    return {
        "si_irradiance_rmse": scale_invariant_irradiance_rmse(predicted, truth),
        "direction_error_deg": direction_error_deg(predicted, truth),
        "ambient_log_error": ambient_log_error(predicted, truth),
    }
