"""A blank sheet of paper on the floor, found by its four sides or told by its four corners.

Anything white with four corners is a candidate: it is the sheet only if nothing is printed on it and if, lying on the
floor, it is of the paper's proportions. Its corners are where lines through its sides meet, to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import PAPERS, Sighting
from edge.derive.calibrate.floor import OnFloor, hang
from edge.derive.calibrate.verticals import Level
from edge.derive.calibrate.views import FlatView
from edge.errors import CalibrationError
from edge.geometry.pinhole import project, rays_at

Array = npt.NDArray[np.float64]

CLICK_PX = 2.0
"""How well corners are told; they are moved onto the sides nearby, where there are some."""
_FOUND_PX = 0.3
_LEVELS = range(40, 250, 10)
_SHORTEST_PX = 16.0
_REACH_PX = 5
_ALONG = np.linspace(0.06, 0.94, 45)
_LEAST_STEP = 10.0
"""By how much a sheet is brighter than what is beside it, of 255."""
_LEAST_CLEAR = 0.7
"""Of a side: where it is so."""
_MOST_UNEVEN = 30.0
_WORST_LEFT_PX = 1.5
_WORST_TILT_RAD = np.deg2rad(12.0)
_OTHER_HEIGHT = 0.03


def _around(corners: Array) -> Array:
    """The four in order around their middle, as the sheet's are in `_outline`."""
    off = corners - corners.mean(axis=0)
    return np.asarray(corners[np.argsort(np.arctan2(off[:, 1], off[:, 0]))])


def _outline(paper: str, turned: bool) -> Array:
    """(4, 2) corners in metres; `turned`: the long side comes first."""
    width, height = PAPERS[paper].width_m, PAPERS[paper].height_m
    w, h = (height, width) if turned else (width, height)
    return np.array([[0, 0], [w, 0], [w, h], [0, h]])


def _sides(grey: npt.NDArray[np.float32], corners: Array) -> Array | None:
    """(4, N, 2) points on the sides of what is brighter inside, NaN where none is clear; None where a side is not."""
    ends = np.roll(corners, -1, axis=0) - corners
    size = np.linalg.norm(ends, axis=1)
    inward = np.stack([-ends[:, 1], ends[:, 0]], axis=1) / size[:, None]
    reach = np.arange(-_REACH_PX, _REACH_PX + 1)
    places = corners[:, None] + _ALONG[:, None] * ends[:, None]
    at = (places[:, :, None] + reach[:, None] * inward[:, None, None] - 0.5).astype(np.float32)
    profile = cv2.remap(grey, at[..., 0].reshape(4, -1), at[..., 1].reshape(4, -1), cv2.INTER_LINEAR)
    rises = np.maximum(np.diff(profile.reshape(4, len(_ALONG), -1), axis=2), 0)
    peak = rises.argmax(axis=2)[..., None]
    near = np.where(np.abs(np.arange(rises.shape[2]) - peak) <= 2, rises, 0)
    step = near.sum(axis=2)
    clear = step > _LEAST_STEP
    if (clear.mean(axis=1) < _LEAST_CLEAR).any():
        return None
    where = (near * (reach[:-1] + 0.5)).sum(axis=2) / np.maximum(step, 1e-9)
    points = places + where[..., None] * inward[:, None]
    return np.where(clear[..., None], points, np.nan)


def _refined(view: FlatView, corners: Array) -> Array | None:
    """The corners at which lines through the sides meet; None where a side is not clear."""
    grey = view.grey.astype(np.float32)
    for _ in range(2):
        points = _sides(grey, corners)
        if points is None:
            return None
        lines = []
        for side in points:
            flat = rays_at(side[np.isfinite(side[:, 0])], view.k)[:, :2].astype(np.float32)
            dx, dy, x, y = np.ravel(cv2.fitLine(flat, cv2.DIST_HUBER, 0, 1e-5, 1e-5)).astype(np.float64)
            lines.append((dy, -dx, dx * y - dy * x))
        meet = np.cross(np.roll(lines, 1, axis=0), lines)
        if (np.abs(meet[:, 2]) < 1e-9).any():
            return None
        corners = project(np.column_stack([meet[:, :2] / meet[:, 2:], np.ones(4)]), view.k)[0]
    return corners


def _blank(view: FlatView, corners: Array) -> bool:
    """Whether nothing is printed on it, and nothing covers it."""
    middle = corners.mean(axis=0)
    inner = np.zeros(view.grey.shape, np.uint8)
    cv2.fillConvexPoly(inner, np.rint(middle + 0.85 * (corners - middle)).astype(np.int32), 1)
    shades = view.grey[(inner > 0) & view.usable]
    return bool(len(shades) > 20 and np.subtract(*np.percentile(shades, [98, 2])) < _MOST_UNEVEN)


def _candidates(view: FlatView) -> Iterator[Array]:
    """(4, 2) corners of what has four and is brighter than what is around it."""
    soft = cv2.GaussianBlur(view.grey, (0, 0), 1.0)
    height, width = soft.shape
    found: list[Array] = []
    for level in _LEVELS:
        bright = np.asarray(soft > level, np.uint8)
        for outline in cv2.findContours(bright, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
            if not 4 * _SHORTEST_PX < len(outline) < 2 * (width + height):
                continue
            rough = cv2.approxPolyDP(outline, 0.03 * cv2.arcLength(outline, True), True)
            if len(rough) != 4 or not cv2.isContourConvex(rough):
                continue
            corners = _around(np.asarray(rough, np.float64).reshape(4, 2) + 0.5)
            if (corners < 3).any() or (corners > np.array([width, height]) - 3).any():
                continue
            if any(np.abs(corners - other).max() < 3 for other in found):
                continue
            found.append(corners)
            yield corners


def _on_floor(
    view: FlatView, corners: Array, paper: str, expected: tuple[float, float], level: Level | None, noise_px: float
) -> tuple[Sighting, OnFloor] | None:
    """The sheet, the way round that fits better, where it could lie on the floor."""
    out = []
    for turned in (False, True):
        sighting = Sighting(f"{paper.upper()} sheet", _outline(paper, turned), corners, view, noise_px)
        try:
            found = hang([sighting], expected, level)
        except CalibrationError:
            continue
        apart = max(abs(found.pitch_rad - expected[0]), abs(found.roll_rad - expected[1]))
        if found.left_px < max(_WORST_LEFT_PX, 2 * noise_px) and (level is not None or apart < _WORST_TILT_RAD):
            out.append((sighting, found))
    return min(out, key=lambda o: o[1].left_px, default=None)


def find_sheet(
    views: Sequence[FlatView], paper: str, expected: tuple[float, float], level: Level | None
) -> Sighting | None:
    """A blank sheet on the floor, its corners in the order of a printed board's; None where there is none.

    Args:
        views: of one picture.
        paper: a key of `PAPERS`.
        expected: the camera's pitch and roll, rad, to about 10 degrees.
        level: what vertical edges say of them.

    Raises:
        CalibrationError: several things could be the sheet.
    """
    found: list[tuple[Sighting, OnFloor]] = []
    for view in views:
        for rough in _candidates(view):
            corners = _refined(view, rough)
            if corners is None or np.abs(corners - rough).max() > 2 * _REACH_PX or not _blank(view, corners):
                continue
            if np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1).min() >= _SHORTEST_PX:
                lying = _on_floor(view, corners, paper, expected, level, _FOUND_PX)
                found += [lying] if lying else []
    if not found:
        return None
    best = min(found, key=lambda f: f[1].left_px)
    if any(abs(f.height_m / best[1].height_m - 1) > _OTHER_HEIGHT for _, f in found):
        raise CalibrationError(
            f"{len(found)} things on the floor could be the sheet; take away what is white and has four corners, or "
            "say where the sheet is, with --corners"
        )
    return best[0]


def told_sheet(
    views: Sequence[FlatView], rays: Array, paper: str, expected: tuple[float, float], level: Level | None
) -> Sighting:
    """A sheet by its corners, in any order; they are moved onto its sides.

    Args:
        views: of the picture.
        rays: (4, 3) unit rays of the corners in the camera's axes.
        paper: a key of `PAPERS`.
        expected: the camera's pitch and roll, rad, to about 10 degrees.
        level: what vertical edges say of them.

    Raises:
        CalibrationError: what is there is of other proportions.
    """
    places = [(view, corners) for view in views if (corners := _within(view, rays)) is not None]
    if places:
        view, corners = max(places, key=lambda p: float(np.ptp(p[1], axis=0).prod()))
        told = _around(corners)
        exact = _refined(view, told)
        clear = exact is not None and float(np.abs(exact - told).max()) < 2 * _REACH_PX
        taken, noise_px = (exact, _FOUND_PX) if exact is not None and clear else (told, CLICK_PX)
        found = _on_floor(view, taken, paper, expected, level, noise_px)
        if found is not None:
            return found[0]
    raise CalibrationError(
        f"between these corners lies no {paper.upper()} sheet on the floor; give the four corners of the sheet, and "
        "set pitch_deg and roll_deg to about what they are"
    )


def _within(view: FlatView, rays: Array) -> Array | None:
    """(4, 2) where rays in the camera's axes lie in a view; None where one does not."""
    pixels, ahead = project(rays @ view.turn, view.k)
    inside = ahead.all() and (pixels >= 0).all() and (pixels <= (view.k.width_px, view.k.height_px)).all()
    return pixels if inside else None
