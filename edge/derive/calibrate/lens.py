"""A perspective lens from a board seen from several places (Zhang, 2000), by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.calibrate.boards import Sighting
from edge.errors import CalibrationError, GeometryError
from edge.geometry.pinhole import rays_from_pixels
from edge.scene import Intrinsics

Array = npt.NDArray[np.float64]

FEWEST_VIEWS = 4
_WORST_LEFT_PX = 1.0
_WORST_FOCAL = 0.005
_HOPELESS_FOCAL = 0.05
_LEAST_COVERED = 0.35
_OUTLIER = 3.0
_LEAST_TILT_RAD = np.deg2rad(12.0)
_NO_TANGENT = cv2.CALIB_ZERO_TANGENT_DIST
_NO_THIRD = cv2.CALIB_FIX_K3
_NONE = cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2


@dataclass(frozen=True, slots=True)
class Lens:
    """A lens, and how well it is known."""

    intrinsics: Intrinsics
    focal_error: float
    """One standard deviation, of 1."""
    left_px: float
    """By how much the corners miss: root mean square."""
    views: int
    dropped: int
    """Views whose corners did not fit the others'."""
    covered: float
    """Share of the picture's width and height that corners were seen over."""


def _calibrated(
    sightings: Sequence[Sighting], wh: tuple[int, int], flags: int
) -> tuple[Array, Array, Array, Array, float]:
    """Camera matrix, distortion, the lens's standard deviations, each view's error, the board's greatest turn (rad)."""
    points = [np.column_stack([s.points_m, np.zeros(len(s.points_m))]).astype(np.float32) for s in sightings]
    pixels = [s.pixels.astype(np.float32).reshape(-1, 1, 2) for s in sightings]
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


def _without_outliers(sightings: Sequence[Sighting], wh: tuple[int, int]) -> list[Sighting]:
    views = _calibrated(sightings, wh, _NO_TANGENT | _NO_THIRD)[3]
    kept = [s for s, left in zip(sightings, views, strict=True) if left <= max(_OUTLIER * np.median(views), 0.3)]
    return kept if len(kept) >= FEWEST_VIEWS else list(sightings)


def lens_of(sightings: Sequence[Sighting], width_px: int, height_px: int) -> Lens:
    """The lens that explains how a board is seen.

    Coefficients of the distortion that would fold the picture over are left out, as they are where too little is seen.

    Args:
        sightings: one a picture, the board turned differently in each.
        width_px: of the pictures.
        height_px: of the pictures.

    Raises:
        CalibrationError: too few views, or all from one direction.
    """
    if len(sightings) < FEWEST_VIEWS:
        raise CalibrationError(
            f"the board is seen in {len(sightings)} pictures, a lens needs {FEWEST_VIEWS} and better 10; take more, "
            "with the board turned and tilted differently in each, also in the picture's corners"
        )
    wh = (width_px, height_px)
    kept = _without_outliers(sightings, wh)
    for flags in (_NO_THIRD, _NO_THIRD | _NO_TANGENT, _NO_THIRD | _NO_TANGENT | _NONE):
        matrix, d, errors, views, tilt_rad = _calibrated(kept, wh, flags)
        k = Intrinsics(*wh, *(float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2))), *(float(v) for v in d[:5]))
        focal_error = float(max(errors[0] / k.fx_px, errors[1] / k.fy_px))
        if not np.isfinite(focal_error) or focal_error > _HOPELESS_FOCAL or tilt_rad < _LEAST_TILT_RAD:
            continue
        try:
            rays_from_pixels(k)
        except GeometryError:
            continue
        seen = np.concatenate([s.pixels for s in kept])
        covered = float(np.prod(np.ptp(seen, axis=0) / wh))
        left = float(np.sqrt(np.mean(views**2)))
        return Lens(k, focal_error, left, len(kept), len(sightings) - len(kept), covered)
    raise CalibrationError(
        "the focal length cannot be told from these pictures, as the board faces the camera alike in all; tilt it by "
        "20 to 45 degrees, to another side in each"
    )


def doubts(found: Lens) -> list[str]:
    """Why a lens is not to be believed, each with what to do; none where it is."""
    said = []
    if found.left_px > _WORST_LEFT_PX:
        said.append(
            f"corners miss their places by {found.left_px:.1f} px: hold the board still, and glue it to something flat"
        )
    if found.focal_error > _WORST_FOCAL:
        said.append(
            f"the focal length is known to {found.focal_error:.1%} only: take more pictures, with the board nearer and "
            "tilted to another side in each"
        )
    if found.covered < _LEAST_COVERED:
        said.append(
            f"the board was seen over {found.covered:.0%} of the picture only: hold it into the corners as well, where "
            "lenses distort most"
        )
    return said
