"""Pinhole cameras with OpenCV's distortion: pixels to rays and back. Camera frame: x right, y down, z forward."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.scene import Intrinsics

Array = npt.NDArray[np.float64]

_NEWTON_STEPS = 30
_NEWTON_ERROR_PX = 1e-7


def intrinsics_from_fov(width_px: int, height_px: int, hfov_rad: float) -> Intrinsics:
    """An undistorted lens with square pixels, centred, of the given horizontal field of view in (0, pi).

    Raises:
        GeometryError: the field of view is not within (0, pi).
    """
    if not 0.0 < hfov_rad < np.pi:
        raise GeometryError(
            f"a perspective field of view lies between 0 and 180 degrees, got {np.degrees(hfov_rad):.1f}"
        )
    f = width_px / 2 / np.tan(hfov_rad / 2)
    return Intrinsics(width_px, height_px, f, f, width_px / 2, height_px / 2)


def _distort(k: Intrinsics, x: Array, y: Array) -> tuple[Array, Array]:
    r2 = x * x + y * y
    radial = 1 + r2 * (k.k1 + r2 * (k.k2 + r2 * k.k3))
    return (
        x * radial + 2 * k.p1 * x * y + k.p2 * (r2 + 2 * x * x),
        y * radial + k.p1 * (r2 + 2 * y * y) + 2 * k.p2 * x * y,
    )


def _distortion_jacobian(k: Intrinsics, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The derivatives of `_distort`: of x by x, of either by the other (they are equal), and of y by y."""
    r2 = x * x + y * y
    radial = 1 + r2 * (k.k1 + r2 * (k.k2 + r2 * k.k3))
    slope = 2 * (k.k1 + r2 * (2 * k.k2 + r2 * 3 * k.k3))
    return (
        radial + slope * x * x + 2 * k.p1 * y + 6 * k.p2 * x,
        slope * x * y + 2 * k.p1 * x + 2 * k.p2 * y,
        radial + slope * y * y + 6 * k.p1 * y + 2 * k.p2 * x,
    )


def project(points: npt.ArrayLike, k: Intrinsics) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Camera-frame points (..., 3) -> pixels (..., 2) and a mask (...) that is True in front of the camera.

    Pixel coordinates are continuous with the first pixel's centre at 0.5. Behind the camera the pixel is NaN.
    """
    p = np.asarray(points, dtype=np.float64)
    ahead = p[..., 2] > 1e-9
    z = np.where(ahead, p[..., 2], np.nan)
    x, y = _distort(k, p[..., 0] / z, p[..., 1] / z)
    return np.stack([x * k.fx_px + k.cx_px, y * k.fy_px + k.cy_px], axis=-1), ahead


def rays_at(pixels: npt.ArrayLike, k: Intrinsics) -> Array:
    """Pixels (..., 2) -> camera-frame rays (..., 3) with z = 1.

    Raises:
        GeometryError: the lens's distortion puts no ray there, or folds the picture over before it.
    """
    p = np.asarray(pixels, dtype=np.float64)
    x, y = (p[..., 0] - k.cx_px) / k.fx_px, (p[..., 1] - k.cy_px) / k.fy_px
    if k.distorted:
        x, y = _undistort(k, x, y)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _undistort(k: Intrinsics, xd: Array, yd: Array) -> tuple[Array, Array]:
    """The inverse of `_distort` by Newton's method."""
    x, y, solved = xd, yd, np.zeros(xd.shape, dtype=np.bool_)
    with np.errstate(all="ignore"):  # what diverges is refused below
        for _ in range(_NEWTON_STEPS):
            ex, ey = _distort(k, x, y)
            ex, ey = ex - xd, ey - yd
            xx, xy, yy = _distortion_jacobian(k, x, y)
            determinant = xx * yy - xy * xy
            solved = (np.hypot(ex * k.fx_px, ey * k.fy_px) < _NEWTON_ERROR_PX) & (determinant > 0)
            if solved.all():
                return x, y
            x, y = x - (yy * ex - xy * ey) / determinant, y - (xx * ey - xy * ex) / determinant
    raise GeometryError(
        f"at {np.mean(~solved):.0%} of the picture's pixels no ray is found that the lens's distortion puts there; "
        "correct k1, k2, p1, p2 and k3 of its intrinsics, or calibrate again with points up to the picture's corners"
    )


def rays_from_pixels(k: Intrinsics) -> Array:
    """(H, W, 3) camera-frame rays with z = 1 through every pixel's centre."""
    xs, ys = np.meshgrid(np.arange(k.width_px) + 0.5, np.arange(k.height_px) + 0.5)
    return rays_at(np.stack([xs, ys], axis=-1), k)


def points_from_depth(depth_z: npt.ArrayLike, k: Intrinsics) -> Array:
    """z-depth (H, W) -> camera-frame points (H, W, 3) in the same unit.

    Raises:
        GeometryError: the map is not of the intrinsics' size.
    """
    d = np.asarray(depth_z, dtype=np.float64)
    if d.shape != (k.height_px, k.width_px):
        raise GeometryError(
            f"depth is {d.shape}, the intrinsics are for {(k.height_px, k.width_px)}; resize one of them"
        )
    return rays_from_pixels(k) * d[..., None]
