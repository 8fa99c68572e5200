"""Exact pictures of a checkerboard on the floor and of posts that stand on it, by a known camera."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import PAPERS, Paper
from edge.derive.calibrate.floor import in_camera, on_floor
from edge.geometry.pinhole import intrinsics_from_fov, project
from edge.scene import CameraModel, ImageArray, Intrinsics

Array = npt.NDArray[np.float64]
HFOV_RAD = float(np.deg2rad(75.0))
K = intrinsics_from_fov(960, 540, HFOV_RAD)
MODEL = CameraModel("perspective", hfov_rad=HFOV_RAD)
_FINER = 3
_SHIFT = 8


def _filled(image: npt.NDArray[np.uint8], pixels: Array, shade: int) -> None:
    if np.isfinite(pixels).all():
        corners = np.rint((pixels * _FINER - 0.5) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(image, [corners], (shade,), cv2.LINE_8, _SHIFT)


def finished(image: npt.NDArray[np.uint8], blur_px: float = 0.6) -> ImageArray:
    """As a camera sends it: averaged over pixels, a little blurred, with noise."""
    small = cv2.resize(image, (K.width_px, K.height_px), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), blur_px).astype(np.float64)
    noisy = np.clip(soft + np.random.default_rng(0).normal(0, 1.5, soft.shape), 0, 255).astype(np.uint8)
    return np.repeat(noisy[..., None], 3, axis=2)


def blank() -> npt.NDArray[np.uint8]:
    """A floor of one shade, finer than the picture."""
    return np.full((K.height_px * _FINER, K.width_px * _FINER), 120, np.uint8)


def sheet_on(image: npt.NDArray[np.uint8], see, paper: Paper = PAPERS["a4"], k: Intrinsics = K) -> None:  # type: ignore[no-untyped-def]
    """Draw the printed sheet; `see` puts points (N, 2) of the board into the camera's axes."""
    square = paper.board.square_m
    columns, rows = paper.board.columns + 1, paper.board.rows + 1
    margin = ((paper.width_m - columns * square) / 2, (paper.height_m - rows * square) / 2)
    x0, y0 = -square - margin[0], -square - margin[1]
    x1, y1 = x0 + paper.width_m, y0 + paper.height_m
    _filled(image, project(see(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])), k)[0], 235)
    for row in range(rows):
        for column in range(row % 2, columns, 2):
            corner = np.array([column - 1.0, row - 1.0]) * square
            corners = corner + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * square
            _filled(image, project(see(corners), k)[0], 25)


def floor_picture(
    pitch_rad: float, roll_rad: float, height_m: float, place: tuple[float, float, float], *, posts: bool = True
) -> ImageArray:
    """A board at x, y and a turn on the floor, and posts that stand behind it."""
    image = blank()

    def seen(points: Array) -> Array:
        return in_camera(points, pitch_rad, roll_rad, height_m)

    if posts:
        for i, x in enumerate(np.linspace(-2.2, 2.2, 9)):
            ends = np.array([[x, 3.5, 0.1], [x + 0.12, 3.5, 0.1], [x + 0.12, 3.5, 2.4], [x, 3.5, 2.4]])
            _filled(image, project(seen(ends), K)[0], 60 if i % 2 else 200)
    sheet_on(image, lambda points: seen(on_floor(points, *place)))
    return finished(image)
