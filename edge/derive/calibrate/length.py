"""A camera's height from a length that is known: a wall's, or between two points on the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.verticals import up_in_camera
from edge.errors import CalibrationError

Array = npt.NDArray[np.float64]

CLICK_PX = 1.5
LEVEL_RAD = np.deg2rad(0.5)
"""How well pitch and roll are taken to be known where nothing says more."""
_LOWEST_RAD = np.deg2rad(3.0)
_WORST_SHARE = 0.05
_APART = 3.0


@dataclass(frozen=True, slots=True)
class Height:
    """A camera's height, and how well it is known: one standard deviation."""

    height_m: float
    error_m: float
    left_m: float | None = None
    """By how much several lengths miss, root mean square; None of a single one."""


def scaled(old_m: float, true_m: float, measured_m: float, error_share: float) -> Height:
    """The height at which what measured `measured_m` with the camera at `old_m` is as long as it truly is."""
    new = old_m * true_m / measured_m
    return Height(new, new * error_share)


def _apart(rays: Array, up: Array) -> float:
    """Distance of two points on the floor in camera heights, from rays (2, 3)."""
    down = -rays @ up
    if (down < np.sin(_LOWEST_RAD)).any():
        raise CalibrationError(
            "a point of the length is not below the horizon, so it is not on the floor; give pixels on the floor, "
            "nearer to the camera, or correct pitch_deg"
        )
    ends = rays / down[:, None]
    return float(np.linalg.norm(ends[0] - ends[1]))


def floor_length(
    rays: Array, true_m: float, pitch_rad: float, roll_rad: float, px_per_rad: float, level_error_rad: float = LEVEL_RAD
) -> Height:
    """The height from two points on the floor.

    Args:
        rays: (2, 3) unit rays in the camera's axes.
        true_m: their distance.
        pitch_rad: of the camera.
        roll_rad: of the camera.
        px_per_rad: of its picture; a point is clicked to `CLICK_PX`.
        level_error_rad: how well pitch and roll are known.

    Raises:
        CalibrationError: a point is not on the floor, or both are nearly one.
    """
    up = up_in_camera(pitch_rad, roll_rad)
    apart = _apart(rays, up)
    if apart < 1e-6:
        raise CalibrationError("both ends of the length are one point; give two")
    click = CLICK_PX / px_per_rad
    changes = []
    for angles in ((pitch_rad + level_error_rad, roll_rad), (pitch_rad, roll_rad + level_error_rad)):
        changes.append(_apart(rays, up_in_camera(*angles)) - apart)
    for end in (0, 1):
        for step in np.eye(3):
            moved = rays.copy()
            moved[end] += click * (step - rays[end] * (step @ rays[end]))
            changes.append(_apart(moved / np.linalg.norm(moved, axis=1, keepdims=True), up) - apart)
    height = true_m / apart
    return Height(height, height * float(np.linalg.norm(changes)) / apart)


def together(heights: Sequence[Height], lengths_m: Sequence[float]) -> Height:
    """One height from several, by how well each is known; `left_m`: what the lengths themselves then miss."""
    if len(heights) == 1:
        return heights[0]
    weights = np.array([1 / h.error_m**2 for h in heights])
    values = np.array([h.height_m for h in heights])
    height = float(weights @ values / weights.sum())
    left = np.asarray(lengths_m) * (height / values - 1)
    error = max(float(weights.sum() ** -0.5), float(np.std(values) / np.sqrt(len(values))))
    return Height(height, error, float(np.sqrt(np.mean(left**2))))


def doubts(found: Height, heights: Sequence[Height]) -> list[str]:
    """Why a height is not to be believed, with what to do; none where it is."""
    said = []
    if found.error_m > _WORST_SHARE * found.height_m:
        said.append(
            f"the height is known to {100 * found.error_m:.0f} cm only; give a longer length, nearer to the camera"
        )
    if any(abs(h.height_m - found.height_m) > _APART * max(h.error_m, 0.01 * h.height_m) for h in heights):
        said.append("the lengths contradict each other; measure them again, and see that all lie on the floor")
    return said
