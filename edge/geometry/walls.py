"""Walls as lines on the floor plane, and closed outlines built from them.

A line is a unit normal n and an offset d with n . p = d. Points are (K, 2) in the room frame with the camera at the
origin; longitudes are 0 along +y and positive towards +x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_PARALLEL_RAD = np.deg2rad(15.0)
_FAR_FROM_JOINT_RAD = np.deg2rad(6.0)


@dataclass(frozen=True, slots=True)
class Line:
    """n . p = d."""

    normal: Array
    offset: float

    def on_ray(self, longitude_rad: float) -> Array:
        """Where the ray from the camera meets the line; NaN when it never does."""
        direction = np.array([np.sin(longitude_rad), np.cos(longitude_rad)])
        along = float(self.normal @ direction)
        distance = self.offset / along if abs(along) > 1e-9 else np.nan
        return direction * (distance if distance > 0 else np.nan)

    def foot(self, point: Array) -> Array:
        """The nearest point of the line."""
        return np.asarray(point + (self.offset - float(self.normal @ point)) * self.normal)


def fit_line(points: Array, weights: Array, rounds: int = 3) -> Line:
    """Total least squares with robust reweighting (Cauchy on the residuals' own median)."""
    w = weights / weights.sum()
    normal, offset = np.array([1.0, 0.0]), 0.0
    for _ in range(rounds):
        mean = w @ points
        centred = points - mean
        normal = np.linalg.eigh((centred * w[:, None]).T @ centred)[1][:, 0]
        offset = float(normal @ mean)
        residual = np.abs(points @ normal - offset)
        scale = 2.0 * np.median(residual) + 1e-9
        w = weights / (1.0 + (residual / scale) ** 2)
        w = w / w.sum()
    return Line(normal, offset)


def fit_axis_line(points: Array, weights: Array, normal: Array) -> Line:
    """The line of a given normal at the weighted median of the points' offsets."""
    d = points @ normal
    order = np.argsort(d)
    cumulative = np.cumsum(weights[order])
    return Line(normal, float(d[order][np.searchsorted(cumulative, cumulative[-1] / 2)]))


def dominant_axis_rad(lines: list[Line], lengths: Array) -> float:
    """Angle modulo 90 degrees that the walls' normals agree on, weighted by length (mean of the 4-fold angle)."""
    angles = np.array([np.arctan2(line.normal[1], line.normal[0]) for line in lines])
    return float(np.angle(np.sum(lengths * np.exp(4j * angles))) / 4)


def _meet(a: Line, b: Line) -> Array | None:
    cross = a.normal[0] * b.normal[1] - a.normal[1] * b.normal[0]
    if abs(cross) < np.sin(_PARALLEL_RAD):
        return None
    x = a.offset * b.normal[1] - b.offset * a.normal[1]
    y = a.normal[0] * b.offset - b.normal[0] * a.offset
    return np.array([x / cross, y / cross])


def _joint(a: Line, b: Line, longitude_rad: float, perpendicular_step: bool) -> list[Array]:
    """The corner between two neighbouring walls: their meeting point, or both sides of an occlusion edge."""
    met = _meet(a, b)
    if met is not None and float(met @ met) > 1e-12:
        off = np.arctan2(met[0], met[1]) - longitude_rad
        if abs((off + np.pi) % (2 * np.pi) - np.pi) < _FAR_FROM_JOINT_RAD:
            return [met]
    pa, pb = a.on_ray(longitude_rad), b.on_ray(longitude_rad)
    if perpendicular_step and met is None and np.isfinite([*pa, *pb]).all():
        return [pa, b.foot(pa)] if pa @ pa <= pb @ pb else [a.foot(pb), pb]
    return [pa, pb]


def chain(lines: list[Line], joints_rad: list[float], *, closed: bool, perpendicular_step: bool) -> Array:
    """Corners (N, 2) of the outline along the walls in order of longitude.

    Args:
        lines: the walls.
        joints_rad: closed: `joints_rad[i]` separates wall i - 1 from wall i. Open: len(lines) + 1 longitudes, of which
            the first and last end the outline.
        closed: whether the last wall joins the first.
        perpendicular_step: join parallel walls by a step at right angles (Manhattan) and not along the line of sight.
    """
    corners: list[Array] = []
    if not closed:
        corners.append(lines[0].on_ray(joints_rad[0]))
    for i in range(0 if closed else 1, len(lines)):
        corners.extend(_joint(lines[i - 1], lines[i], joints_rad[i], perpendicular_step))
    if not closed:
        corners.append(lines[-1].on_ray(joints_rad[-1]))
    return np.array(corners)


def without_redundant_corners(polygon: Array, tolerance_m: float = 0.01) -> Array:
    """Drop corners that repeat their neighbour or lie on the line between their neighbours."""
    p = polygon
    while len(p) > 3:
        before, after = np.roll(p, 1, axis=0), np.roll(p, -1, axis=0)
        chord = after - before
        length = np.linalg.norm(chord, axis=1)
        to_before = np.linalg.norm(p - before, axis=1)
        offset = np.abs(chord[:, 0] * (p - before)[:, 1] - chord[:, 1] * (p - before)[:, 0]) / np.maximum(length, 1e-12)
        between = np.einsum("ij,ij->i", p - before, chord) <= length**2 + 1e-12
        redundant = (to_before < tolerance_m) | ((offset < tolerance_m) & between & (length > tolerance_m))
        if not redundant.any():
            return p
        p = np.delete(p, int(np.argmax(redundant)), axis=0)
    return p
