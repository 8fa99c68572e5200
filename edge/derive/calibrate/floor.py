"""Height and tilt of a camera from a board, or a sheet, that lies on the floor in one or several places.

The unknowns are the camera's pitch, roll and height, and of every place the board's own position and turn on the floor.
They are found by least squares on the corners' rays (Levenberg and Marquardt), with the tilt that vertical edges gave,
where they did, as a measurement among the others. A small board says much of the scale and little of the tilt; the
edges do the opposite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import Sighting
from edge.derive.calibrate.fitting import least_squares
from edge.derive.calibrate.poses import board_poses
from edge.derive.calibrate.verticals import Level, across, angles_of_up, tilt_errors, up_in_camera, worst_tilt_rad
from edge.errors import CalibrationError
from edge.geometry.rigid import rotation_room_camera

Array = npt.NDArray[np.float64]

_WORST_LEFT_PX = 1.5
_LEAST_LEVEL_RAD = np.deg2rad(0.1)
_STEEPEST_RAD = np.deg2rad(60.0)


@dataclass(frozen=True, slots=True)
class OnFloor:
    """How a camera hangs, by what lies on the floor. Errors are one standard deviation."""

    height_m: float
    pitch_rad: float
    roll_rad: float
    height_error_m: float
    pitch_error_rad: float
    roll_error_rad: float
    left_px: float
    """By how much the corners miss: root mean square."""
    places: int
    tilt_apart_rad: float | None = None
    """Between the board's own tilt and that of the vertical edges; None where there is no such."""
    tilt_apart_error_rad: float = 0.0
    """How well the two are known together."""


def in_camera(points: npt.ArrayLike, pitch_rad: float, roll_rad: float, height_m: float) -> Array:
    """Points (..., 3), room axes with the origin on the floor below the lens, as vectors from the lens in its axes."""
    there = np.asarray(points, np.float64) - (0.0, 0.0, height_m)
    return np.asarray(there @ rotation_room_camera(0.0, pitch_rad, roll_rad))


def on_floor(points_m: Array, x_m: float, y_m: float, turn_rad: float) -> Array:
    """(N, 3) room points of a board's points (N, 2) that lies there with its printed side up."""
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    right, down = points_m[:, 0], points_m[:, 1]
    return np.stack([x_m + c * right + s * down, y_m + s * right - c * down, np.zeros(len(right))], axis=1)


def _start(sightings: Sequence[Sighting], expected: Array, tilt_known: bool = False) -> tuple[Array, Array]:
    """A first guess: the tilt (3, 3), of the pose nearest to the expected one, and the unknowns with it.

    Those are how far the vertical is from there, along `across`, the height, and where each board is and how it lies.
    """
    ups = [-turn[:, 2] for sighting in sightings for turn, _ in board_poses(sighting.points_m, sighting.rays)]
    best = max(ups, key=lambda up: float(up @ expected), default=expected)
    up = expected if tilt_known or best @ expected < np.cos(_STEEPEST_RAD) else best
    camera = rotation_room_camera(0.0, *angles_of_up(up))
    heights, boards = [], []
    for sighting in sightings:
        rays = sighting.rays @ camera.T
        if (rays[:, 2] > -0.02).any():
            raise CalibrationError(
                "the board is not below the camera, so it does not lie on the floor; lay it flat on the floor, in "
                "the picture's lower half, or correct pitch_deg"
            )
        plan = rays[:, :2] / -rays[:, 2:]  # in camera heights
        points = sighting.points_m
        spread = points - points.mean(axis=0)
        across = np.linalg.svd(spread, full_matrices=False)[1].sum()
        height = float(across / np.linalg.svd(plan - plan.mean(axis=0), full_matrices=False)[1].sum())
        place = plan * height
        flipped = spread * (1, -1)
        centred = place - place.mean(axis=0)
        sine = float((flipped[:, 0] * centred[:, 1] - flipped[:, 1] * centred[:, 0]).sum())
        turn = float(np.arctan2(sine, (flipped * centred).sum()))
        middle = on_floor(points.mean(axis=0)[None], 0.0, 0.0, turn)[0]
        heights.append(height)
        boards.append([*(place.mean(axis=0) - middle[:2]), turn])
    return camera, np.array([0.0, 0.0, float(np.median(heights)), *np.ravel(boards)])


def _tilted(base: Array, across_base: Array, unknowns: Array) -> Array:
    """(3, 3) room from camera: a first guess turned so that the vertical moves along `across`, whatever the pitch."""
    axis = np.cross(unknowns[:2] @ across_base, base[2])
    return np.asarray(base @ cv2.Rodrigues(axis)[0])


def _misses(
    sightings: Sequence[Sighting], scales_px: Sequence[float], base: Array, level: Level | None
) -> Callable[[Array], Array]:
    rays = [s.rays for s in sightings]
    across_base = across(base[2])
    if level is not None:
        level_up = up_in_camera(level.pitch_rad, level.roll_rad)
        noise = np.maximum((level.pitch_error_rad, level.roll_error_rad * np.cos(level.pitch_rad)), _LEAST_LEVEL_RAD)

    def misses(unknowns: Array) -> Array:
        camera, height = _tilted(base, across_base, unknowns), unknowns[2]
        out = []
        for i, sighting in enumerate(sightings):
            there = on_floor(sighting.points_m, *unknowns[3 + 3 * i : 6 + 3 * i]) - (0.0, 0.0, height)
            seen = there @ camera
            seen /= np.linalg.norm(seen, axis=1, keepdims=True)
            out.append(((seen - rays[i]) * scales_px[i]).ravel())
        if level is not None:
            out.append(across(level_up) @ (camera[2] - level_up) / noise)
        return np.concatenate(out)

    return misses


def hang(sightings: Sequence[Sighting], expected: tuple[float, float], level: Level | None = None) -> OnFloor:
    """Height, pitch and roll of a camera from boards on its floor.

    Args:
        sightings: of boards that lie on the floor, in one picture or several.
        expected: pitch and roll, rad, roughly; it decides where a small board allows two.
        level: what vertical edges say of pitch and roll; None: nothing.

    Raises:
        CalibrationError: what was found cannot lie on the floor.
    """
    scales = [float(np.sqrt(s.view.k.fx_px * s.view.k.fy_px)) / s.noise_px for s in sightings]
    level_up = up_in_camera(level.pitch_rad, level.roll_rad) if level else None
    base, start = _start(sightings, up_in_camera(*expected) if level_up is None else level_up)
    alone = _misses(sightings, scales, base, None)
    unknowns, inverse = least_squares(alone, start)
    own_up, own_inverse = _tilted(base, across(base[2]), unknowns)[2], inverse
    if level_up is not None:
        base, start = _start(sightings, level_up, tilt_known=True)
        alone = _misses(sightings, scales, base, None)
        unknowns, inverse = least_squares(_misses(sightings, scales, base, level), start)
    off = alone(unknowns)
    corners = sum(len(s.pixels) for s in sightings)
    left_px = float(np.sqrt(off @ off / corners) * np.mean([s.noise_px for s in sightings]))
    spread = max(1.0, float(off @ off) / max(2 * corners - len(unknowns), 1))
    if unknowns[2] <= 0:
        raise CalibrationError("the board is seen from below; lay it on the floor with its printed side up")
    up = _tilted(base, across(base[2]), unknowns)[2]
    pitch, roll = angles_of_up(up)
    apart, apart_error = None, 0.0
    if level_up is not None:
        apart = float(np.arccos(np.clip(own_up @ level_up, -1, 1)))
        apart_error = float(np.sqrt((own_inverse[0, 0] + own_inverse[1, 1]) * spread + _LEAST_LEVEL_RAD**2))
    return OnFloor(
        float(unknowns[2]), pitch, roll, float(np.sqrt(inverse[2, 2] * spread)),
        *tilt_errors(up, inverse[:2, :2] * spread), left_px, len(sightings), apart, apart_error,
    )  # fmt: skip


def doubts(found: OnFloor) -> list[str]:
    """Why a result is not to be believed, each with what to do; none where it is."""
    said = []
    if found.left_px > _WORST_LEFT_PX:
        said.append(
            f"corners miss their places by {found.left_px:.1f} px: the board is bent, or moved while it was taken, or "
            "the lens is not as configured; lay it flat, and calibrate the lens (--lens)"
        )
    if found.height_error_m > 0.02 * found.height_m:
        said.append(
            f"the height is known to {100 * found.height_error_m:.0f} cm only: lay the board nearer, or in several "
            "places, one picture each"
        )
    if worst_tilt_rad(found.pitch_rad, found.pitch_error_rad, found.roll_error_rad) > np.deg2rad(0.75):
        said.append("the tilt is hardly known: lay the board in several places, near and far, one picture each")
    apart, error = found.tilt_apart_rad, found.tilt_apart_error_rad
    if apart is not None and apart > max(np.deg2rad(1.0), 4 * error):
        said.append(
            f"the board and the vertical edges disagree by {np.degrees(apart):.1f} degrees: the board does not lie "
            "flat, the floor slopes, or the lens is not as configured"
        )
    return said
