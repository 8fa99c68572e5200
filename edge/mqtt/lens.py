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


class FisheyeLens(Part):
    """A fisheye lens, as OpenCV's fisheye model; the first pixel's centre is at 0.5.

    What lies at the angle t (rad) from the axis, in the direction a around it, is drawn t_d = t (1 + k1 t^2 + k2 t^4 +
    k3 t^6 + k4 t^8) focal lengths from (cx_px, cy_px), in the direction a. t may be over 90 degrees: the ray of a pixel
    is (sin t cos a, sin t sin a, cos t).
    """

    fx_px: Positive
    fy_px: Positive
    cx_px: float
    cy_px: float
    k1: float
    k2: float
    k3: float
    k4: float
    fov_deg: Positive = Field(description="Across the circle that the lens shows; outside it nothing is known.")


class CalibratedFisheye(FisheyeLens):
    """A fisheye lens in px of the picture size it was calibrated at."""

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
