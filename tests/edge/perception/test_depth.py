"""Depth readers: focal length, tangent views and alignment to the room."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import GeometryError
from edge.geometry.mask import covered
from edge.geometry.panorama import rays
from edge.geometry.pinhole import intrinsics_from_fov, rays_from_pixels
from edge.geometry.rigid import LEVEL_FORWARD, rotation_room_camera
from edge.inference.manifest import InputSpec, Manifest
from edge.perception.alignment import align_to_layout, shell_range
from edge.perception.depth import DepthReader
from edge.perception.tangent_views import FUSED_WH, TangentViews
from edge.scene import CameraModel, DepthMap, Outline, Projection, RoomLayout
from tests.edge.perception.test_layout import BOX, exact_layout

VIEWS_DEG = [(0, 0), (90, 0), (180, 0), (-90, 0), (0, 90), (0, -90)]


def manifest(output: dict[str, object]) -> Manifest:
    """A depth manifest for a 256x192 perspective network."""
    sha = "0" * 64
    return Manifest.model_validate({
        "schema": "edge.manifest/1", "name": "depth", "version": "1", "task": "depth",
        "onnx": {"file": "model.onnx", "sha256": sha},
        "input": {"name": "image", "width_px": 256, "height_px": 192, "projection": "perspective"},
        "output": output,
        "provenance": {"recipe": "test", "created": "2026-01-01", "licence": "Apache-2.0"},
    })  # fmt: skip


METRES = {"kind": "depth_metres", "depth": "depth", "canonical_focal_px": 200.0}


@pytest.fixture(scope="module")
def room() -> RoomLayout:
    """The analytic 4 x 4.5 m box seen from 1.6 m."""
    return exact_layout(BOX)


def true_views(
    room: RoomLayout, views: TangentViews, scales: list[float], mounted: npt.ArrayLike | None = None
) -> list[npt.NDArray[np.float32]]:
    """Exact z-depth of the room in each view, each times a wrong scale; `mounted` turns the camera."""
    camera = rays_from_pixels(views.intrinsics)
    per_z = np.linalg.norm(camera, axis=-1)
    out = []
    for (yaw, pitch), scale in zip(VIEWS_DEG, scales, strict=True):
        turn = rotation_room_camera(np.deg2rad(yaw), np.deg2rad(pitch))
        if mounted is not None:
            turn = np.asarray(mounted) @ turn
        directions = camera / per_z[..., None] @ turn.T
        out.append((shell_range(room, directions) / per_z * scale).astype(np.float32))
    return out


def test_views_cut_what_they_look_at() -> None:
    """A panorama whose colour is its direction gives, in every view, the direction of the view's own rays."""
    views = TangentViews((256, 192), (1024, 512))
    picture = np.round(rays(1024, 512) * 127 + 128).astype(np.uint8)
    camera = rays_from_pixels(views.intrinsics)
    camera /= np.linalg.norm(camera, axis=-1, keepdims=True)
    for cut, (yaw, pitch) in zip(views.cut(picture), VIEWS_DEG, strict=True):
        expected = camera @ rotation_room_camera(np.deg2rad(yaw), np.deg2rad(pitch)).T * 127 + 128
        assert np.abs(cut - expected).max() < 2.5


def test_fusion_restores_the_room_from_views_of_different_scale(room: RoomLayout) -> None:
    """Views that disagree by up to 30 % in scale fuse to the room's shape; one global factor is all that is lost."""
    views = TangentViews((256, 192), (1024, 512))
    fused = views.fuse(true_views(room, views, [1.0, 1.2, 0.9, 1.0, 1.0, 1.1]))
    ratio = fused / shell_range(room, rays(*FUSED_WH))
    assert np.isfinite(fused).all()
    assert np.abs(np.log(ratio / np.median(ratio))).max() < 0.02


def test_longer_lens_means_proportionally_farther() -> None:
    """The same network output is twice as far through a lens of twice the focal length (canonical camera)."""
    reader = [
        DepthReader(manifest(METRES), CameraModel("perspective", hfov_rad=2 * np.arctan(t)), smoothing_s=0)
        for t in (1.0, 0.5)
    ]
    image = np.zeros((192, 256, 3), np.uint8)
    maps = []
    for r in reader:
        r.prepare(image)
        maps.append(r.read({"depth": np.full((1, 1, 96, 128), 2.0, np.float32)}, 0.0).depth)
    assert maps[0] == pytest.approx(np.full((96, 128), 2.0 * 128 / 200.0))
    assert maps[1] == pytest.approx(2 * maps[0])


@pytest.mark.parametrize("wrong", [0.5, 1.7])
def test_alignment_recovers_the_metric_scale(room: RoomLayout, wrong: float) -> None:
    """A range map off by a factor is put right by the room's known size."""
    directions = rays(128, 64)
    true = shell_range(room, directions).astype(np.float32)
    aligned = align_to_layout(DepthMap(true * np.float32(wrong), "range", "metric"), room, directions, 1.0)
    assert aligned.depth == pytest.approx(true, rel=1e-3)
    assert aligned.aligned_to_layout == pytest.approx(1 / wrong, rel=1e-3)


def test_alignment_needs_a_metric_room() -> None:
    """A room of unknown scale says nothing about metres."""
    directions = rays(128, 64)
    depth = DepthMap(np.ones((64, 128), np.float32), "range", "metric")
    assert align_to_layout(depth, exact_layout(BOX, camera=None), directions, 1.0) is depth


def test_relative_depth_is_never_called_metric() -> None:
    """Inverse depth of unknown scale stays `relative`, nearer where the network says larger."""
    reader = DepthReader(
        manifest({"kind": "inverse_depth_relative", "inverse_depth": "d"}),
        CameraModel("perspective", hfov_rad=1.2),
        smoothing_s=0,
    )
    reader.prepare(np.zeros((192, 256, 3), np.uint8))
    inverse = np.linspace(1, 3, 256 * 192, dtype=np.float32).reshape(1, 192, 256)
    found = reader.read({"d": inverse}, 0.0, exact_layout(BOX))
    assert found.scale == "relative"
    assert (np.diff(found.depth.reshape(-1)) < 0).all()


def test_shell_range_straight_ahead_down_and_up(room: RoomLayout) -> None:
    """Wall ahead 3 m, floor below 1.6 m, ceiling above 1.1 m."""
    directions = np.array([[0.0, 1, 0], [0, 0, -1], [0, 0, 1]])
    assert shell_range(room, directions) == pytest.approx([3.0, 1.6, 1.1], rel=1e-3)


@pytest.mark.parametrize("size", [(256, 192), (224, 224), (640, 360)])
def test_views_of_any_usual_shape_cover_the_sphere(room: RoomLayout, size: tuple[int, int]) -> None:
    """Square, 4:3 and 16:9 networks leave no hole in the fused map, and nothing beyond what is published."""
    views = TangentViews(size, (512, 256))
    fused = views.fuse([np.full((size[1], size[0]), 60.0, np.float32)] * len(views))
    assert np.isfinite(fused).all()
    assert fused.max() <= 65.0


def test_a_network_too_wide_for_panoramas_is_refused() -> None:
    """A 4:1 strip cannot look up and down."""
    with pytest.raises(GeometryError, match="too wide"):
        TangentViews((800, 200), (512, 256))


def test_a_picture_that_is_no_panorama_is_refused_every_time() -> None:
    """The second 4:3 frame of a camera called a panorama fails like the first, with the same remedy."""
    reader = DepthReader(manifest(METRES), CameraModel("equirectangular"), smoothing_s=0)
    for _ in range(2):
        with pytest.raises(GeometryError, match="twice as wide"):
            reader.prepare(np.zeros((480, 640, 3), np.uint8))


def canvas_manifest() -> Manifest:
    """A manifest of a network that gives range on the panorama canvas."""
    spec = {"name": "image", "width_px": 512, "height_px": 256, "projection": "equirectangular", "mask_channel": True}
    return manifest({"kind": "depth_metres", "depth": "depth"}).model_copy(
        update={"input": InputSpec.model_validate(spec)}
    )


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (70, -20, 8)])
@pytest.mark.parametrize("projection", ["perspective", "equirectangular"])
def test_a_range_map_of_the_canvas_serves_every_camera(
    room: RoomLayout, projection: Projection, yaw: float, pitch: float, roll: float
) -> None:
    """From the exact range of the level canvas, a camera mounted anyhow gets its own exact depth: z, or range."""
    camera = CameraModel(
        projection, hfov_rad=1.3, yaw_rad=np.deg2rad(yaw), pitch_rad=np.deg2rad(pitch), roll_rad=np.deg2rad(roll)
    )
    size = (1024, 512) if projection == "equirectangular" else (640, 480)
    reader = DepthReader(canvas_manifest(), camera, smoothing_s=0)
    reader.prepare(np.zeros((size[1], size[0], 3), np.uint8))
    exact = shell_range(room, rays(512, 256)).astype(np.float32)
    got = reader.read({"depth": exact[None, None]}, 0.0)
    turn = rotation_room_camera(np.deg2rad(yaw), np.deg2rad(pitch), np.deg2rad(roll))
    height, width = got.depth.shape
    if projection == "perspective":
        own = rays_from_pixels(intrinsics_from_fov(width, height, 1.3))
    else:
        own = rays(width, height) @ LEVEL_FORWARD
    length = np.linalg.norm(own, axis=-1)
    truth = shell_range(room, own / length[..., None] @ turn.T) / (length if projection == "perspective" else 1)
    assert (got.kind, got.scale) == ("z" if projection == "perspective" else "range", "metric")
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)
    error = np.abs(got.depth / truth - 1)
    assert np.quantile(error, 0.99) < 0.01
    assert error.max() < 0.05


@pytest.mark.parametrize("projection", ["perspective", "equirectangular"])
@pytest.mark.parametrize("canvas", [False, True])
def test_what_is_hidden_has_no_depth(room: RoomLayout, projection: Projection, canvas: bool) -> None:
    """Under a privacy mask depth is unknown, 0, in every kind of map; elsewhere it is what it is without."""
    outline = ((0.2, 0.1), (0.6, 0.2), (0.5, 0.8))
    size = (1024, 512) if projection == "equirectangular" else (640, 480)
    found = []
    masks: tuple[Outline, ...]
    for masks in ((), (outline,)):
        camera = CameraModel(projection, hfov_rad=1.3 if projection == "perspective" else None, masks=masks)
        spec = canvas_manifest() if canvas else manifest({"kind": "depth_metres", "depth": "depth"})
        reader = DepthReader(spec, camera)
        tensor = reader.prepare(np.zeros((size[1], size[0], 3), np.uint8))
        answer = np.random.default_rng(3).uniform(1, 5, (len(tensor), 1, *tensor.shape[-2:])).astype(np.float32)
        found.append(reader.read({"depth": answer}, 0.0, room).depth)
    plain, masked = found
    hidden = covered([outline], masked.shape[1], masked.shape[0])
    assert hidden.any()
    assert (masked[hidden] == 0).all()
    assert np.array_equal(masked[~hidden], plain[~hidden])
