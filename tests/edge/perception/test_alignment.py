"""Relative inverse depth is put into metres by the room, or stays relative."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.geometry.panorama import longitudes, rays
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from edge.geometry.polygon import boundary_latitudes
from edge.geometry.rigid import rotation_room_camera
from edge.inference.manifest import Manifest
from edge.inference.ort import OrtBackend
from edge.perception.alignment import RANGE_M, shell_range
from edge.perception.canvas import visible_mask
from edge.perception.depth import DepthReader
from edge.perception.layout import layout_from_boundary
from edge.perception.tangent_views import FUSED_WH, TangentViews
from edge.scene import CameraModel, DepthMap, Projection, RoomLayout
from tests.edge.perception.test_depth import canvas_manifest, manifest, true_views
from tests.edge.perception.test_layout import BOX, exact_layout

FloatMap = npt.NDArray[np.float32]
INVERSE: dict[str, object] = {"kind": "inverse_depth_relative", "inverse_depth": "d"}
CAMERA = CameraModel("perspective", hfov_rad=1.4, yaw_rad=0.5, pitch_rad=-0.2, camera_height_m=1.6)
WH = (256, 192)
UNSEEN = np.full(512, np.nan, np.float32)
SCALES = [(3.0, -0.1), (0.002, 0.05), (50.0, 0.0)]
"""a, b of 1 / depth = a d + b: MiDaS answers in the hundreds, Depth Anything in units."""


@pytest.fixture(scope="module")
def room() -> RoomLayout:
    """The analytic 4 x 4.5 m box seen from 1.6 m."""
    return exact_layout(BOX)


def true_z(room: RoomLayout, camera: CameraModel = CAMERA) -> npt.NDArray[np.float64]:
    """(192, 256) z-depth of the empty room."""
    assert camera.hfov_rad is not None
    own = rays_from_pixels(intrinsics_from_fov(*WH, camera.hfov_rad))
    per_z = np.linalg.norm(own, axis=-1)
    turn = rotation_room_camera(camera.yaw_rad, camera.pitch_rad, camera.roll_rad)
    return np.asarray(shell_range(room, own / per_z[..., None] @ turn.T) / per_z)


def furnished(depth: npt.NDArray[np.float64], share: float, seed: int) -> npt.NDArray[np.float64]:
    """The map with boxes at 30 to 85 % of the shell's distance in front of at least this share of it."""
    draw = np.random.default_rng(seed)
    out, height, width = depth.copy(), *depth.shape
    while (out < depth).mean() < share:
        y, x = draw.integers(0, height - 20), draw.integers(0, width - 20)
        box = np.s_[y : y + draw.integers(15, height // 3), x : x + draw.integers(15, width // 4)]
        out[box] = np.minimum(out[box], depth[box].min() * draw.uniform(0.3, 0.85))
    return np.asarray(out)


def answered(inverse: npt.NDArray[np.float64], layout: RoomLayout | None, camera: CameraModel = CAMERA) -> DepthMap:
    """What the reader makes of a network's answer (H, W)."""
    reader = DepthReader(manifest(INVERSE), camera, smoothing_s=0)
    reader.prepare(np.zeros((480, 640, 3), np.uint8))
    return reader.read({"d": inverse.astype(np.float32)[None]}, 0.0, layout)


@pytest.mark.parametrize(("a", "b"), SCALES)
def test_the_empty_room_is_recovered(room: RoomLayout, a: float, b: float) -> None:
    """Whatever scale and shift a network has, the empty room gets its metres back."""
    depth = true_z(room)
    found = answered((1 / depth - b) / a, room)
    assert (found.scale, found.kind) == ("metric", "z")
    assert np.abs(found.depth / depth - 1).max() < 0.01


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("a", "b"), SCALES)
def test_furniture_does_not_mislead(room: RoomLayout, a: float, b: float, seed: int) -> None:
    """With furniture in front of 40 % of the shell every pixel is within 5 %, furniture's too."""
    depth = furnished(true_z(room), 0.4, seed)
    found = answered((1 / depth - b) / a, room)
    assert found.scale == "metric"
    assert np.abs(found.depth / depth - 1).max() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_noise_and_a_door_are_borne(room: RoomLayout, seed: int) -> None:
    """A network that errs by 5 %, furniture before 30 % and a door to another room: the median error is within 5 %."""
    depth = furnished(true_z(room), 0.3, seed)
    depth[:, 40:70] *= 1.8
    noise = np.random.default_rng(seed).normal(0, 0.05, depth.shape)
    found = answered((1 / depth * (1 + noise) - 0.05) / 0.01, room)
    assert found.scale == "metric"
    assert np.median(np.abs(found.depth / depth - 1)) < 0.05


def test_the_part_of_a_room_that_the_camera_sees_is_enough(room: RoomLayout) -> None:
    """A layout of the visible part, closed at the camera, aligns the camera's own depth as the whole room does."""
    camera = dataclasses.replace(CAMERA, pitch_rad=0.0)
    part = exact_layout(BOX, visible=visible_mask(camera, 640, 480, 512, 256).any(axis=0))
    assert part.extent == "visible"
    depth = furnished(true_z(room, camera), 0.4, 0)
    found = answered((1 / depth - 0.05) / 0.1, part, camera)
    assert found.scale == "metric"
    assert np.abs(found.depth / depth - 1).max() < 0.05


def floor_only(camera: CameraModel) -> RoomLayout:
    """What post-processing makes of the exact boundary where a camera sees the floor's edge and no ceiling."""
    mask = visible_mask(camera, 640, 480, 512, 256)
    up, down = boundary_latitudes(BOX, longitudes(512), 1.6, 2.7)
    seen = np.stack([np.zeros(512, np.bool_), mask.any(axis=0)])
    found = layout_from_boundary(
        up, down, np.full(512, 0.01), visible=mask.any(axis=0), edges_seen=seen, camera_height_m=1.6
    )
    assert found.confidence <= 0.5
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrong", [0.7, 1.4])
def test_the_floors_edge_alone_puts_a_furnished_view_into_metres(room: RoomLayout, wrong: float, seed: int) -> None:
    """A camera that looks down, sees no ceiling and has furniture before half of its view gets its scale to 5 %."""
    camera = dataclasses.replace(CAMERA, pitch_rad=-0.45)
    depth = furnished(true_z(room, camera), 0.5, seed)
    reader = DepthReader(manifest({"kind": "depth_metres", "depth": "d"}), camera, smoothing_s=0)
    reader.prepare(np.zeros((480, 640, 3), np.uint8))
    found = reader.read({"d": (depth * wrong).astype(np.float32)[None, None]}, 0.0, floor_only(camera))
    assert found.aligned_to_layout == pytest.approx(1 / wrong, rel=0.05)
    assert np.abs(found.depth / depth - 1).max() < 0.05


def test_depth_of_another_shape_than_the_room_is_left_alone(room: RoomLayout) -> None:
    """Where less than a third of a view lies on the shell, whatever the factor, the network's own metres stay."""
    camera = dataclasses.replace(CAMERA, pitch_rad=-0.45)
    reader = DepthReader(manifest({"kind": "depth_metres", "depth": "d"}), camera, smoothing_s=0)
    reader.prepare(np.zeros((480, 640, 3), np.uint8))
    other = np.random.default_rng(0).uniform(0.5, 5.0, (192, 256)).astype(np.float32)
    found = reader.read({"d": other[None, None]}, 0.0, floor_only(camera))
    assert found.aligned_to_layout is None
    assert np.array_equal(found.depth, other)


def test_what_is_published_of_the_factor(room: RoomLayout) -> None:
    """The factor is the metres of the relative unit: the depth of the picture's median inverse depth."""
    depth = true_z(room)
    found = answered(1 / depth * 20 + 1, room)
    assert found.aligned_to_layout == pytest.approx(np.median(depth), rel=0.01)


@pytest.mark.parametrize(
    "layout",
    [
        None,
        exact_layout(BOX, camera=None),
        dataclasses.replace(exact_layout(BOX), floor_rad=UNSEEN, ceiling_rad=UNSEEN),
    ],
    ids=["none", "relative", "guessed"],
)
def test_only_a_metric_and_seen_room_gives_metres(room: RoomLayout, layout: RoomLayout | None) -> None:
    """Without a room, with one of unknown scale, or one of which no edge is seen, depth is relative, without factor."""
    found = answered(1 / true_z(room), layout)
    assert (found.scale, found.aligned_to_layout) == ("relative", None)


def test_answers_that_do_not_fit_the_room_stay_relative(room: RoomLayout) -> None:
    """Noise, a constant, depth instead of inverse depth, and NaN are not called metres."""
    depth = true_z(room)
    draw = np.random.default_rng(0)
    unfit = [draw.uniform(0, 1, depth.shape), np.ones_like(depth), depth, np.full_like(depth, np.nan)]
    assert {answered(inverse, room).scale for inverse in unfit} == {"relative"}


@pytest.mark.parametrize("columns", [38, 46])
def test_of_two_lines_the_one_with_less_behind_the_walls_is_taken(room: RoomLayout, columns: int) -> None:
    """Furniture that lies on a line of its own, before 60 or 70 % of the view, is not taken for the shell."""
    shell = 1 / true_z(room)
    covered = np.random.default_rng(0).permutation(64) < columns
    before = np.repeat(covered, WH[0] // 64) & (shell < 0.85 * shell.max())
    inverse = np.where(before, shell.max() - 0.75 * (shell.max() - shell), shell)
    found = answered(inverse, room)
    assert found.scale == "metric"
    assert np.abs(found.depth * shell - 1)[~before].max() < 0.05


@pytest.mark.parametrize(("noise", "scale"), [(0.0, "metric"), (0.025, "metric"), (0.035, "relative")])
def test_a_fit_that_leaves_a_tenth_unexplained_is_chance(room: RoomLayout, noise: float, scale: str) -> None:
    """Metres are claimed only if nine tenths of the variance of the shell's inverse depth are explained."""
    camera = dataclasses.replace(CAMERA, hfov_rad=0.5, yaw_rad=0.6, pitch_rad=0.0)
    shell = 1 / true_z(room, camera)
    cells = np.random.default_rng(0).normal(0, noise, (WH[1] // 4, WH[0] // 4))
    found = answered(shell * (1 + np.kron(cells, np.ones((4, 4)))), room, camera)
    assert found.scale == scale


def test_a_bare_wall_does_not_say_the_shift(room: RoomLayout) -> None:
    """A narrow view of one wall, at one depth, leaves the shift open: relative."""
    camera = dataclasses.replace(CAMERA, hfov_rad=0.5, yaw_rad=0.0, pitch_rad=0.0)
    assert answered(1 / true_z(room, camera), room, camera).scale == "relative"


def test_the_infinite_is_at_the_far_end(room: RoomLayout) -> None:
    """Inverse depth that is zero or negative once aligned, as through a window, is clipped to the farthest depth."""
    inverse = 1 / true_z(room)
    inverse[60:100, 100:150] = -0.05
    found = answered(inverse, room)
    assert found.scale == "metric"
    assert np.all(found.depth[61:99, 101:149] == np.float32(RANGE_M[1]))


@pytest.mark.parametrize("mounted_deg", [(0.0, 0.0, 0.0), (70.0, -15.0, 8.0)])
def test_every_view_of_a_panorama_is_aligned_for_itself(
    room: RoomLayout, mounted_deg: tuple[float, float, float]
) -> None:
    """Six views, each with a scale and a shift of its own, fuse to the room in metres, however it is mounted."""
    turn = np.deg2rad(mounted_deg)
    camera = CameraModel("equirectangular", camera_height_m=1.6, yaw_rad=turn[0], pitch_rad=turn[1], roll_rad=turn[2])
    reader = DepthReader(manifest(INVERSE), camera, smoothing_s=0)
    reader.prepare(np.zeros((512, 1024, 3), np.uint8))
    views = TangentViews(WH, (1024, 512))
    own = rotation_room_camera(*turn) @ rotation_room_camera().T
    depths = true_views(room, views, [1.0] * 6, own)
    pairs = [(1.0, 0.0), (20.0, -0.1), (0.01, 0.1), (3.0, 0.05), (2.0, 0.02), (0.5, 0.0)]
    inverse = np.stack([(1 / z - b) / a for z, (a, b) in zip(depths, pairs, strict=True)]).astype(np.float32)
    found = reader.read({"d": inverse}, 0.0, room)
    assert (found.scale, found.kind) == ("metric", "range")
    error = np.abs(found.depth / shell_range(room, rays(*FUSED_WH) @ own.T) - 1)
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.95) < 0.05


def test_a_view_that_does_not_fit_leaves_the_panorama_relative(room: RoomLayout) -> None:
    """Metres are claimed of the whole map only if each of its views has them."""
    reader = DepthReader(manifest(INVERSE), CameraModel("equirectangular"), smoothing_s=0)
    reader.prepare(np.zeros((512, 1024, 3), np.uint8))
    inverse = np.stack([1 / z for z in true_views(room, TangentViews(WH, (1024, 512)), [1.0] * 6)])
    inverse[2] = np.linspace(0.1, 1, WH[0])
    assert reader.read({"d": inverse.astype(np.float32)}, 0.0, room).scale == "relative"


@pytest.mark.parametrize("projection", ["perspective", "equirectangular"])
def test_relative_networks_on_the_canvas(room: RoomLayout, projection: Projection) -> None:
    """Inverse range of the canvas is aligned where the camera sees, and read as z or range in metres."""
    camera = dataclasses.replace(CAMERA, projection=projection)
    model = canvas_manifest().model_copy(update={"output": manifest(INVERSE).output})
    reader = DepthReader(model, camera, smoothing_s=0)
    reader.prepare(np.zeros((480, 640 if projection == "perspective" else 960, 3), np.uint8))
    inverse = ((1 / shell_range(room, rays(512, 256)) - 0.02) / 5).astype(np.float32)
    same = DepthReader(canvas_manifest(), camera, smoothing_s=0)
    same.prepare(np.zeros((480, 640 if projection == "perspective" else 960, 3), np.uint8))
    exact = same.read({"depth": shell_range(room, rays(512, 256)).astype(np.float32)[None, None]}, 0.0)
    found = reader.read({"d": inverse[None]}, 0.0, room)
    assert (found.scale, found.kind) == ("metric", exact.kind)
    assert np.quantile(np.abs(found.depth / exact.depth - 1), 0.99) < 0.01


def test_the_past_does_not_mix_with_another_unit(room: RoomLayout) -> None:
    """When a room becomes known, smoothing starts anew: no relative value leaks into the metres."""
    reader = DepthReader(manifest(INVERSE), CAMERA, smoothing_s=10.0)
    reader.prepare(np.zeros((480, 640, 3), np.uint8))
    depth = true_z(room)
    answer = {"d": (1 / depth).astype(np.float32)[None]}
    assert reader.read(answer, 0.0).scale == "relative"
    assert np.abs(reader.read(answer, 0.1, room).depth / depth - 1).max() < 0.01


def test_an_onnx_of_inverse_depth_serves_by_its_manifest(room: RoomLayout, tmp_path: Path) -> None:
    """Picture -> tensor -> ONNX Runtime -> reader: a file that answers inverse depth gives metres with a room."""
    depth = true_z(room)
    constant = numpy_helper.from_array(((1 / depth - 0.03) / 7).astype(np.float32)[None], "answer")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "answer"], ["d"]),
        ],
        "inverse",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 192, 256])],
        [helper.make_tensor_value_info("d", TensorProto.FLOAT, [1, 192, 256])],
        [constant, numpy_helper.from_array(np.float32(0), "zero")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    model: Manifest = manifest(INVERSE)
    model = model.model_copy(update={"onnx": model.onnx.model_copy(update={"sha256": sha256})})
    reader = DepthReader(model, CAMERA, smoothing_s=0.5)
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    with OrtBackend(path, model, threads=1) as backend:
        found = reader.read(backend.run(reader.prepare(picture)), 0.0, room)
        unknown = reader.read(backend.run(reader.prepare(picture)), 1.0)
    assert found.scale == "metric"
    assert np.abs(found.depth / depth - 1).max() < 0.01
    assert unknown.scale == "relative"
