"""A perspective lens from a board seen from several places (Zhang, 2000), by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import Corners
from edge.derive.calibrate.lens_found import FEWEST_VIEWS, LensFound
from edge.errors import CalibrationError, GeometryError
from edge.geometry.pinhole import rays_from_pixels
from edge.scene import Intrinsics

Array = npt.NDArray[np.float64]

_WORTH_FOCAL = 0.05
_OUTLIER, _OUTLIER_PX = 3.0, 0.3
_LONGEST_WIDTHS = 20.0
_LEAST_TILT_RAD = np.deg2rad(12.0)
_NO_TANGENT = cv2.CALIB_ZERO_TANGENT_DIST
_NO_THIRD = cv2.CALIB_FIX_K3
_NONE = cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2


def _calibrated(seen: Sequence[Corners], wh: tuple[int, int], flags: int) -> tuple[Array, Array, Array, Array, float]:
    """Camera matrix, distortion, the lens's standard deviations, each view's error, the board's greatest turn (rad)."""
    points = [np.column_stack([s.points_m, np.zeros(len(s.points_m))]).astype(np.float32) for s in seen]
    pixels = [s.pixels.astype(np.float32).reshape(-1, 1, 2) for s in seen]
    try:
        _, matrix, distortion, turns, _, errors, _, views = cv2.calibrateCameraExtended(
            points, pixels, wh, np.eye(3), np.zeros(5), flags=flags
        )
    except cv2.error as error:
        raise CalibrationError(
            f"the pictures of the board determine no lens ({error.err}); take new ones, with the board turned "
            "differently in each"
        ) from error
    normals = np.stack([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
    tilt_rad = float(np.arccos(np.clip(normals @ normals.T, -1, 1)).max())
    return np.asarray(matrix), np.ravel(distortion), np.ravel(errors), np.ravel(views), tilt_rad


def _without_outliers(seen: Sequence[Corners], wh: tuple[int, int]) -> list[int]:
    """Which views fit together: the worst is left out, until all do."""
    kept = list(range(len(seen)))
    while len(kept) > FEWEST_VIEWS:
        views = _calibrated([seen[i] for i in kept], wh, _NO_TANGENT | _NO_THIRD)[3]
        worst = int(np.argmax(views))
        if views[worst] <= max(_OUTLIER * float(np.median(views)), _OUTLIER_PX):
            break
        del kept[worst]
    return kept


def perspective_lens(seen: Sequence[Corners], width_px: int, height_px: int) -> LensFound | None:
    """The lens that explains how a board is seen.

    Coefficients of the distortion that would fold the picture over are left out, as they are where too little is seen.

    Args:
        seen: of one picture each, the board turned differently; at least `FEWEST_VIEWS`.
        width_px: of the pictures.
        height_px: of the pictures.

    Returns:
        None where it cannot be told, as all are from one direction.

    Raises:
        CalibrationError: OpenCV finds none.
    """
    wh = (width_px, height_px)
    kept = _without_outliers(seen, wh)
    dropped = tuple(i for i in range(len(seen)) if i not in kept)
    for flags in (_NO_THIRD, _NO_THIRD | _NO_TANGENT, _NO_THIRD | _NO_TANGENT | _NONE):
        matrix, d, errors, views, tilt_rad = _calibrated([seen[i] for i in kept], wh, flags)
        k = Intrinsics(*wh, *(float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))), *(float(v) for v in d[:5]))
        focal_error = float(max(errors[0] / k.fx_px, errors[1] / k.fy_px))
        if tilt_rad < _LEAST_TILT_RAD:
            break
        if not focal_error <= _WORTH_FOCAL or k.fx_px > _LONGEST_WIDTHS * width_px:
            continue
        try:
            rays_from_pixels(k)
        except GeometryError:
            continue
        pixels = np.concatenate([seen[i].pixels for i in kept])
        covered = float(np.prod(np.ptp(pixels, axis=0) / wh))
        return LensFound(k, focal_error, float(np.sqrt(np.mean(views**2))), dropped, covered)
    return None
