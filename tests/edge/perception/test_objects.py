"""Laws of objects: the mask that GrabCut finds, the cut-out, the yaw, the size and the place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edge.derive.objects import turn_of, turned, yaw_of
from edge.errors import ObjectError
from edge.geometry.colour import linear, srgb
from edge.inference.manifest import InputSpec, Manifest
from edge.perception import object_view as looking
from edge.perception.objects import ObjectReader, as_seen, look_at, reconstruct
from edge.scene import CameraModel, DepthMap, FoundObject, Frame, ObjectMesh
from tests.edge.things import PANORAMA, PERSPECTIVE, chair, scene

MANIFEST = Manifest.model_validate({
    "name": "objects", "version": "1", "task": "objects",
    "onnx": {"file": "model.onnx", "sha256": "0" * 64},
    "input": InputSpec(name="image", width_px=96, height_px=96, projection="perspective", mask_channel=True),
    "output": {"kind": "object_grid", "occupancy": "occupancy", "colour": "colour"},
    "provenance": {"recipe": "none", "created": "2026-11-28", "licence": "Apache-2.0"},
})  # fmt: skip


def chairs(tensor: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """A network that sees a chair in everything."""
    assert tensor.shape == (1, 4, 96, 96)
    occupancy, colour = chair()
    return {"occupancy": occupancy[None, None], "colour": colour[None]}


def found(
    frame: Frame,
    depth: DepthMap | None,
    box: looking.Box,
    seen: tuple[looking.ObjectView, npt.NDArray[np.bool_]] | None = None,
) -> FoundObject:
    """What comes of a box, or of a view and a mask in it, with that network."""
    view, mask = seen or look_at(frame, box=box)
    return reconstruct(frame, view, mask, ObjectReader(MANIFEST), chairs, name="chair-1", label="chair", depth=depth)


@pytest.mark.parametrize(("model", "at", "yaw_deg"), [
    (PERSPECTIVE, (0.4, 2.5), 120.0),
    (PANORAMA, (-1.5, 1.5), -75.0),
    (PANORAMA, (0.8, -2.2), 30.0),
])  # fmt: skip
def test_a_chair_is_found_where_it_stands(model: CameraModel, at: tuple[float, float], yaw_deg: float) -> None:
    """Drawn with its depth by any camera, it is told its place to 6 cm, its size to 6 %, its yaw to a step of 15."""
    frame, depth, box = scene(model, at, yaw_deg, metres=0.9)
    chair_ = found(frame, depth, box)
    assert chair_.note == ""
    assert chair_.confidence > 0.85
    assert chair_.place is not None
    assert chair_.place.at_m[:2] == pytest.approx(at, abs=0.06)
    assert abs(np.degrees(chair_.place.yaw_rad) - yaw_deg) <= 15.0
    assert chair_.size_m == pytest.approx((0.63 * 0.9, 0.63 * 0.9, 0.94 * 0.9), rel=0.06)
    wanted = np.array(box) + np.array([12, 12, -12, -12]) / np.tile(frame.image.shape[1::-1], 2)
    assert chair_.box == pytest.approx(wanted, abs=0.01)


def test_a_mesh_has_the_colour_that_the_picture_shows() -> None:
    """Its mean is the picture's in linear light, the surroundings' does not count, and its pattern stays as told."""
    rng = np.random.default_rng(0)
    told = srgb(rng.uniform(0.1, 0.3, (500, 3)))
    mesh = ObjectMesh(np.zeros((500, 3), np.float32), np.zeros((1, 3), np.int32), told)
    picture, mask = np.full((40, 40, 3), 255, np.uint8), np.zeros((40, 40), bool)
    mask[10:30, 5:35] = True
    picture[mask] = (180, 60, 30)
    colours = linear(as_seen(mesh, picture, mask).colours)
    assert colours.mean(axis=0) == pytest.approx(linear(np.array([180, 60, 30], np.uint8)), abs=0.002)
    for channel in range(3):
        assert np.corrcoef(colours[:, channel], linear(told)[:, channel])[0, 1] > 0.99
    black = as_seen(replace(mesh, colours=np.zeros_like(told)), picture, mask)
    assert black.colours.shape == told.shape


def test_what_stands_on_a_table_has_no_place() -> None:
    """40 cm above the floor it keeps its shape and size, and says why it has no place."""
    frame, depth, box = scene(PERSPECTIVE, (0.3, 2.5), 90.0, raised_m=0.4)
    chair_ = found(frame, depth, box)
    assert chair_.place is None
    assert chair_.mesh is not None
    assert chair_.size_m is not None
    assert "above the floor" in chair_.note


def test_nothing_relative_is_in_metres() -> None:
    """Without depth in metres there is neither size nor place; without the camera's height no place."""
    frame, depth, box = scene(PERSPECTIVE, (0.3, 2.5), 90.0)
    seen = look_at(frame, box=box)
    for unknown in (None, replace(depth, scale="relative")):
        chair_ = found(frame, unknown, box, seen)
        assert (chair_.size_m, chair_.place) == (None, None)
        assert "depth in metres" in chair_.note
        assert chair_.mesh is not None
    floating = replace(frame, model=replace(PERSPECTIVE, camera_height_m=None))
    chair_ = found(floating, depth, box, seen)
    assert chair_.place is None
    assert chair_.size_m is not None
    assert "camera_height_m" in chair_.note


def test_what_the_network_takes_for_something_else_has_no_mesh() -> None:
    """A long, low bar is no chair at any yaw: under 0.5 only its box is told."""
    frame, depth, _ = scene(PERSPECTIVE, (0.3, 2.5), 90.0)
    picture = np.full_like(frame.image, 200)
    picture[300:320, 200:400] = (20, 60, 160)
    bar = found(replace(frame, image=picture), depth, (180 / 640, 280 / 480, 420 / 640, 340 / 480))
    assert bar.confidence < 0.5
    assert bar.mesh is None
    assert bar.place is None
    assert "unlike anything learnt" in bar.note
    assert bar.box == pytest.approx((200 / 640, 300 / 480, 400 / 640, 320 / 480), abs=0.01)


def test_a_part_of_a_thing_is_no_thing() -> None:
    """What reaches the edge of the picture is not reconstructed."""
    frame, depth, _ = scene(PERSPECTIVE, (0.3, 2.5), 90.0)
    picture = np.full_like(frame.image, 200)
    picture[200:380, 0:120] = (20, 60, 160)
    cut = found(replace(frame, image=picture), depth, (0.0, 180 / 480, 160 / 640, 400 / 480))
    assert cut.mesh is None
    assert "edge of the picture" in cut.note


def test_a_polygon_is_its_own_mask() -> None:
    """Its pixels are the mask, on a plain wall where GrabCut finds nothing."""
    frame, _, _ = scene(PERSPECTIVE, (0.3, 2.5), 90.0)
    plain = replace(frame, image=np.full_like(frame.image, 128))
    triangle = ((0.4, 0.4), (0.6, 0.4), (0.5, 0.7))
    view, mask = look_at(plain, polygon=triangle)
    assert mask.any()
    assert looking.box_of(view, mask) == pytest.approx((0.4, 0.4, 0.6, 0.7), abs=0.01)
    with pytest.raises(ObjectError, match="polygon"):
        look_at(plain, box=(0.4, 0.4, 0.6, 0.7))


@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.02, 0.02, 0.98, 0.98)])
def test_the_whole_view_is_no_object(box: looking.Box) -> None:
    """All that a panorama sees is refused, with what to do."""
    frame, _, _ = scene(PANORAMA, (0.3, 2.5), 90.0)
    with pytest.raises(ObjectError, match="around a single thing"):
        look_at(frame, box=box)


def test_a_cut_out_is_square_and_tight() -> None:
    """The mask's longer side fills it but for 8 % on either side, in the middle; outside the picture is black."""
    picture, mask = np.full((200, 300, 3), 90, np.uint8), np.zeros((200, 300), np.bool_)
    mask[40:160, 70:110] = True
    image, inside = looking.cut_out(picture, mask, 96)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert (rows[0], rows[-1] + 1) == pytest.approx((0.08 * 96, 0.92 * 96), abs=1)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(48, abs=1)
    assert inside.sum() == pytest.approx(120 * 40 * (96 * 0.84 / 120) ** 2, rel=0.05)
    assert image[~inside].max() == 0
    assert image[inside].min() == 90


def test_a_mask_that_cannot_be_used() -> None:
    """None, all and a few pixels are refused."""
    picture = np.zeros((100, 100, 3), np.uint8)
    tiny = np.zeros((100, 100), np.bool_)
    tiny[50:55, 50:55] = True
    for mask in (np.zeros_like(tiny), ~np.zeros_like(tiny), tiny):
        with pytest.raises(ObjectError):
            looking.cut_out(picture, mask, 96)


def test_a_yaw_is_the_bearing_of_the_front() -> None:
    """A turn and its yaw undo each other; at yaw 0 the front (+z) points to room +y, at 90 to the right, y is up."""
    for yaw_deg in (-170.0, -90.0, 0.0, 30.0, 90.0):
        yaw = np.radians(yaw_deg)
        assert np.degrees(yaw_of(turn_of(yaw))) == pytest.approx(yaw_deg)
        front, up = turned(turn_of(yaw))[:, 2], turned(turn_of(yaw))[:, 1]
        assert front == pytest.approx((np.sin(yaw), np.cos(yaw), 0), abs=1e-9)
        assert up == pytest.approx((0, 0, 1), abs=1e-9)
