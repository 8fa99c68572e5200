"""The page's projection is the device's: edges that it draws on a picture are where the device would see them."""

from __future__ import annotations

import numpy as np
import pytest

from edge.geometry.view import fisheye, lens, room_pixels, rotation
from edge.scene import CameraModel, Fisheye, Intrinsics
from tests.edge.viewer.node import NODE, in_page

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

SIZE = (640, 480)
TILT = {"yaw_rad": 0.4, "pitch_rad": -0.2, "roll_rad": 0.05}
CAMERAS = [
    CameraModel(
        "perspective", intrinsics=Intrinsics(640, 480, 410.0, 405.0, 322.0, 236.0, k1=-0.2, k2=0.05, p1=1e-3), **TILT
    ),
    CameraModel(
        "fisheye", fisheye=Fisheye(640, 480, 180.0, 181.0, 318.0, 242.0, k1=0.02, k2=-0.004, fov_rad=3.3), **TILT
    ),
    CameraModel("equirectangular", **TILT),
]


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.projection)
def test_a_direction_is_where_the_device_sees_it(camera: CameraModel) -> None:
    """To a thousandth of a pixel, distortion and tilt included; what the device does not see is not in the picture."""
    size = SIZE if camera.projection != "equirectangular" else (640, 320)
    directions = np.random.default_rng(3).normal(size=(400, 3))
    view = {"projection": camera.projection, "rotation": rotation(camera).tolist()}
    view |= {"width_px": size[0], "height_px": size[1], "lens": None, "fisheye": None}
    if camera.projection == "perspective":
        k = lens(camera, *size)
        view["lens"] = {n: getattr(k, n) for n in ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "p1", "p2", "k3")}
    elif camera.projection == "fisheye":
        f = fisheye(camera, *size)
        names = ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3", "k4")
        view["fisheye"] = {n: getattr(f, n) for n in names} | {"fov_deg": float(np.degrees(f.fov_rad))}
    (found,) = in_page(["directions.map((d) => inPicture(d, view))"], directions=directions.tolist(), view=view)
    pixels, seen = room_pixels(camera, directions, size)
    assert seen.sum() > 20
    for at, pixel, is_seen in zip(found, pixels, seen, strict=True):
        if is_seen:
            assert np.allclose(np.multiply(at, size), pixel, atol=1e-3)
        else:
            assert at is None or not (0 < at[0] < 1 and 0 < at[1] < 1)
