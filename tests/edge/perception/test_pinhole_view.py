"""A pinhole's view of any camera: each pixel shows what lies in its direction, and nothing is made up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import GeometryError
from edge.geometry.pinhole import rays_from_pixels
from edge.geometry.view import picture_rays, rotation
from edge.perception.pinhole_view import PinholeView
from edge.scene import CameraModel, FisheyeCircle, ImageArray, Intrinsics

_BARREL = Intrinsics(640, 480, 410.0, 405.0, 330.0, 236.0, k1=-0.28, k2=0.07, p1=0.001)
MODELS = {
    "plain": (CameraModel("perspective", hfov_rad=1.2, pitch_rad=-0.3), (640, 480)),
    "distorted": (CameraModel("perspective", intrinsics=_BARREL, yaw_rad=0.7, roll_rad=0.2), (640, 480)),
    "fisheye": (CameraModel("fisheye", fisheye=FisheyeCircle(np.radians(190.0)), pitch_rad=-1.5), (800, 800)),
    "panorama": (CameraModel("equirectangular", yaw_rad=2.0, pitch_rad=0.1), (1600, 800)),
}


def _colours(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A smooth colour of each direction in the room."""
    return 127.5 + 100 * np.sin(directions * 2.5 + [0.3, 1.1, 2.0])


@pytest.mark.parametrize("kind", MODELS)
def test_each_pixel_shows_its_direction(kind: str) -> None:
    """Of a picture in which each direction has a colour of its own, to 2 of 255 at every pixel."""
    model, image_wh = MODELS[kind]
    directions, shown = picture_rays(model, image_wh, image_wh)
    image: ImageArray = np.where(shown[..., None], _colours(directions), 0).round().astype(np.uint8)
    view = PinholeView(model, image_wh, 320)
    got = view.apply(image)
    k = view.lens
    assert got.shape == (k.height_px, k.width_px, 3) and k.width_px == 320 and not k.distorted
    rays = rays_from_pixels(k)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True) @ rotation(model).T
    assert np.abs(got - _colours(rays)).max() < 2


def test_a_plain_camera_keeps_its_view() -> None:
    """Nothing is cut off, and a small picture is not enlarged."""
    model, _ = MODELS["plain"]
    view = PinholeView(model, (240, 180), 320)
    assert (view.lens.width_px, view.lens.height_px) == (240, 180)
    assert 2 * np.arctan(120 / view.lens.fx_px) == pytest.approx(1.2)


def test_what_is_not_seen_is_told() -> None:
    """A panorama that shows nothing ahead does not fill the view; a circle outside of its picture is refused."""
    model, image_wh = MODELS["panorama"]
    view, seen = PinholeView(model, image_wh, 320), np.ones(image_wh[::-1], np.bool_)
    assert view.shows(seen)
    seen[:, 790:810] = False
    assert not view.shows(seen)
    with pytest.raises(GeometryError, match="nothing straight ahead"):
        PinholeView(CameraModel("fisheye", fisheye=FisheyeCircle(3.0, (2.0, 0.5), 0.4)), (640, 480), 320)
