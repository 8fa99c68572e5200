"""How a camera moved between two pictures, from points that are in both: no depth, no network.

Corners are followed from one picture into the other (Lucas & Kanade 1981, in pyramids, there and back): they are
found to a tenth of a pixel, also in a room with little texture. Where too few can be, as the pictures are too far
apart, points are SIFT's (Lowe 2004). An essential matrix found by RANSAC is only the start: what is published is the
turn and the direction of the way for which Sampson's distance to the epipolar lines is least under Cauchy's loss, which
points off by chance hardly pull. The length of the way cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.scene import BoolArray, ImageArray

Array = npt.NDArray[np.float64]
Lens = tuple[float, float, float, float]
"""fx, fy, cx, cy in px."""

MOST_POINTS = 1500
MOST_CORNERS = 800
FEWEST_MATCHES = 40
_RATIO = 0.8
"""Lowe's: a match must be so much nearer than the next best."""
_THRESHOLD_PX = 1.5
STILL = 0.002
"""Median shift, in widths, that is none: matches are no better than that."""
_FOLLOWING = {"winSize": (15, 15), "maxLevel": 3, "criteria": (3, 30, 0.01), "minEigThreshold": 1e-4}
_THERE_AND_BACK_PX = 0.3
_LEAST_PARALLAX_RAD = np.radians(0.2)
_MOST_STEPS, _NUDGE, _SETTLED = 60, 1e-7, 1e-8


@dataclass(frozen=True)
class Points:
    """What a picture is recognised by: px (N, 2) and descriptors (N, 128); and what is followed into others."""

    pixels: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    grey: npt.NDArray[np.uint8]
    """(H, W)"""
    corners: npt.NDArray[np.float32]
    """(M, 2) px"""


@dataclass(frozen=True)
class Common:
    """(N, 2) px of the points that are in two pictures, and how far off one may be, px."""

    first: Array
    second: Array
    threshold_px: float
    accuracy_px: float


@dataclass(frozen=True)
class Motion:
    """From one picture's camera to another's."""

    T_second_first: Array
    """(4, 4); its translation has length 1, or 0 where the camera only turned."""
    flow: float
    """Median distance that points moved, in widths of the picture."""
    parallax: float
    """The same once the turn is undone: what only a camera that went somewhere shows."""
    pixels: Array
    """(P, 2) of points in the first picture that were triangulated, px."""
    depth: Array
    """(P,) their z-depth in the first camera, in lengths of the way."""

    @property
    def turn_rad(self) -> float:
        """Angle of the rotation."""
        return float(np.linalg.norm(cv2.Rodrigues(self.T_second_first[:3, :3])[0]))


def points_of(image: ImageArray, moving: BoolArray | None = None) -> Points:
    """Points of an RGB picture; none where it shows nothing that stands out, or what is `moving` (H, W) by itself."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    mask = None if moving is None else (~moving).astype(np.uint8)
    sift = cv2.SIFT.create(nfeatures=MOST_POINTS, contrastThreshold=0.02, enable_precise_upscale=True)
    found, descriptors = sift.detectAndCompute(grey, mask)
    at = cv2.goodFeaturesToTrack(grey, MOST_CORNERS, 0.002, 4, mask=mask, blockSize=5)
    corners = np.zeros((0, 2), np.float32) if at is None else at[:, 0].astype(np.float32) + np.float32(0.5)
    if descriptors is None or not found:
        return Points(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), grey, corners)
    pixels = np.array([k.pt for k in found], dtype=np.float32) + np.float32(0.5)  # OpenCV counts from pixel centres
    return Points(pixels, np.asarray(descriptors, dtype=np.uint8), grey, corners)


def followed(first: Points, second: Points) -> tuple[Array, Array]:
    """(N, 2) px of the first picture's corners and of where they are in the second, from where they are found back."""
    if not len(first.corners):
        return np.zeros((0, 2)), np.zeros((0, 2))
    start = np.ascontiguousarray(first.corners[:, None] - np.float32(0.5))
    there, found, _ = cv2.calcOpticalFlowPyrLK(first.grey, second.grey, start, None, **_FOLLOWING)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(second.grey, first.grey, there, None, **_FOLLOWING)  # type: ignore[call-overload]
    off = np.linalg.norm((back - start)[:, 0], axis=1)
    kept = (found[:, 0] > 0) & (again[:, 0] > 0) & (off < _THERE_AND_BACK_PX)
    return start[kept, 0].astype(np.float64) + 0.5, there[kept, 0].astype(np.float64) + 0.5


def in_both(first: Points, second: Points) -> Common:
    """Corners that could be followed, or where these are too few, points that are recognised."""
    p, q = followed(first, second)
    if len(p) >= FEWEST_MATCHES:
        return Common(p, q, 0.6, 0.15)
    return Common(*matched(first, second), _THRESHOLD_PX, 0.5)


def matched(first: Points, second: Points) -> tuple[Array, Array]:
    """(N, 2) px of the points that are in both, in the first and in the second; each the other's best."""
    if min(len(first.pixels), len(second.pixels)) < 2:
        return np.zeros((0, 2)), np.zeros((0, 2))
    a, b = first.descriptors.astype(np.float32), second.descriptors.astype(np.float32)
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    nearest = np.argpartition(square, 1, axis=1)[:, :2]
    best_two = np.take_along_axis(square, nearest, axis=1)
    order = np.argsort(best_two, axis=1)
    best = np.take_along_axis(nearest, order[:, :1], axis=1)[:, 0]
    near, next_best = np.take_along_axis(best_two, order, axis=1).T
    mutual = square.argmin(axis=0)[best] == np.arange(len(a))
    kept = mutual & (near < _RATIO**2 * next_best)
    return first.pixels[kept].astype(np.float64), second.pixels[best[kept]].astype(np.float64)


def motion_between(first: Points, second: Points, lens: Lens, width_px: int) -> Motion | None:
    """How the camera moved from the first picture to the second; None where too few points tell.

    Args:
        first: points of a picture.
        second: of another of the same camera.
        lens: fx, fy, cx, cy in px of both.
        width_px: of both.
    """
    common = in_both(first, second)
    p, q = common.first, common.second
    if len(p) < FEWEST_MATCHES:
        return None
    fx, fy, cx, cy = lens
    a, b = ((x - [cx, cy]) / [fx, fy] for x in (p, q))
    focal_px = float(np.sqrt(fx * fy))
    flow = float(np.median(np.linalg.norm(q - p, axis=1))) / width_px
    turn = _turn_alone(a, b)
    alone = float(np.median(_off_px(turn, a, b, lens))) / width_px
    still = Motion(_rigid(turn, np.zeros(3)), flow, alone, np.zeros((0, 2)), np.zeros(0))
    if alone < STILL:
        return still
    seen = _motion_seen(a, b, focal_px, common)
    if seen is None:
        return None
    R, t = seen[:2]
    depth, kept = _triangulated(R, t, a, b, focal_px)
    if int(kept.sum()) < FEWEST_MATCHES // 4:
        return None
    parallax = float(np.median(_off_px(R, a[kept], b[kept], lens))) / width_px
    return Motion(_rigid(R, t), flow, parallax, p[kept], depth[kept])


def _motion_seen(a: Array, b: Array, focal_px: float, common: Common) -> tuple[Array, Array, float] | None:
    """Turn and direction from normalised coordinates, and their cost; None where no essential matrix is found."""
    threshold = common.threshold_px / focal_px
    essential, inliers = cv2.findEssentialMat(a, b, np.eye(3), cv2.USAC_MAGSAC, 0.999, threshold)
    if essential is None or essential.shape != (3, 3) or int(inliers.sum()) < FEWEST_MATCHES // 2:
        return None
    _, R, t, _ = cv2.recoverPose(essential, a, b, np.eye(3), mask=inliers.copy())
    start = np.asarray(R, dtype=np.float64), np.asarray(t, dtype=np.float64)[:, 0]
    return _refined(*start, a, b, focal_px, common.accuracy_px)


def disagreement(common: Common, lens: Lens) -> float | None:
    """How badly any motion of a camera with that lens explains what two pictures have in common.

    The mean over points of ln(1 + (Sampson's distance / accuracy)^2): the same whatever the lens, but for what it
    explains. None where no motion is found.
    """
    a, b = ((x - [lens[2], lens[3]]) / [lens[0], lens[1]] for x in (common.first, common.second))
    found = _motion_seen(a, b, float(np.sqrt(lens[0] * lens[1])), common)
    return None if found is None else found[2] / len(a)


def inverse(motion: Motion, second_pixels: Array, second_depth: Array) -> Motion:
    """The motion back, with the points as the second picture has them."""
    R, t = motion.T_second_first[:3, :3], motion.T_second_first[:3, 3]
    return Motion(_rigid(R.T, -R.T @ t), motion.flow, motion.parallax, second_pixels, second_depth)


def points_in_second(motion: Motion, lens: Lens) -> tuple[Array, Array]:
    """Px and z-depth of the triangulated points in the second picture, in lengths of the way."""
    fx, fy, cx, cy = lens
    xy = (motion.pixels - [cx, cy]) / [fx, fy]
    points = np.column_stack([xy, np.ones(len(xy))]) * motion.depth[:, None]
    there = points @ motion.T_second_first[:3, :3].T + motion.T_second_first[:3, 3]
    return there[:, :2] / there[:, 2:] * [fx, fy] + [cx, cy], there[:, 2]


def _rigid(R: Array, t: Array) -> Array:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T


def _bearings(xy: Array) -> Array:
    rays = np.column_stack([xy, np.ones(len(xy))])
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def _turn_alone(a: Array, b: Array) -> Array:
    """The rotation that brings most bearings nearest to each other (Kabsch 1976, reweighted)."""
    u, v = _bearings(a), _bearings(b)
    weight = np.ones(len(u))
    R = np.eye(3)
    for _ in range(10):
        left, _, right = np.linalg.svd((v * weight[:, None]).T @ u)
        R = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
        off = np.linalg.norm(v - u @ R.T, axis=1)
        weight = 1 / (1 + (off / max(float(np.median(off)), 1e-6)) ** 2)
    return np.asarray(R)


def _off_px(R: Array, a: Array, b: Array, lens: Lens) -> Array:
    """How far points are from where the turn alone brings them, px."""
    there = np.column_stack([a, np.ones(len(a))]) @ R.T
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = there[:, :2] / there[:, 2:]
    off = np.linalg.norm((turned - b) * lens[:2], axis=1)
    return np.where((there[:, 2] > 0) & np.isfinite(off), off, np.inf)


def _refined(R: Array, t: Array, a: Array, b: Array, focal_px: float, accuracy_px: float) -> tuple[Array, Array, float]:
    """The turn and direction with the least Sampson distance (Hartley & Zisserman, eq. 11.9), and what they cost.

    Under Cauchy's loss: the sum of ln(1 + (distance / accuracy)^2).
    """
    x, y = np.column_stack([a, np.ones(len(a))]), np.column_stack([b, np.ones(len(b))])
    across = np.linalg.svd(t[None])[2][1:]  # two directions perpendicular to t

    def moved(step: Array) -> tuple[Array, Array]:
        direction = t + step[3:] @ across
        return cv2.Rodrigues(step[:3])[0] @ R, direction / np.linalg.norm(direction)

    def distance(step: Array) -> Array:
        R1, t1 = moved(step)
        E = np.array([[0, -t1[2], t1[1]], [t1[2], 0, -t1[0]], [-t1[1], t1[0], 0]]) @ R1
        lines, back = x @ E.T, y @ E
        size = np.sqrt(lines[:, 0] ** 2 + lines[:, 1] ** 2 + back[:, 0] ** 2 + back[:, 1] ** 2)
        return np.asarray((y * lines).sum(1) / np.maximum(size, 1e-12) * focal_px)

    step, cost = _least_cauchy(distance, np.zeros(5), accuracy_px)
    return *moved(step), cost


def _least_cauchy(residuals: Callable[[Array], Array], x: Array, s: float) -> tuple[Array, float]:
    """Where the sum of ln(1 + (r/s)^2) is least, and that sum.

    Levenberg and Marquardt's steps, reweighted as Cauchy's loss asks.
    """

    def cost(r: Array) -> float:
        return float(np.log1p((r / s) ** 2).sum())

    r, damping = residuals(x), 1e-3
    before = cost(r)
    for _ in range(_MOST_STEPS):
        J = np.stack([(residuals(x + h) - r) / _NUDGE for h in _NUDGE * np.eye(len(x))], axis=1)
        weighted = J / (1 + (r / s) ** 2)[:, None]
        A, g = weighted.T @ J, weighted.T @ r
        step = np.linalg.lstsq(A + damping * np.diag(np.diag(A)), -g, rcond=None)[0]
        tried = residuals(x + step)
        now = cost(tried)
        if now >= before:
            damping *= 10
            continue
        x, r, damping = x + step, tried, damping / 10
        if before - now < _SETTLED * before:
            break
        before = now
    return x, cost(r)


def _triangulated(R: Array, t: Array, a: Array, b: Array, focal_px: float) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Depth of each point along the first camera's axis, and whether it is before both and shifts enough to tell."""
    rays, there = np.column_stack([a, np.ones(len(a))]), np.column_stack([b, np.ones(len(b))])
    turned = rays @ R.T
    # z (turned x there) = -(t x there), solved by least squares for each point
    left, right = np.cross(turned, there), -np.cross(np.broadcast_to(t, there.shape), there)
    square = (left * left).sum(1)
    depth = (left * right).sum(1) / np.maximum(square, 1e-12)
    behind = turned * depth[:, None] + t
    angle = np.arcsin(np.clip(np.sqrt(square) / np.linalg.norm(turned, axis=1) / np.linalg.norm(there, axis=1), 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        miss_px = np.linalg.norm(behind[:, :2] / behind[:, 2:] - b, axis=1) * focal_px
    kept = (depth > 0) & (behind[:, 2] > 0) & (angle > _LEAST_PARALLAX_RAD) & (miss_px < 2 * _THRESHOLD_PX)
    return depth, kept
