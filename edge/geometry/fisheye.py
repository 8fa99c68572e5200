"""Fisheye lenses, also past 90 degrees: pixels to unit rays and back. Camera frame: x right, y down, z forward.

The model is OpenCV's fisheye (Kannala and Brandt, "A generic camera model and calibration method for conventional,
wide-angle, and fish-eye lenses", PAMI 2006): what lies at the angle t from the axis is drawn t_d = t (1 + k1 t^2 +
k2 t^4 + k3 t^6 + k4 t^8) focal lengths from the centre, whatever its direction around the axis.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.scene import BoolArray, Fisheye, FisheyeCircle

Array = npt.NDArray[np.float64]

WIDEST_RAD = np.deg2rad(300.0)
_STEPS = 50
_EDGE_RAD = 1e-9
"""So far beyond its field of view a lens still shows what lies exactly on its edge."""


def fisheye_in(circle: FisheyeCircle, width_px: int, height_px: int) -> Fisheye:
    """The equidistant lens that draws this circle in a picture of that size."""
    radius_px = circle.radius * min(width_px, height_px)
    focal_px = radius_px / (circle.fov_rad / 2)
    x, y = circle.centre
    return Fisheye(width_px, height_px, focal_px, focal_px, x * width_px, y * height_px, fov_rad=circle.fov_rad)


def distorted(angle_rad: npt.ArrayLike, k: Fisheye) -> Array:
    """How many focal lengths from the centre an angle from the axis is drawn."""
    t = np.asarray(angle_rad, dtype=np.float64)
    u = t * t
    return np.asarray(t * (1 + u * (k.k1 + u * (k.k2 + u * (k.k3 + u * k.k4)))))


def _slope(t: Array, k: Fisheye) -> Array:
    u = t * t
    return np.asarray(1 + u * (3 * k.k1 + u * (5 * k.k2 + u * (7 * k.k3 + u * 9 * k.k4))))


def check_fisheye(k: Fisheye) -> None:
    """Refuse a lens whose picture folds over within its field of view, or that sees more than there is.

    Raises:
        GeometryError: with the widest field of view for which the coefficients hold.
    """
    if not 0 < k.fov_rad <= WIDEST_RAD:
        raise GeometryError(
            f"a fisheye's field of view lies between 0 and {np.degrees(WIDEST_RAD):.0f} degrees, got "
            f"{np.degrees(k.fov_rad):.1f}; correct fov_deg"
        )
    # Where the slope is 0, as a polynomial of 1 / t^2, whose first coefficient is 1.
    roots = np.roots([1.0, 3 * k.k1, 5 * k.k2, 7 * k.k3, 9 * k.k4])
    turning = roots.real[(np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))) & (roots.real > 1e-3)]
    widest_rad = 2 * float(1 / np.sqrt(turning.max())) if turning.size else np.inf
    if widest_rad <= k.fov_rad:
        raise GeometryError(
            f"these fisheye coefficients draw two directions at one place beyond {np.degrees(widest_rad) / 2:.1f} "
            f"degrees from the axis, within the field of view of {np.degrees(k.fov_rad):.1f}; correct k1, k2, k3 and "
            f"k4, or set fov_deg below {np.degrees(widest_rad):.0f}"
        )


def project(points: npt.ArrayLike, k: Fisheye) -> tuple[Array, BoolArray]:
    """Camera-frame points (..., 3) -> pixels (..., 2), and which lie within the lens's field of view.

    Pixel coordinates are continuous with the first pixel's centre at 0.5. What lies beyond the field of view is put on
    its edge, in its direction.
    """
    p = np.asarray(points, dtype=np.float64)
    across = np.hypot(p[..., 0], p[..., 1])
    angle = np.arctan2(across, p[..., 2])
    half = k.fov_rad / 2
    scale = distorted(np.minimum(angle, half), k) / np.maximum(across, np.finfo(np.float64).tiny)
    xy = p[..., :2] * scale[..., None]
    return xy * (k.fx_px, k.fy_px) + (k.cx_px, k.cy_px), np.asarray(angle <= half + _EDGE_RAD)


def rays_at(pixels: npt.ArrayLike, k: Fisheye) -> tuple[Array, BoolArray]:
    """Pixels (..., 2) -> camera-frame unit rays (..., 3), and which pixels the lens shows something at.

    Outside the circle the ray is that of the nearest point on its edge.
    """
    p = np.asarray(pixels, dtype=np.float64)
    x, y = (p[..., 0] - k.cx_px) / k.fx_px, (p[..., 1] - k.cy_px) / k.fy_px
    across = np.hypot(x, y)
    half = k.fov_rad / 2
    edge = float(distorted(half, k))
    angle = _undistorted(np.minimum(across, edge), half, edge, k)
    sine = np.sin(angle) / np.maximum(across, np.finfo(np.float64).tiny)
    rays = np.stack([x * sine, y * sine, np.cos(angle)], axis=-1)
    return rays, np.asarray(across <= edge * (1 + _EDGE_RAD))


def _undistorted(drawn: Array, half: float, edge: float, k: Fisheye) -> Array:
    """The angles in [0, half] that are drawn so far out, by Newton's method kept within a shrinking bracket."""
    low, high = np.zeros_like(drawn), np.full_like(drawn, half)
    t = drawn * (half / edge)
    for _ in range(_STEPS):
        error = distorted(t, k) - drawn
        if float(np.abs(error).max(initial=0.0)) < 1e-14:
            break
        low, high = np.where(error < 0, t, low), np.where(error > 0, t, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = t - error / _slope(t, k)
        inside = (step >= low) & (step <= high)
        t = np.where(inside, step, (low + high) / 2)
    return t


def rays_from_pixels(k: Fisheye) -> tuple[Array, BoolArray]:
    """(H, W, 3) camera-frame unit rays through every pixel's centre, and (H, W) which show something."""
    xs, ys = np.meshgrid(np.arange(k.width_px) + 0.5, np.arange(k.height_px) + 0.5)
    return rays_at(np.stack([xs, ys], axis=-1), k)
