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
from edge.derive.calibrate.verticals import Level, angles_of_up, up_in_camera
from edge.errors import CalibrationError
from edge.geometry.rigid import rotation_room_camera

Array = npt.NDArray[np.float64]

_LEAST_NOISE_PX = 0.15
_WORST_LEFT_PX = 1.5
_LEAST_LEVEL_RAD = np.deg2rad(0.1)
_STEEPEST_RAD = np.deg2rad(60.0)
_ROUNDS, _STEP = 60, 1e-6


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


def _poses(sighting: Sighting) -> list[tuple[Array, Array]]:
    """The rotations (3, 3) and positions (3,), board to camera, that a flat board's picture allows: one or two."""
    rays = sighting.rays
    ahead = rays.mean(axis=0)
    turn, _ = cv2.Rodrigues(_rotation_vector(ahead / np.linalg.norm(ahead)))
    flat = rays @ np.asarray(turn, np.float64).T
    flat = np.ascontiguousarray(flat[:, :2] / flat[:, 2:])
    board = np.ascontiguousarray(np.column_stack([sighting.points_m, np.zeros(len(flat))]))
    board -= board.mean(axis=0)
    count, turns, places, _ = cv2.solvePnPGeneric(board, flat, np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    return [
        (np.asarray(turn).T @ cv2.Rodrigues(turns[i])[0], np.asarray(turn).T @ np.ravel(places[i]))
        for i in range(count)
    ]


def _rotation_vector(direction: Array) -> Array:
    """Of the shortest rotation that turns a direction forwards."""
    axis = np.cross(direction, (0.0, 0.0, 1.0))
    size = float(np.linalg.norm(axis))
    angle = float(np.arctan2(size, direction[2]))
    return np.asarray(axis / max(size, 1e-12) * angle)


def _start(sightings: Sequence[Sighting], expected: Array) -> Array:
    """A first guess of all unknowns: the tilt of the pose nearest to the expected one, then where the boards are."""
    ups = [-turn[:, 2] for sighting in sightings for turn, _ in _poses(sighting)]
    best = max(ups, key=lambda up: float(up @ expected), default=expected)
    up = best if best @ expected > np.cos(_STEEPEST_RAD) else expected
    pitch, roll = angles_of_up(up)
    camera = rotation_room_camera(0.0, pitch, roll)
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
    return np.array([pitch, roll, float(np.median(heights)), *np.ravel(boards)])


def _misses(sightings: Sequence[Sighting], scales_px: Sequence[float], level: Level | None) -> Callable[[Array], Array]:
    rays = [s.rays for s in sightings]

    def misses(unknowns: Array) -> Array:
        pitch, roll, height = unknowns[:3]
        out = []
        for i, sighting in enumerate(sightings):
            seen = in_camera(on_floor(sighting.points_m, *unknowns[3 + 3 * i : 6 + 3 * i]), pitch, roll, height)
            seen /= np.linalg.norm(seen, axis=1, keepdims=True)
            out.append(((seen - rays[i]) * scales_px[i]).ravel())
        if level is not None:
            noise = (max(level.pitch_error_rad, _LEAST_LEVEL_RAD), max(level.roll_error_rad, _LEAST_LEVEL_RAD))
            out.append(np.array([(pitch - level.pitch_rad) / noise[0], (roll - level.roll_rad) / noise[1]]))
        return np.concatenate(out)

    return misses


def _jacobian(misses: Callable[[Array], Array], unknowns: Array, at: Array) -> Array:
    steps = np.eye(len(unknowns)) * _STEP
    return np.stack([(misses(unknowns + step) - at) / _STEP for step in steps], axis=1)


def _solved(misses: Callable[[Array], Array], unknowns: Array) -> tuple[Array, Array]:
    """The unknowns at the least square, and the inverse of the normal matrix there."""
    damping, at = 1e-3, misses(unknowns)
    for _ in range(_ROUNDS):
        jacobian = _jacobian(misses, unknowns, at)
        normal, slope = jacobian.T @ jacobian, jacobian.T @ at
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope)
        tried = misses(unknowns + step)
        if tried @ tried < at @ at:
            done = at @ at - tried @ tried < 1e-12 * (1 + at @ at)
            unknowns, at, damping = unknowns + step, tried, damping / 5
            if done:
                break
        else:
            damping *= 10
            if damping > 1e9:
                break
    jacobian = _jacobian(misses, unknowns, at)
    return unknowns, np.linalg.pinv(jacobian.T @ jacobian)


def hang(sightings: Sequence[Sighting], expected: tuple[float, float], level: Level | None = None) -> OnFloor:
    """Height, pitch and roll of a camera from boards on its floor.

    Args:
        sightings: of boards that lie on the floor, in one picture or several.
        expected: pitch and roll, rad, roughly; it decides where a small board allows two.
        level: what vertical edges say of pitch and roll; None: nothing.

    Raises:
        CalibrationError: what was found cannot lie on the floor.
    """
    scales = [float(np.sqrt(s.view.k.fx_px * s.view.k.fy_px)) / _LEAST_NOISE_PX for s in sightings]
    expected_up = up_in_camera(*((level.pitch_rad, level.roll_rad) if level else expected))
    start = _start(sightings, expected_up)
    alone = _misses(sightings, scales, None)
    unknowns, inverse = _solved(alone, start)
    own, own_inverse = unknowns[:2].copy(), inverse
    if level is not None:
        start[:2] = level.pitch_rad, level.roll_rad
        unknowns, inverse = _solved(_misses(sightings, scales, level), start)
    off = alone(unknowns)
    corners = sum(len(s.pixels) for s in sightings)
    left_px = float(np.sqrt(off @ off / corners)) * _LEAST_NOISE_PX
    spread = max(1.0, float(off @ off) / max(2 * corners - len(unknowns), 1))
    errors = np.sqrt(np.diag(inverse) * spread)
    if unknowns[2] <= 0:
        raise CalibrationError("the board is seen from below; lay it on the floor with its printed side up")
    apart, apart_error = None, 0.0
    if level is not None:
        apart = float(np.arccos(np.clip(up_in_camera(*own) @ up_in_camera(level.pitch_rad, level.roll_rad), -1, 1)))
        apart_error = float(np.sqrt((own_inverse[0, 0] + own_inverse[1, 1]) * spread + _LEAST_LEVEL_RAD**2))
    return OnFloor(
        float(unknowns[2]), float(unknowns[0]), float(unknowns[1]), float(errors[2]), float(errors[0]),
        float(errors[1]), left_px, len(sightings), apart, apart_error,
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
    if max(found.pitch_error_rad, found.roll_error_rad) > np.deg2rad(0.75):
        said.append("the tilt is hardly known: lay the board in several places, near and far, one picture each")
    apart, error = found.tilt_apart_rad, found.tilt_apart_error_rad
    if apart is not None and apart > max(np.deg2rad(1.0), 4 * error):
        said.append(
            f"the board and the vertical edges disagree by {np.degrees(apart):.1f} degrees: the board does not lie "
            "flat, the floor slopes, or the lens is not as configured"
        )
    return said
