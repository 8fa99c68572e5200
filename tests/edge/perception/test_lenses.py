"""Fisheyes and composed panoramas through the readers: depth, canvas, room, texture, message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge.derive.glb import read_room, room_glb
from edge.derive.model import model_of
from edge.geometry import fisheye
from edge.geometry.panorama import longitudes, rays
from edge.geometry.pinhole import rays_from_pixels
from edge.geometry.polygon import wall_distances
from edge.geometry.view import picture_rays, rotation
from edge.perception.alignment import shell_range
from edge.perception.canvas import CanvasInput, CanvasMap
from edge.perception.depth import DepthReader
from edge.perception.tangent_views import TangentViews
from edge.publish.compose import Source, depth_message
from edge.scene import CameraModel, DepthMap, Fisheye, FisheyeCircle, Frame, RoomLayout
from tests.edge.cameras.test_composer import coloured
from tests.edge.perception.test_depth import METRES, exact_layout, manifest
from tests.edge.perception.test_layout import BOX, _distance_reader

CEILING = CameraModel("fisheye", fisheye=FisheyeCircle(np.deg2rad(185)), camera_height_m=1.6, pitch_rad=-np.pi / 2)
AHEAD = CameraModel(
    "fisheye",
    fisheye=Fisheye(400, 300, 120.0, 121.0, 205.0, 148.0, k1=0.01, k2=-0.002, fov_rad=np.deg2rad(170)),
    camera_height_m=1.6,
    yaw_rad=0.5,
    pitch_rad=-0.4,
    roll_rad=0.2,
)
CAMERAS = pytest.mark.parametrize("camera", [CEILING, AHEAD], ids=["ceiling", "ahead"])
WH = (400, 300)


@pytest.fixture(scope="module")
def room() -> RoomLayout:
    """The analytic 4 x 4.5 m box seen from 1.6 m."""
    return exact_layout(BOX)


def z_of_views(room: RoomLayout, views: TangentViews, scale: float = 1.0) -> npt.NDArray[np.float32]:
    """What a perfect network says of the room in each view."""
    ahead = rays_from_pixels(views.intrinsics)
    per_z = np.linalg.norm(ahead, axis=-1)
    found = [shell_range(room, ahead / per_z[..., None] @ (views.axes @ turn).T) / per_z for turn in views.looks]
    return (np.stack(found)[:, None] * scale).astype(np.float32)


@CAMERAS
def test_views_of_a_fisheye_show_what_it_sees(camera: CameraModel) -> None:
    """Colour is direction: every view shows its own rays' directions wherever the fisheye sees them."""
    picture = pictured_of(camera)
    views = TangentViews((256, 192), WH, camera)
    ahead = rays_from_pixels(views.intrinsics)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    lens = fisheye_of(camera)
    checked = 0
    for cut, turn in zip(views.cut(picture), views.looks, strict=True):
        looks = ahead @ (views.axes @ turn).T
        pixels, seen = fisheye.project(looks @ rotation(camera), replace(lens, fov_rad=lens.fov_rad * 0.95))
        seen &= ((pixels > 2) & (pixels < np.array(WH) - 2)).all(-1)
        assert np.abs(cut.astype(int) - coloured(looks))[seen].max(initial=0) <= 6
        checked += int(seen.sum())
    assert checked > 2 * 192 * 256


def pictured_of(camera: CameraModel) -> npt.NDArray[np.uint8]:
    """The picture of a camera in a sphere whose colour is the direction."""
    looks, shown = picture_rays(camera, WH, WH)
    return np.where(shown[..., None], coloured(looks), np.uint8(0))


def fisheye_of(camera: CameraModel) -> Fisheye:
    """Its lens for pictures of `WH`."""
    own = camera.fisheye
    return fisheye.fisheye_in(own, *WH) if isinstance(own, FisheyeCircle) else own  # type: ignore[return-value]


@CAMERAS
def test_depth_of_a_fisheye_is_the_range_along_its_own_rays(room: RoomLayout, camera: CameraModel) -> None:
    """A perfect network's views give the room's shell at every pixel of the circle, and nothing outside of it."""
    reader = DepthReader(manifest(METRES | {"canonical_focal_px": None}), camera, smoothing_s=0)
    tensor = reader.prepare(np.zeros((*WH[::-1], 3), np.uint8))
    views = TangentViews(tuple(tensor.shape[:1:-1]), WH, camera)  # type: ignore[arg-type]
    assert reader.rows == len(tensor) == len(views)
    found = reader.read({"depth": z_of_views(room, views)}, 0.0)
    assert found.kind == "range"
    height, width = found.depth.shape
    looks, shown = picture_rays(camera, WH, (width, height))
    assert np.array_equal(found.depth > 0, shown)
    ratio = found.depth[shown] / shell_range(room, looks)[shown]
    assert np.median(np.abs(np.log(ratio))) < 0.005
    assert np.quantile(np.abs(np.log(ratio)), 0.99) < 0.05


def test_a_fisheye_on_the_ceiling_needs_no_view_up_and_one_ahead_none_behind() -> None:
    """Views of which a lens sees nothing are not asked for."""
    asked = {name: len(TangentViews((256, 192), WH, c)) for name, c in (("ceiling", CEILING), ("ahead", AHEAD))}
    narrow = replace(CEILING, fisheye=FisheyeCircle(np.deg2rad(60)))
    assert asked["ceiling"] == 5
    assert asked["ahead"] <= 5
    assert len(TangentViews((256, 192), WH, narrow)) == 1


@CAMERAS
def test_a_fisheyes_depth_is_put_into_metres_by_the_room(room: RoomLayout, camera: CameraModel) -> None:
    """Of a network that errs by a third, the room's known size is the remedy, as with any lens."""
    reader = DepthReader(manifest(METRES | {"canonical_focal_px": None}), camera, smoothing_s=0)
    tensor = reader.prepare(np.zeros((*WH[::-1], 3), np.uint8))
    views = TangentViews(tuple(tensor.shape[:1:-1]), WH, camera)  # type: ignore[arg-type]
    found = reader.read({"depth": z_of_views(room, views, scale=1.33)}, 0.0, room)
    assert found.aligned_to_layout == pytest.approx(1 / 1.33, rel=0.02)


def test_the_canvas_of_a_fisheye_is_what_it_sees_of_the_level_sphere() -> None:
    """Whichever way it hangs, colours lie where they belong, and the rest is masked."""
    for camera in (CEILING, AHEAD):
        canvas, mask = CanvasMap(camera, WH, 256, 128).apply(pictured_of(camera))
        inner = mask & np.roll(mask, 3, 0) & np.roll(mask, -3, 0) & np.roll(mask, 3, 1) & np.roll(mask, -3, 1)
        assert inner.sum() > 5000
        assert np.abs(canvas.astype(int) - coloured(rays(256, 128)))[inner].max() <= 6
        assert (canvas[~mask] == 0).all()
    assert CanvasMap(CEILING, WH, 256, 128).mask.any(axis=0).all()  # all round, so its room is whole


def test_what_a_panorama_does_not_show_is_unknown(room: RoomLayout) -> None:
    """Depth is 0 there, columns take no part, and the mask is followed when it changes."""
    camera = CameraModel("equirectangular", camera_height_m=1.6)
    reader = DepthReader(manifest(METRES | {"canonical_focal_px": None}), camera, smoothing_s=0)
    seen = np.zeros((256, 512), np.bool_)
    seen[60:200, 100:400] = True
    picture = np.full((256, 512, 3), 90, np.uint8)
    views = TangentViews((128, 96), (512, 256))
    z = z_of_views(room, views)
    reader.prepare(picture, seen=seen)
    part = reader.read({"depth": z}, 0.0)
    y, x = np.flatnonzero((part.depth > 0).any(1)), np.flatnonzero((part.depth > 0).any(0))
    assert (y[0] / 192 * 256, x[0] / 384 * 512) == pytest.approx((60, 100), abs=2)
    assert (y[-1] / 192 * 256, x[-1] / 384 * 512) == pytest.approx((199, 399), abs=2)
    reader.prepare(picture)
    whole = reader.read({"depth": z}, 1.0)
    assert (whole.depth > 0).all()
    both = part.depth > 0
    assert part.depth[both] / whole.depth[both] == pytest.approx(1, rel=0.02)


def test_a_canvas_follows_the_mask_of_its_picture() -> None:
    """A turned panorama's mask turns with it; without one everything is seen."""
    spec = manifest(METRES).input.model_copy(update={"projection": "equirectangular", "width_px": 128, "height_px": 64})
    canvas = CanvasInput(spec, CameraModel("equirectangular", yaw_rad=np.pi / 2))
    seen = np.zeros((128, 256), np.bool_)
    seen[:, 118:138] = True  # ahead of the camera, which looks to the right
    picture = np.full((128, 256, 3), 200, np.uint8)
    canvas.prepare(picture, seen=seen)
    columns = np.flatnonzero(canvas.mask.any(axis=0))
    assert columns.mean() == pytest.approx(96 - 0.5, abs=1)
    canvas.prepare(picture)
    assert canvas.mask.all()


@pytest.mark.parametrize(
    ("fov_deg", "pitch_deg", "extent"), [(185, -90, "room"), (170, 0, "visible"), (200, 0, "visible")]
)
def test_a_lens_sees_a_room_whole_only_where_it_sees_its_walls(fov_deg: float, pitch_deg: float, extent: str) -> None:
    """Of more than 180 degrees it sees straight up, and there every column, but not the wall behind it."""
    lens = FisheyeCircle(np.deg2rad(fov_deg))
    camera = CameraModel("fisheye", fisheye=lens, camera_height_m=1.6, pitch_rad=np.deg2rad(pitch_deg))
    distance = wall_distances(BOX, longitudes(256)) / 1.6
    answer = {"depth": distance[None].astype(np.float32), "ratio": np.full((1, 1), 1.1 / 1.6, np.float32)}
    assert _distance_reader(camera, 64).read(answer, 0.0).extent == extent


def test_a_fisheyes_depth_message_says_its_lens() -> None:
    """From the message alone, a subscriber finds the ray of every pixel; `lens` is null, no pinhole is claimed."""
    frame = Frame("hall", 1, 0.0, 0.0, np.zeros((300, 400, 3), np.uint8), AHEAD)
    depth = DepthMap(np.ones((75, 100), np.float32), "range", "metric")
    message = depth_message(frame, depth, Source("d", "m", "0" * 64), 0.0)
    assert message.lens is None
    said = message.fisheye
    assert said is not None
    numbers = said.model_dump()
    k = Fisheye(100, 75, fov_rad=np.deg2rad(numbers.pop("fov_deg")), **numbers)
    own, shown = fisheye.rays_from_pixels(k)
    expected, _ = picture_rays(AHEAD, WH, (100, 75))
    looks = own @ np.array(message.pose.rotation).T
    assert looks[shown] == pytest.approx(expected[shown], abs=1e-4)


@CAMERAS
def test_a_fisheyes_picture_is_laid_on_its_room(room: RoomLayout, camera: CameraModel) -> None:
    """A ceiling camera textures the floor whole and no ceiling; the GLB names its projection and is read back."""
    model = model_of(room, camera, pictured_of(camera))
    assert model.texture is not None
    seen = model.texture.seen_fraction
    if camera is CEILING:
        assert seen["floor"] > 0.99
        assert seen["ceiling"] < 0.01
    assert seen["floor"] > 0
    again = read_room(room_glb(model))
    assert again.view.projection == "fisheye"
