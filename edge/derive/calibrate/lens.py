"""The lens of a camera, perspective or fisheye, from a board seen from several places."""

from __future__ import annotations

from collections.abc import Sequence

from edge.derive.calibrate.boards import Corners
from edge.derive.calibrate.fisheye_lens import fisheye_lens
from edge.derive.calibrate.lens_found import FEWEST_VIEWS, LensFound
from edge.derive.calibrate.perspective_lens import perspective_lens
from edge.errors import CalibrationError
from edge.geometry.view import fisheye
from edge.scene import CameraModel

_HOPELESS_FOCAL = 0.05


def lens_of(seen: Sequence[Corners], model: CameraModel, width_px: int, height_px: int) -> LensFound:
    """The lens that explains how a board is seen.

    Args:
        seen: of one picture each, the board turned differently.
        model: the camera; a fisheye's lens as it is configured is where the search begins.
        width_px: of the pictures.
        height_px: of the pictures.

    Raises:
        CalibrationError: the camera has no lens, too few views, or all from one direction.
    """
    if model.projection == "equirectangular":
        raise CalibrationError("a panorama has no lens to calibrate; calibrate the cameras that it is composed of")
    if len(seen) < FEWEST_VIEWS:
        raise CalibrationError(
            f"the board is seen in {len(seen)} pictures, a lens needs {FEWEST_VIEWS} and better 10; take more, "
            "with the board turned and tilted differently in each, also in the picture's corners"
        )
    if model.projection == "perspective":
        found: LensFound | None = perspective_lens(seen, width_px, height_px)
    else:
        found = fisheye_lens(seen, fisheye(model, width_px, height_px))
    if found is None or not found.focal_error <= _HOPELESS_FOCAL:
        raise CalibrationError(
            "the focal length cannot be told from these pictures, as the board faces the camera alike in all; tilt it "
            "by 20 to 45 degrees, to another side in each"
        )
    return found
