"""Lighting metrics on (9, 3) pre-scaled irradiance coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.geometry.harmonics import dominant_direction, irradiance_over_pi
from edge.geometry.panorama import rays, solid_angles
from training.arrays import Array

_ROWS = 32
_SPHERE_PX = 64
_WHITE_SHARE = 0.8
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


def coefficients_l1(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean |error| of the 27 coefficients, in units of the picture's white."""
    return float(np.abs(np.asarray(predicted, float) - np.asarray(truth, float)).mean())


def sphere_normals(size_px: int) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Normals (H, W, 3), room frame, of a sphere that fills a picture taken looking forward, and where it is."""
    edge = (np.arange(size_px) + 0.5) / size_px * 2 - 1
    x, z = edge[None, :], -edge[:, None]
    depth = 1 - x**2 - z**2
    towards = -np.sqrt(np.clip(depth, 0, None))  # the side that faces the camera points backwards
    return np.stack(np.broadcast_arrays(x, towards, z), axis=-1), np.asarray(depth > 0)


def sphere_exposure(coefficients: npt.ArrayLike) -> float:
    """What irradiance / pi is multiplied by so that the 99th percentile of such a sphere in this light is 0.8."""
    normals, inside = sphere_normals(_SPHERE_PX)
    light = irradiance_over_pi(coefficients, normals[inside])
    return _WHITE_SHARE / max(float(np.percentile(light, 99)), 1e-9)


def sphere_psnr_db(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """PSNR of a white matte sphere lit by the prediction against one lit by the truth, both seen looking forward.

    Both are exposed alike: the true sphere's 99th percentile becomes 0.8 of white; then clipped and encoded with gamma
    1/2.2. Peak 1; the mean is over the sphere's pixels and colours. At most 100 dB.
    """
    normals, inside = sphere_normals(_SPHERE_PX)
    light = (irradiance_over_pi(c, normals[inside]) * sphere_exposure(truth) for c in (predicted, truth))
    p, t = (np.clip(value, 0, 1) ** (1 / 2.2) for value in light)
    return float(-10 * np.log10(max(((p - t) ** 2).mean(), 1e-10)))


def lighting_metrics(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, float]:
    """Every lighting metric of one picture, by name; both (9, 3) pre-scaled irradiance."""
    return {
        "si_irradiance_rmse": scale_invariant_irradiance_rmse(predicted, truth),
        "direction_error_deg": direction_error_deg(predicted, truth),
        "ambient_log_error": ambient_log_error(predicted, truth),
        "coefficients_l1": coefficients_l1(predicted, truth),
        "sphere_psnr_db": sphere_psnr_db(predicted, truth),
    }
