"""A fisheye lens (Kannala and Brandt, 2006) from a board seen from several places.

`cv2.fisheye.calibrate` fits the same model, but goes through pictures on a plane: it cannot take points near or past 90
degrees from the axis, aborts on a view that it cannot start from without naming it, and gives no errors. Here the lens
that is configured gives the first guess of where each board is, then lens and boards are fitted together on pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import Corners
from edge.derive.calibrate.fitting import least_squares
from edge.derive.calibrate.lens_found import FEWEST_VIEWS, LensFound
from edge.derive.calibrate.poses import board_poses
from edge.errors import CalibrationError
from edge.geometry.fisheye import WIDEST_RAD, distorted, project, rays_at
from edge.scene import Fisheye

Array = npt.NDArray[np.float64]

_NOISE_PX = 0.15
_LENS = 8
"""Unknowns of the lens: both focal lengths, the centre, k1 to k4."""
_LIKELY = np.array([0.2, 0.1, 0.05, 0.02])
"""What k1 to k4 are like where pictures say nothing of them: one standard deviation."""
_FOCALS = (1.0, 0.75, 1.3)
"""Times the focal length configured: first guesses, tried until one fits."""
_FITS_PX = 1.0
_OUTLIER, _OUTLIER_PX = 3.0, 0.5
_GRID = 15


def _unpacked(unknowns: Array, guess: Fisheye) -> Fisheye:
    f = guess.fx_px
    fx, fy, cx, cy, k1, k2, k3, k4 = unknowns[:_LENS].tolist()
    centre = {"cx_px": guess.cx_px + cx * f, "cy_px": guess.cy_px + cy * f}
    return replace(guess, fx_px=f * fx, fy_px=f * fy, **centre, k1=k1, k2=k2, k3=k3, k4=k4, fov_rad=WIDEST_RAD)


def _rotations(vectors: Array) -> Array:
    """(V, 3, 3) of rotation vectors (V, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[:, 0], 1e-12)).T
    none = np.zeros_like(x)
    cross = np.stack([none, -z, y, z, none, -x, -y, x, none], axis=1).reshape(-1, 3, 3)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross))


def _misses(views: Sequence[Corners], guess: Fisheye) -> Callable[[Array], Array]:
    points = np.concatenate([np.column_stack([v.points_m, np.zeros(len(v.points_m))]) for v in views])
    pixels = np.concatenate([v.pixels for v in views])
    which = np.repeat(np.arange(len(views)), [len(v.pixels) for v in views])

    def misses(unknowns: Array) -> Array:
        poses = unknowns[_LENS:].reshape(-1, 6)
        there = np.einsum("nij,nj->ni", _rotations(poses[:, :3])[which], points) + poses[which, 3:]
        off = project(there, _unpacked(unknowns, guess))[0] - pixels
        return np.concatenate([off.ravel() / _NOISE_PX, unknowns[4:_LENS] / _LIKELY])

    return misses


def _pose(view: Corners, guess: Fisheye) -> Array | None:
    """A first guess of a board's rotation vector and position (6,); None where its picture allows none."""
    rays = rays_at(view.pixels, guess)[0]
    if (rays @ rays.mean(axis=0) <= 0.1).any():
        return None
    try:
        found = board_poses(view.points_m, rays)
    except cv2.error:
        return None
    return np.concatenate([np.ravel(cv2.Rodrigues(found[0][0])[0]), found[0][1]]) if found else None


def _fitted(views: Sequence[Corners], guess: Fisheye) -> tuple[Array, Array, Array, Fisheye] | None:
    """The unknowns, their covariance and each view's error (px), from the first guess that fits."""
    best: tuple[Array, Array, Array, Fisheye] | None = None
    for factor in _FOCALS:
        start = replace(guess, fx_px=guess.fx_px * factor, fy_px=guess.fx_px * factor)
        poses = [_pose(view, start) for view in views]
        lens = np.array([1, 1, 0, 0, start.k1, start.k2, start.k3, start.k4])
        if any(pose is None for pose in poses):
            continue
        misses = _misses(views, start)
        unknowns, covariance = least_squares(misses, np.concatenate([lens, *(p for p in poses if p is not None)]))
        off = (misses(unknowns)[:-4].reshape(-1, 2) ** 2).sum(axis=1) * _NOISE_PX**2
        ends = np.cumsum([0] + [len(v.pixels) for v in views])
        errors = np.sqrt([off[a:b].mean() for a, b in zip(ends, ends[1:], strict=False)])
        if best is None or np.median(errors) < np.median(best[2]):
            best = unknowns, covariance, errors, start
        if np.median(errors) < _FITS_PX:
            break
    return best


def fisheye_lens(views: Sequence[Corners], guess: Fisheye) -> LensFound:
    """The lens that explains how a board is seen.

    A view that does not fit the others is left out, the worst first.

    Args:
        views: one a picture, the board turned differently in each.
        guess: the lens as it is configured, roughly; its circle is where the lens's picture ends.

    Raises:
        CalibrationError: fewer than `FEWEST_VIEWS` fit together.
    """
    kept = [i for i, view in enumerate(views) if _pose(view, guess) is not None]
    while len(kept) >= FEWEST_VIEWS and (found := _fitted([views[i] for i in kept], guess)) is not None:
        unknowns, covariance, errors, start = found
        worst = int(np.argmax(errors))
        if errors[worst] <= max(_OUTLIER * float(np.median(errors)), _OUTLIER_PX):
            dropped = tuple(i for i in range(len(views)) if i not in kept)
            return _result([views[i] for i in kept], unknowns, covariance, start, guess, dropped)
        del kept[worst]
    raise CalibrationError(
        f"the pictures of the board determine no lens: fewer than {FEWEST_VIEWS} of them fit together; take new ones, "
        "the board flat and held still, and check that fisheye (fov_deg, centre, radius) is roughly the lens's circle"
    )


def _shown_rad(lens: Fisheye, guess: Fisheye) -> float:
    """The angle from the axis at which the circle ends that was configured, or before it, where the lens folds over."""
    angles = np.linspace(0, WIDEST_RAD / 2, 3001)
    drawn = distorted(angles, lens)
    edge = float(distorted(guess.fov_rad / 2, guess)) * guess.fx_px / lens.fx_px
    ends = np.flatnonzero((np.diff(drawn) <= 0) | (drawn[1:] > edge))
    return float(angles[ends[0]] if len(ends) else angles[-1])


def _result(
    views: Sequence[Corners],
    unknowns: Array,
    covariance: Array,
    start: Fisheye,
    guess: Fisheye,
    dropped: tuple[int, ...],
) -> LensFound:
    off = _misses(views, start)(unknowns)[:-4]
    spread = max(1.0, float(off @ off) / max(len(off) - len(unknowns), 1))
    lens = _unpacked(unknowns, start)
    lens = replace(lens, fov_rad=2 * _shown_rad(lens, guess))
    rays = rays_at(np.concatenate([v.pixels for v in views]), lens)[0]
    widest = float(np.arccos(np.clip(rays[:, 2], -1, 1)).max())
    own = covariance[:_LENS, :_LENS] * spread
    focal = float(np.sqrt(max(own[0, 0] / unknowns[0] ** 2, own[1, 1] / unknowns[1] ** 2)))
    left = float(np.sqrt(2 * np.mean(off**2))) * _NOISE_PX
    covered = min(2 * widest / lens.fov_rad, 1.0)
    return LensFound(lens, focal, left, dropped, covered, _picture_error_px(unknowns, own, start, widest))


def _picture_error_px(unknowns: Array, covariance: Array, start: Fisheye, widest: float) -> float:
    """How far the directions that were seen are drawn from where they should be, root mean square to expect."""
    t, around = np.meshgrid(np.linspace(0, widest, _GRID), np.linspace(0, 2 * np.pi, _GRID, endpoint=False))
    rays = np.stack([np.sin(t) * np.cos(around), np.sin(t) * np.sin(around), np.cos(t)], axis=-1).reshape(-1, 3)

    def drawn(values: Array) -> Array:
        return project(rays, _unpacked(values, start))[0].ravel()

    steps = np.eye(_LENS) * 1e-6
    jacobian = np.stack([(drawn(unknowns[:_LENS] + s) - drawn(unknowns[:_LENS])) / 1e-6 for s in steps], axis=1)
    return float(np.sqrt(2 * np.mean(np.einsum("ni,ij,nj->n", jacobian, covariance, jacobian))))
