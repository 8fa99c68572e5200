"""Exact pictures of boards and blank sheets on the floor, and of posts that stand on it, by a known camera."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.board_sheet import black_rectangles
from edge.derive.calibrate.boards import PAPERS, Board, Paper
from edge.derive.calibrate.floor import in_camera, on_floor
from edge.geometry import fisheye, pinhole
from edge.geometry.pinhole import intrinsics_from_fov
from edge.geometry.rigid import apply, transform
from edge.scene import CameraModel, Fisheye, ImageArray, Intrinsics

Array = npt.NDArray[np.float64]
Lens = Intrinsics | Fisheye
HFOV_RAD = float(np.deg2rad(75.0))
K = intrinsics_from_fov(960, 540, HFOV_RAD)
MODEL = CameraModel("perspective", hfov_rad=HFOV_RAD)
FISHEYE = Fisheye(720, 720, 222.0, 221.5, 363.0, 356.0, k1=0.03, k2=-0.012, k3=0.002, fov_rad=float(np.deg2rad(184)))
A4 = PAPERS["a4"]
BELOW = (0.3, 0.4, 0.7)
"""Where a sheet lies below a fisheye: x, y, turn."""
_FINER = 3
_SHIFT = 8
_BENDS = 5
"""Points a side of what a fisheye draws."""


def drawn_at(points: Array, lens: Lens) -> Array:
    """Pixels of points in the camera's axes; NaN where the lens does not see them."""
    pixels, seen = (fisheye if isinstance(lens, Fisheye) else pinhole).project(points, lens)  # type: ignore[arg-type]
    return np.where(seen[..., None], pixels, np.nan)


def _filled(image: npt.NDArray[np.uint8], pixels: Array, shade: int) -> None:
    if np.isfinite(pixels).all():
        corners = np.rint((pixels * _FINER - 0.5) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(image, [corners], (shade,), cv2.LINE_8, _SHIFT)


def finished(image: npt.NDArray[np.uint8], blur_px: float = 0.6) -> ImageArray:
    """As a camera sends it: averaged over pixels, a little blurred, with noise."""
    small = cv2.resize(image, (image.shape[1] // _FINER, image.shape[0] // _FINER), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), blur_px).astype(np.float64)
    noisy = np.clip(soft + np.random.default_rng(0).normal(0, 1.5, soft.shape), 0, 255).astype(np.uint8)
    return np.repeat(noisy[..., None], 3, axis=2)


def blank(lens: Lens = K) -> npt.NDArray[np.uint8]:
    """A floor of one shade, finer than the picture."""
    return np.full((lens.height_px * _FINER, lens.width_px * _FINER), 120, np.uint8)


def sheet_on(
    image: npt.NDArray[np.uint8], see: Callable[[Array], Array], board: Board | None, paper: Paper = A4, lens: Lens = K
) -> None:
    """Draw a sheet, printed or blank; `see` puts points (N, 2) of the printed board into the camera's axes."""
    on_it = board or paper.plain
    first = (np.array([paper.width_m, paper.height_m]) - on_it.points_m.max(axis=0)) / 2

    def rectangle(x: float, y: float, w: float, h: float) -> Array:
        t = np.linspace(0, 1, _BENDS)[:-1, None]
        corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
        outline = [a + t * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
        return drawn_at(see(np.concatenate(outline) - first), lens)

    _filled(image, rectangle(0, 0, paper.width_m, paper.height_m), 235)
    for place in black_rectangles(paper, board) if board else ():
        _filled(image, rectangle(*(v / 1000 for v in place)), 25)


def floor_picture(
    pitch_rad: float, roll_rad: float, height_m: float, place: tuple[float, float, float], *, posts: bool = True,
    board: Board | None = A4.plain, lens: Lens = K,
) -> ImageArray:  # fmt: skip
    """A sheet at x, y and a turn on the floor, with a board on it or blank, and posts that stand behind it."""
    image = blank(lens)

    def seen(points: Array) -> Array:
        return in_camera(points, pitch_rad, roll_rad, height_m)

    if posts:
        for i, x in enumerate(np.linspace(-2.2, 2.2, 9)):
            ends = np.array([[x, 3.5, 0.1], [x + 0.12, 3.5, 0.1], [x + 0.12, 3.5, 2.4], [x, 3.5, 2.4]])
            _filled(image, drawn_at(seen(ends), lens), 60 if i % 2 else 200)
    sheet_on(image, lambda points: seen(on_floor(points, *place)), board, lens=lens)
    return finished(image)


def ceiling_picture(pitch_rad: float, roll_rad: float, height_m: float, board: Board | None = A4.plain) -> ImageArray:
    """What a fisheye sees below it: posts all around, and a sheet on the floor, with a board on it or blank."""
    image = blank(FISHEYE)

    def seen(points: Array) -> Array:
        return in_camera(points, pitch_rad, roll_rad, height_m)

    for i, around in enumerate(np.linspace(0, 2 * np.pi, 12, endpoint=False)):
        middle, aside = 1.9 * np.array([np.cos(around), np.sin(around)]), np.array([-np.sin(around), np.cos(around)])
        z = np.linspace(0.0, 1.9, 8)
        sides = [np.column_stack([np.tile(middle + s * aside, (8, 1)), z]) for s in (-0.07, 0.07)]
        _filled(image, drawn_at(seen(np.concatenate([sides[0], sides[1][::-1]])), FISHEYE), 60 if i % 2 else 200)
    sheet_on(image, lambda points: seen(on_floor(points, *BELOW)), board, lens=FISHEYE)
    return finished(image)


# --- a board that is held before a lens -----------------------------------------------------------------------------

NEAR = (
    ((0.6, 0.0, 0.0), (0.0, 0.0, 0.45)), ((-0.6, 0.1, 0.2), (-0.14, 0.02, 0.5)), ((0.0, 0.6, 0.1), (0.15, 0.0, 0.5)),
    ((0.1, -0.6, 1.5), (0.12, -0.05, 0.5)), ((0.4, 0.4, -0.4), (-0.15, -0.04, 0.5)),
    ((-0.4, 0.5, 0.8), (0.0, 0.05, 0.42)),
)  # fmt: skip
"""How a board is held before a perspective camera: turns as rotation vectors, and where its middle is, m."""


def near_poses() -> list[Array]:
    """T_camera_board of `NEAR`."""
    return [transform(cv2.Rodrigues(np.array(turn))[0], place) for turn, place in NEAR]


def poses_around(count: int, widest_rad: float, seed: int = 0) -> list[Array]:
    """T_camera_board of a board in the middle of the picture, then around it, tilted to another side in each."""
    rng = np.random.default_rng(seed)
    poses = []
    for i in range(count):
        off = widest_rad * (0.0 if i == 0 else 0.45 if i % 2 else 1.0)
        around = 2.4 * i
        axis = np.array([-np.sin(around), np.cos(around), 0.0])
        to_it = cv2.Rodrigues(axis * off)[0]
        lean = float(rng.uniform(0.35, 0.65)) * np.array([np.cos(1.9 * i), np.sin(1.9 * i), 0.0])
        turn = to_it @ cv2.Rodrigues(lean)[0] @ cv2.Rodrigues(np.array([0, 0, rng.uniform(-0.4, 0.4)]))[0]
        poses.append(transform(turn, to_it @ np.array([0, 0, rng.uniform(0.42, 0.55)])))
    return poses


def held(pose: Array, points: Array, board: Board = A4.plain) -> Array:
    """A held board's points (N, 2) in the camera's axes."""
    middle = board.points_m.mean(axis=0)
    return apply(pose, np.column_stack([points - middle, np.zeros(len(points))]))
