"""Which way is up, from edges that are vertical in the room: their vanishing point, found robustly.

An edge and the lens span a plane. The planes of vertical edges have the vertical in common, so the normal of each is
at right angles to it, whatever the lens. Most edges in a room are not vertical: what most of them agree on near the
expected vertical is found by trying pairs (MSAC: Torr and Zisserman, 2000), then fitted by reweighted least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.edges import edge_width_px, line_segments
from edge.derive.calibrate.views import AROUND, FlatView, flat_views
from edge.errors import CalibrationError
from edge.geometry.rigid import rotation_room_camera
from edge.scene import CameraModel, ImageArray

Array = npt.NDArray[np.float64]

WIDEST_EDGE_PX = 6.0
FEWEST_EDGES = 5
SEARCH_RAD = np.deg2rad(35.0)
"""How far from where the configuration says up is it is looked for: beyond, other directions of a room begin."""
_WORST_RAD = np.deg2rad(1.5)
_AGREE_RAD = np.deg2rad(1.2)
_ELSEWHERE_RAD = np.deg2rad(5.0)
_RIVAL = 0.75
_NOISE_PX = 0.6
_UPRIGHT_RAD = np.deg2rad(0.12)
"""How vertical vertical edges are: builders' tolerance."""
_TRIES = 1500
_ROUNDS = 12
_STEP_RAD = 1e-5


@dataclass(frozen=True, slots=True)
class Level:
    """How a camera is tilted, and how well that is known."""

    pitch_rad: float
    roll_rad: float
    pitch_error_rad: float
    """One standard deviation."""
    roll_error_rad: float
    edges: int
    """How many vertical edges say so."""
    left_rad: float
    """By how much they miss the vertical: median."""


@dataclass(frozen=True, slots=True)
class _Edges:
    """Edges as planes through the lens."""

    normals: Array
    middles: Array
    noise_rad: Array
    lengths_rad: Array

    def tilts(self, up: Array) -> Array:
        """Angles (..., N) by which edges miss the plane of their middle and `up` (..., 3)."""
        along = up @ self.middles.T
        across = np.sqrt(np.maximum(1 - along**2, 1e-6))
        return np.asarray(np.arcsin(np.clip((up @ self.normals.T) / across, -1, 1)))


def up_in_camera(pitch_rad: float, roll_rad: float) -> Array:
    """The room's vertical in the camera's axes."""
    return np.asarray(rotation_room_camera(0.0, pitch_rad, roll_rad)[2])


def angles_of_up(up: npt.ArrayLike) -> tuple[float, float]:
    """Pitch and roll of a camera that has the room's vertical there."""
    x, y, z = np.asarray(up, np.float64)
    return float(np.arcsin(np.clip(z, -1, 1))), float(np.arctan2(-x, -y))


def across(up: Array) -> Array:
    """(2, 3) unit directions in which the vertical moves when pitch grows, and when roll does."""
    pitch, roll = angles_of_up(up)
    by_pitch = (-np.sin(pitch) * -np.sin(roll), np.sin(pitch) * np.cos(roll), np.cos(pitch))
    return np.array([by_pitch, (-np.cos(roll), np.sin(roll), 0.0)])


def tilt_errors(up: Array, covariance: Array) -> tuple[float, float]:
    """Standard deviations of pitch and roll, rad, from the covariance (2, 2) of the vertical along `across`.

    Of a camera that looks straight down roll is any: what counts is `roll_error_rad` times the cosine of pitch.
    """
    level = max(float(np.cos(angles_of_up(up)[0])), 1e-6)
    return float(np.sqrt(covariance[0, 0])), float(np.sqrt(covariance[1, 1])) / level


def worst_tilt_rad(pitch_rad: float, pitch_error_rad: float, roll_error_rad: float) -> float:
    """By how much the vertical is uncertain where it is worst known."""
    return max(pitch_error_rad, roll_error_rad * float(np.cos(pitch_rad)))


def yaw_kept_rad(model: CameraModel, pitch_rad: float, roll_rad: float) -> float:
    """The yaw with which a camera of that pitch and roll looks and lies as nearly as possible as it is said to.

    Near straight down a small change of tilt is a large one of roll, which yaw must undo.
    """
    said = rotation_room_camera(model.yaw_rad, model.pitch_rad, model.roll_rad)
    apart = rotation_room_camera(0.0, pitch_rad, roll_rad) @ said.T
    return float(np.arctan2(apart[1, 0] - apart[0, 1], apart[0, 0] + apart[1, 1]))


def _edges(views: Sequence[FlatView]) -> _Edges:
    normals, middles, noise, lengths = [], [], [], []
    for view in views:
        ends = line_segments(view)
        rays = view.rays(ends)
        normal = np.cross(rays[:, 0], rays[:, 1])
        length = np.linalg.norm(normal, axis=1)
        middle = rays.sum(axis=1)
        normals.append(normal / length[:, None])
        middles.append(middle / np.linalg.norm(middle, axis=1, keepdims=True))
        noise.append(np.hypot(_NOISE_PX / np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), _UPRIGHT_RAD))
        lengths.append(np.arcsin(np.clip(length, 0, 1)))
    return _Edges(*(np.concatenate(part) for part in (normals, middles, noise, lengths)))


def _score(edges: _Edges, ups: Array) -> Array:
    """How much length of edges agrees on each direction (K, 3)."""
    off = edges.tilts(ups) / _AGREE_RAD
    return np.asarray(np.maximum(1 - off**2, 0) @ edges.lengths_rad)


def _candidates(edges: _Edges, expected: Array) -> Array:
    """Directions near the expected one on which pairs of edges agree."""
    rng = np.random.default_rng(0)
    weights = edges.lengths_rad / edges.lengths_rad.sum()
    pairs = rng.choice(len(weights), size=(_TRIES, 2), p=weights)
    ups = np.cross(edges.normals[pairs[:, 0]], edges.normals[pairs[:, 1]])
    size = np.linalg.norm(ups, axis=1)
    ups = ups[size > np.sin(np.deg2rad(1.0))] / size[size > np.sin(np.deg2rad(1.0)), None]
    ups = ups * np.where(ups @ expected < 0, -1.0, 1.0)[:, None]
    return np.asarray(ups[ups @ expected > np.cos(SEARCH_RAD)])


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _fitted(edges: _Edges, up: Array) -> tuple[Array, Array, Array]:
    """The direction by reweighted least squares, its covariance (2, 2) along `across`, and each edge's weight."""
    weights, jacobian = np.zeros(len(edges.noise_rad)), np.zeros((len(edges.noise_rad), 2))
    for _ in range(_ROUNDS):
        off, directions = edges.tilts(up) / edges.noise_rad, across(up)
        cut = _AGREE_RAD / edges.noise_rad
        weights = np.where(np.abs(off) < cut, (1 - (off / cut) ** 2) ** 2, 0.0)  # Tukey's
        moved = [edges.tilts(_unit(up + _STEP_RAD * direction)) for direction in directions]
        jacobian = np.stack([(tilts / edges.noise_rad - off) / _STEP_RAD for tilts in moved], axis=1)
        normal = jacobian.T @ (weights[:, None] * jacobian) + 1e-9 * np.eye(2)
        step = np.linalg.solve(normal, jacobian.T @ (weights * off))
        up = _unit(up - step @ directions)
        if np.abs(step).max() < 1e-8:
            break
    off = edges.tilts(up) / edges.noise_rad
    spread = max(1.0, float(np.sum(weights * off**2) / max(np.sum(weights) - 2, 1)))
    normal = jacobian.T @ (weights[:, None] * jacobian) + 1e-9 * np.eye(2)
    return up, np.linalg.inv(normal) * spread, weights


def level(images: Sequence[ImageArray], model: CameraModel) -> Level:
    """Pitch and roll of a camera from the vertical edges in its pictures.

    Args:
        images: one or several pictures of the camera where it hangs.
        model: its lens and masks; its pitch and roll say roughly where up is.

    Raises:
        CalibrationError: the pictures are blurred, or show too little that is vertical.
        GeometryError: the lens does not fit the pictures.
    """
    views = [view for image in images for view in flat_views(image, model, AROUND)]
    edges = _edges(views)
    _check_sharp(views)
    expected = up_in_camera(model.pitch_rad, model.roll_rad)
    ups = _candidates(edges, expected) if len(edges.noise_rad) >= FEWEST_EDGES else np.zeros((0, 3))
    if not len(ups):
        raise _too_few(0)
    scores = _score(edges, ups)
    best = ups[np.argmax(scores)]
    up, covariance, weights = _fitted(edges, best)
    agree = weights > 0
    if agree.sum() < FEWEST_EDGES * len(images):
        raise _too_few(int(agree.sum()) // len(images))
    elsewhere = ups @ up < np.cos(_ELSEWHERE_RAD)
    if elsewhere.any() and scores[elsewhere].max() > _RIVAL * scores.max():
        raise CalibrationError(
            "two directions are as likely to be up; set pitch_deg and roll_deg to about what they are, or give a "
            "picture with more that is vertical: corners of the room, door frames, cupboards"
        )
    pitch, roll = angles_of_up(up)
    errors = tilt_errors(up, covariance * len(images))  # several pictures show the same edges
    if (worst := worst_tilt_rad(pitch, *errors)) > _WORST_RAD:
        raise CalibrationError(
            f"the vertical edges are all in one place and leave pitch and roll open by {np.degrees(worst):.1f} "
            "degrees; give a picture that shows some on its left and its right, or put the board on the floor"
        )
    return Level(
        pitch, roll, *errors, int(agree.sum()) // len(images),
        float(np.median(np.abs(edges.tilts(up)[agree]))),
    )  # fmt: skip


def _too_few(count: int) -> CalibrationError:
    return CalibrationError(
        f"{count or 'no'} edges in the picture agree on what is vertical, {FEWEST_EDGES} are needed; give a picture "
        "with corners of the room, door frames or cupboards in it and the lamps on, set pitch_deg and roll_deg to "
        "about what they are, or put the board on the floor"
    )


def _check_sharp(views: Sequence[FlatView]) -> None:
    widths = [edge_width_px(view.grey, line_segments(view)) for view in views]
    known = [width for width in widths if np.isfinite(width)]
    if known and min(known) > WIDEST_EDGE_PX:
        raise CalibrationError(
            f"the picture is blurred: its sharpest edges are {min(known):.0f} px wide; focus the lens, clean it, and "
            "see that nothing moves"
        )
