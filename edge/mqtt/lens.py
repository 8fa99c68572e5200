"""Where a camera looks from, as messages say it: its lens and its pose. Enough to put a depth map into the room."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.mqtt.values import Part, Positive, Vector3


class Lens(Part):
    """A pinhole lens: x_px = fx_px x/z + cx_px of what lies at (x, y, z); the first pixel's centre is at 0.5.

    The distortion is OpenCV's; all 0: none.
    """

    fx_px: Positive
    fy_px: Positive
    cx_px: float
    cy_px: float
    k1: float
    k2: float
    p1: float
    p2: float
    k3: float


class CalibratedLens(Lens):
    """A lens in px of the picture size it was calibrated at."""

    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)


class Pose(Part):
    """How a camera hangs in the room: point_room = rotation x point_camera + (0, 0, height_m).

    Camera axes: x right, y down, z forward (of a panorama: the middle of the picture). Room axes: x right, y forward,
    z up, origin on the floor under the camera.
    """

    rotation: Annotated[tuple[Vector3, ...], Field(min_length=3, max_length=3)] = Field(
        description="Rows of the matrix; its columns are the camera's x, y and z axes in the room."
    )
    height_m: Positive | None = Field(description="Of the lens above the floor; null where it is not known.")
