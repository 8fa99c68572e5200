"""What the pages compute again is the device's: edges on pictures, points of depth, light, colours, labels."""

from __future__ import annotations

import numpy as np
import pytest

from edge.commands.report_plan import colour
from edge.derive.formats.horizonnet import corner_lines
from edge.derive.gltf import y_up
from edge.errors import GeometryError
from edge.geometry.fisheye import rays_from_pixels
from edge.geometry.harmonics import radiance_from_prescaled, rotate
from edge.geometry.view import depth_directions, fisheye, lens, room_pixels, rotation
from edge.scene import CameraModel, Fisheye, Intrinsics
from edge.viewer.review import Room
from tests.edge.derive.rooms import L_SHAPE
from tests.edge.viewer.node import NODE, in_page

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

SIZE = (640, 480)
LENS = ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "p1", "p2", "k3")
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
        view["lens"] = {n: getattr(k, n) for n in LENS}
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


def test_a_fisheye_s_rays_are_the_device_s() -> None:
    """Of every pixel of a 210 degree lens, also past 90 degrees."""
    circle = Fisheye(
        64, 48, 11.0, 11.2, 31.0, 25.0, k1=0.02, k2=-0.003, k3=0.0005, k4=-0.00002, fov_rad=np.deg2rad(210)
    )
    numbers = {key: getattr(circle, key) for key in ("fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "k3", "k4")}
    pixels = [(x, y) for y in range(48) for x in range(64)]
    (found,) = in_page(["pixels.map(([x, y]) => fisheyeRay(x, y, numbers))"], pixels=pixels, numbers=numbers)
    own, shown = rays_from_pixels(circle)
    rays = np.array(found).reshape(48, 64, 3)
    assert rays[shown] == pytest.approx(own[shown], abs=1e-9)
    assert (own[shown][:, 2] < 0).any()


@pytest.mark.parametrize(
    "camera",
    [
        CameraModel(
            "perspective", intrinsics=Intrinsics(64, 48, 41.0, 40.5, 32.2, 23.6, k1=-0.2, k2=0.05, p1=1e-3), **TILT
        ),
        CAMERAS[2],
    ],
    ids=lambda camera: camera.projection,
)
def test_points_of_depth_are_where_the_device_has_them(camera: CameraModel) -> None:
    """Of a depth along the axis, through a lens that distorts, and of a range, tilted; what is unknown is no point."""
    size = (64, 48) if camera.projection == "perspective" else (64, 32)
    metres = np.random.default_rng(5).uniform(0.5, 6.0, size[::-1])
    metres[::3] = 0.0
    said = {"kind": "range", "height_m": 1.6, "lens": None, "fisheye": None, "rotation": rotation(camera).tolist()}
    if camera.projection == "perspective":
        k = lens(camera, *size)
        said |= {"kind": "z", "lens": {n: getattr(k, n) for n in LENS}}
    picture = {"width": size[0], "height": size[1], "metres": metres.ravel().tolist()}
    (found,) = in_page(["[...pointsFromDepth(picture, said)]"], picture=picture, said=said)
    directions, per_depth = depth_directions(camera, size, size)
    points = directions * (metres * per_depth)[..., None] + (0.0, 0.0, 1.6)
    assert np.allclose(np.reshape(found, (-1, 3)), y_up(points[metres > 0]), atol=1e-5)


def test_the_light_on_the_page_is_the_message_s() -> None:
    """The radiance of three.js' LightProbe, which is y up, is that of the coefficients, which are z up."""
    rows = np.random.default_rng(7).normal(size=(9, 3))
    (found,) = in_page(["probeCoefficients(rows)"], rows=rows.tolist())
    assert np.allclose(found, radiance_from_prescaled(rotate(rows, y_up(np.eye(3)).T)), atol=1e-4)


def test_a_wall_has_one_colour_on_the_page_and_in_the_report() -> None:
    """By what it loses for each square metre, at every limit and between them."""
    losses_w_m2 = [0.0, 0.49, 0.5, 14.9, 15.0, 29.9, 30.0, 59.9, 60.0, 500.0]
    polygon = [[float(np.cos(a)), float(np.sin(a))] for a in np.arange(len(losses_w_m2)) * 0.6]
    room = {"polygon_m": polygon, "walls": [{"start_m": corner} for corner in polygon]}
    heat = {
        "polygon_m": polygon,
        "elements": [{"edge": i, "area_m2": 2.0, "loss_w": 2.0 * loss} for i, loss in enumerate(losses_w_m2)],
    }
    (found,) = in_page(["wallColours({ layout: { metric: room }, heat_loss: heat }, 'heat')"], room=room, heat=heat)
    assert [found[str(i)]["colour"] for i in range(len(polygon))] == [colour(loss) for loss in losses_w_m2]


def test_a_label_s_corners_are_where_they_were_dragged_to() -> None:
    """The review page sees each corner where the label that is kept has it, to a thousandth of a pixel."""
    corners = [{"x": x, "y": y} for x, y in L_SHAPE.tolist()]
    expressions = ["corners.flatMap((c) => [seen(c, 2.6, 1.4), seen(c, 0, 1.4)])"]
    (found,) = in_page(expressions, corners=corners)
    pixels = np.array(found) * (1024, 512) - 0.5
    label = corner_lines(L_SHAPE, 1.4, 2.6, 1024, 512)
    kept = np.array([line.split() for line in label.splitlines()], dtype=np.float64)
    assert np.allclose(np.array(sorted(pixels.tolist())), np.array(sorted(kept.tolist())), atol=1e-3)


def test_the_review_page_refuses_what_the_server_refuses() -> None:
    """Of rooms drawn at random: walls that cross, a camera outside, a ceiling below it, too narrow, too wide."""
    random = np.random.default_rng(11)
    rooms = []
    for _ in range(400):
        around = np.sort(random.uniform(0, 2 * np.pi, 6)) if random.random() < 0.6 else random.uniform(0, 2 * np.pi, 6)
        corners = np.stack([np.cos(around), np.sin(around)], axis=1) * np.exp(random.uniform(np.log(0.2), np.log(30.0)))
        corners *= random.uniform(0.5, 1.0, (6, 1))
        ceiling = random.choice([1.2, 2.5], p=[0.1, 0.9])
        drawn = {"corners": [{"x": x, "y": y} for x, y in corners.tolist()], "cameraHeight": 1.4}
        rooms.append(drawn | {"ceilingHeight": float(ceiling)})
    (found,) = in_page(["rooms.map((room) => [problem(room), asSaid(room)])"], rooms=rooms)
    accepted = 0
    for problem, said in found:
        try:
            Room.model_validate(said).check()
        except GeometryError as error:
            assert problem is not None, error
        else:
            assert problem is None
            accepted += 1
    assert 50 < accepted < 350
