"""The two circles of a dual fisheye, found in pictures of the demo's room drawn with circles that are known."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge
from edge.cameras.base import ComposedSpec, Member, ReplaySpec, View
from edge.cameras.circles import find_circle, located
from edge.cameras.composed import ComposedSource
from edge.cameras.sources import source_from_spec
from edge.errors import GeometryError
from edge.geometry.panorama import sampling_map
from edge.geometry.view import picture_rays
from edge.scene import CameraModel, FisheyeCircle, ImageArray

WH = (960, 480)
TRUE = (
    FisheyeCircle(np.deg2rad(190), (0.2522, 0.4937), 0.4781),
    FisheyeCircle(np.deg2rad(190), (0.7473, 0.5051), 0.4802),
)


def _room() -> ImageArray:
    path = Path(edge.__file__).parent / "demo" / "panorama" / "frame-000.jpg"
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image[..., ::-1], np.uint8)


@lru_cache(maxsize=4)
def drawn(light: float = 1.0, dark_rad: float = 0.0) -> ImageArray:
    """Both circles in one picture, with a lens's fall-off of light, a soft rim and noise.

    Args:
        light: of the room.
        dark_rad: so much of the room round about, beginning behind, is black.
    """
    room = (_room() * light).astype(np.uint8)
    room[:, : round(dark_rad / 2 / np.pi * room.shape[1])] = 0
    picture = np.zeros((WH[1], WH[0], 3))
    for circle, yaw in zip(TRUE, (0.0, np.pi), strict=True):
        directions, shown = picture_rays(CameraModel("fisheye", fisheye=circle, yaw_rad=yaw), WH, WH)
        x, y = sampling_map(directions, room.shape[1], room.shape[0])
        seen = cv2.remap(room, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        half = (np.arange(WH[0]) < WH[0] / 2) == (yaw == 0.0)
        picture += np.where((shown & half)[..., None], seen, 0)
    rng = np.random.default_rng(1)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0) + rng.normal(3, 2, picture.shape)
    return np.asarray(np.clip(soft, 0, 255), np.uint8)


def _spec(path: Path = Path(".")) -> ComposedSpec:
    views = [
        View(CameraModel("fisheye", fisheye=FisheyeCircle(np.deg2rad(190), (x, 0.5)), yaw_rad=yaw), seek_circle=True)
        for x, yaw in ((0.25, 0.0), (0.75, np.pi))
    ]
    return ComposedSpec((Member("picture", ReplaySpec(path, pace="fast"), tuple(views)),), 512)


@pytest.mark.parametrize(("light", "dark_rad"), [(1.0, 0.0), (0.35, 0.0), (1.0, 2.5)], ids=["day", "dim", "half dark"])
def test_circles_are_where_they_were_drawn(light: float, dark_rad: float) -> None:
    """Centre and radius within a pixel of 480, and the error that is said is of that size."""
    placed, found = located(_spec(), [drawn(light, dark_rad)])
    for view, circle, true in zip(placed.members[0].views, found, TRUE, strict=True):
        assert isinstance(view.model.fisheye, FisheyeCircle) and not view.seek_circle
        assert circle.x_px == pytest.approx(true.centre[0] * WH[0], abs=1.0)
        assert circle.y_px == pytest.approx(true.centre[1] * WH[1], abs=1.0)
        assert circle.radius_px == pytest.approx(true.radius * WH[1], abs=1.0)
        assert view.model.fisheye.centre == pytest.approx(true.centre, abs=1.5e-3)
        assert circle.off_px < 1.5 and 0.4 < circle.share <= 1.0


@pytest.mark.parametrize(
    "image",
    [np.zeros((200, 200, 3), np.uint8), np.full((200, 200, 3), 140, np.uint8)],
    ids=["night", "no rim"],
)
def test_a_picture_without_a_rim_is_refused(image: ImageArray) -> None:
    """With what to do."""
    with pytest.raises(GeometryError, match="rim of the circle is not seen.*set centre and radius"):
        find_circle(image)


def test_a_square_window_is_no_circle() -> None:
    """Points that lie on no one circle are not made one."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[40:160, 30:170] = 200
    with pytest.raises(GeometryError, match="lie on one circle"):
        find_circle(image)


def test_a_source_looks_until_it_finds(tmp_path: Path) -> None:
    """At night its circles fill their halves, and it is degraded; with light it composes as with the true ones."""
    for n, image in enumerate((np.zeros_like(drawn()), drawn())):
        assert cv2.imwrite(str(tmp_path / f"{n}.png"), image[..., ::-1])
    with ComposedSource(_spec(tmp_path), source_from_spec) as source:
        assert isinstance(source, ComposedSource)
        source.read()
        assert "middle of their halves" in source.degraded[0]
        source._sought_s = -np.inf
        lit = source.read()
        assert source.degraded == ()
    room = cv2.resize(_room(), (512, 256), interpolation=cv2.INTER_AREA)
    off = np.abs(lit.image.astype(int) - room).mean(axis=-1)
    assert lit.seen is None and np.median(off) < 5
