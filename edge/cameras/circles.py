"""The circle that a fisheye draws in its picture, found in the picture: dark outside, the room within.

Along rays from the middle the rim is where the picture, from outside, first is half as bright as what follows. Where
the room is dark at the rim that lies too far within, so the circle is the one that most of the points agree on (RANSAC,
Fischler and Bolles 1981), and then the one with the least squares of distances to those (Gauss and Newton's steps).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.base import ComposedSpec, View
from edge.errors import GeometryError
from edge.geometry.fisheye import fisheye_in
from edge.scene import FisheyeCircle, ImageArray

Array = npt.NDArray[np.float64]

_RAYS = 360
_TRIES = 300
_LEAST_STEP = 16.0
"""So much brighter than outside, of 255, is the room."""
_WITHIN_PX = (3, 9)
"""So far within the rim its brightness is taken."""
_AGREES = 0.004
"""Points so near to a circle, in radii, agree with it."""
_LEAST_SHARE = 0.4
"""Of the directions that must have a point that agrees, or nothing is said to be found."""
_LEAST_RADIUS = 0.3
"""In shorter sides of the picture: what is smaller is a lamp."""


@dataclass(frozen=True, slots=True)
class FoundCircle:
    """In px of the picture it was sought in, the first pixel's centre at 0.5."""

    x_px: float
    y_px: float
    radius_px: float
    off_px: float
    """Root mean square distance of the rim's points from it."""
    share: float
    """Of the directions in which the rim was seen."""

    def __str__(self) -> str:
        """For people."""
        return (
            f"circle: centre {self.x_px:.1f}, {self.y_px:.1f} px, radius {self.radius_px:.1f} px, from "
            f"{self.share:.0%} of its rim, which is {self.off_px:.2f} px off it (root mean square)"
        )


def seeks(spec: ComposedSpec) -> bool:
    """Whether the circle of any of its lenses is to be looked for."""
    return any(view.seek_circle for member in spec.members for view in member.views)


def located(spec: ComposedSpec, images: Sequence[ImageArray | None]) -> tuple[ComposedSpec, list[FoundCircle]]:
    """The same with the circles where they are in these pictures, one of each member; and what was found of each lens.

    Raises:
        GeometryError: one is not seen, and why.
    """
    found: list[FoundCircle] = []
    members = []
    for member, image in zip(spec.members, images, strict=True):
        views = list(member.views)
        for n, view in enumerate(views):
            if view.seek_circle and image is not None:
                try:
                    circle = _circle_of(view, image)
                except GeometryError as error:
                    raise GeometryError(f"{member.label}, lens {n + 1}: {error}") from error
                found.append(circle)
                views[n] = _with(view, circle, image.shape[1::-1])
        members.append(replace(member, views=tuple(views)))
    return replace(spec, members=tuple(members)), found


def _circle_of(view: View, image: ImageArray) -> FoundCircle:
    """In px of the whole picture; looked for in the square around where it is taken to be."""
    assert isinstance(view.model.fisheye, FisheyeCircle)
    height, width = image.shape[:2]
    start = fisheye_in(view.model.fisheye, width, height)
    half = round(view.model.fisheye.radius * min(width, height))
    left, top = max(0, round(start.cx_px) - half), max(0, round(start.cy_px) - half)
    circle = find_circle(image[top : round(start.cy_px) + half, left : round(start.cx_px) + half])
    return replace(circle, x_px=circle.x_px + left, y_px=circle.y_px + top)


def _with(view: View, found: FoundCircle, wh: Sequence[int]) -> View:
    assert isinstance(view.model.fisheye, FisheyeCircle)
    centre = (found.x_px / wh[0], found.y_px / wh[1])
    circle = replace(view.model.fisheye, centre=centre, radius=found.radius_px / min(wh))
    return replace(view, model=replace(view.model, fisheye=circle), seek_circle=False)


def find_circle(image: ImageArray) -> FoundCircle:
    """The circle in a picture (H, W, 3) that holds one, of about the picture's size.

    Raises:
        GeometryError: none is seen, and why.
    """
    bright = cv2.GaussianBlur(image.max(axis=-1), (0, 0), 1.0).astype(np.float32)
    height, width = bright.shape
    x, y, circle = width / 2, height / 2, None
    for _ in range(2):  # the second time from the middle that was found
        points = _rim(bright, x, y)
        circle = _agreed(points, min(width, height))
        x, y = circle.x_px, circle.y_px
    assert circle is not None
    return circle


def _rim(bright: npt.NDArray[np.float32], x: float, y: float) -> Array:
    """(N, 2) px where the rim is seen; not where the picture's border cuts the circle."""
    height, width = bright.shape
    angles = np.arange(_RAYS) * 2 * np.pi / _RAYS
    out = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    steps = np.arange(0.0, np.hypot(width, height))
    at = (x, y) + steps[None, :, None] * out[:, None, :] - 0.5
    inside = (at >= 0).all(-1) & (at <= (width - 1, height - 1)).all(-1)
    profile = cv2.remap(bright, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    last = inside.sum(axis=1) - 1
    outside = np.percentile(profile[np.arange(_RAYS), last], 10)
    found = []
    for ray in range(_RAYS):
        own = profile[ray, : last[ray] + 1]
        radius_px = _from_outside(own, float(outside))
        if radius_px is not None:
            found.append((x, y) + radius_px * out[ray])
    return np.array(found).reshape(-1, 2)


def _from_outside(own: npt.NDArray[np.float32], outside: float) -> float | None:
    """Where a ray's brightness, from its end inwards, first is half of what it is further in; None: already there."""
    lit = np.flatnonzero(own > outside + _LEAST_STEP)
    if not lit.size or lit[-1] >= len(own) - 2:
        return None
    first, last = max(0, lit[-1] - _WITHIN_PX[1]), max(1, lit[-1] - _WITHIN_PX[0])
    half = (outside + float(np.median(own[first:last]))) / 2
    above = np.flatnonzero(own[: lit[-1] + 1] >= half)
    if not above.size:
        return float(lit[-1])
    k = int(above[-1])
    return k + float((own[k] - half) / max(own[k] - own[k + 1], 1e-6)) if own[k + 1] < half else float(k)


def _agreed(points: Array, side_px: int) -> FoundCircle:
    nothing = f"the rim of the circle is not seen all round ({len(points)} of {_RAYS} directions)"
    if len(points) < _LEAST_SHARE * _RAYS:
        raise GeometryError(f"{nothing}; turn the lights on, or set centre and radius")
    rng = np.random.default_rng(0)
    best: npt.NDArray[np.bool_] = np.zeros(len(points), np.bool_)
    for _ in range(_TRIES):
        x, y, radius = _circle(points[rng.choice(len(points), 3, replace=False)])
        if not _LEAST_RADIUS * side_px < radius < side_px:
            continue
        agree = np.abs(np.hypot(*(points - (x, y)).T) - radius) < _AGREES * radius
        best = agree if agree.sum() > best.sum() else best
    if best.sum() < _LEAST_SHARE * _RAYS:
        raise GeometryError(
            f"{nothing}, and only {best.sum()} of them lie on one circle; turn the lights on, or set centre and radius"
        )
    x, y, radius = _circle(points[best])
    for _ in range(10):
        offset = points[best] - (x, y)
        away = np.hypot(*offset.T)
        J = np.column_stack([-offset / away[:, None], -np.ones(len(away))])
        x, y, radius = (x, y, radius) - np.linalg.lstsq(J, away - radius, rcond=None)[0]
    off = np.hypot(*(points[best] - (x, y)).T) - radius
    return FoundCircle(float(x), float(y), float(radius), float(np.sqrt(np.mean(off**2))), float(best.sum() / _RAYS))


def _circle(points: Array) -> tuple[float, float, float]:
    """By least squares of x^2 + y^2 - 2 a x - 2 b y - c (Kasa 1976)."""
    A = np.column_stack([2 * points, np.ones(len(points))])
    a, b, c = np.linalg.lstsq(A, (points**2).sum(axis=1), rcond=None)[0]
    return float(a), float(b), float(np.sqrt(max(c + a * a + b * b, 0.0)))
