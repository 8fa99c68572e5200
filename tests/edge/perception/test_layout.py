"""Layout post-processing: exact boundaries must give exact rooms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import GeometryError
from edge.geometry import polygon as floor
from edge.geometry.panorama import longitudes
from edge.inference.manifest import FileRef, HorizonDepth, InputSpec, Manifest, Provenance
from edge.perception.layout import FitChoice, LayoutReader, layout_from_boundary
from edge.scene import BoolArray, CameraModel, RoomLayout

Array = npt.NDArray[np.float64]
BOX = np.array([[2, 3], [-2, 3], [-2, -1.5], [2, -1.5]], float)
TRAPEZIUM = np.array([[2, 3], [-1, 3], [-2.5, -1.5], [2, -1.5]], float)
L_SHAPE = np.array([[3, 3], [-0.8, 3], [-0.8, 1.2], [-2, 1.2], [-2, -2], [3, -2]], float)
WIDTH = 512


def turned(p: Array, angle: float) -> Array:
    """The polygon rotated about the camera."""
    c, s = np.cos(angle), np.sin(angle)
    return p @ np.array([[c, s], [-s, c]])


def exact_layout(
    p: Array,
    *,
    camera: float | None = 1.6,
    ceiling: float = 2.7,
    fit: FitChoice = "auto",
    visible: BoolArray | None = None,
) -> RoomLayout:
    """What post-processing makes of the analytic boundary and corners of a prism room."""
    up, down = floor.boundary_latitudes(p, longitudes(WIDTH), 1.6, ceiling)
    column = (np.arctan2(p[:, 0], p[:, 1]) / (2 * np.pi) + 0.5) * WIDTH - 0.5
    away = np.abs(np.arange(WIDTH)[:, None] - column)
    corners = (0.96 ** np.minimum(away, WIDTH - away)).max(axis=1)
    return layout_from_boundary(up, down, corners, camera_height_m=camera, fit=fit, visible=visible)


@given(angle=st.floats(-np.pi, np.pi))
def test_box_room_has_its_exact_size(angle: float) -> None:
    """The analytic box gives back its area, height and volume, however it is turned."""
    room = exact_layout(turned(BOX, angle))
    assert (room.fit, room.extent, room.scale) == ("manhattan", "room", "metric")
    assert len(room.polygon_m) == 4
    assert room.area_m2 == pytest.approx(18, rel=1e-3)
    assert room.ceiling_height_m == pytest.approx(2.7, rel=1e-6)
    assert room.volume_m3 == pytest.approx(18 * 2.7, rel=1e-3)
    assert room.confidence == pytest.approx(1)


@given(angle=st.floats(-np.pi, np.pi))
def test_l_shaped_room(angle: float) -> None:
    """A visible L keeps its six corners and its area."""
    room = exact_layout(turned(L_SHAPE, angle))
    assert len(room.polygon_m) == 6
    assert floor.iou(room.polygon_m, turned(L_SHAPE, angle)) > 0.98


def test_manhattan_is_not_forced_on_a_slanted_wall() -> None:
    """A trapezium keeps its slanted wall under `auto`, and the reason says why Manhattan was refused."""
    room = exact_layout(TRAPEZIUM)
    assert room.fit == "general"
    assert "manhattan refused" in room.fit_reason
    assert room.area_m2 == pytest.approx(floor.area_m2(TRAPEZIUM), rel=1e-3)


def test_raw_follows_the_boundary() -> None:
    """Without fitting, the outline is the boundary itself."""
    room = exact_layout(L_SHAPE, fit="raw")
    assert room.fit == "raw"
    assert room.area_m2 == pytest.approx(floor.area_m2(L_SHAPE), rel=0.02)


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.2))
def test_any_boundary_gives_a_simple_polygon_round_the_camera(seed: int, noise: float) -> None:
    """However wrong the network is, what is published is a simple counter-clockwise polygon that holds the camera."""
    rng = np.random.default_rng(seed)
    up = rng.uniform(0.1, 1.0) + rng.normal(0, noise, WIDTH)
    down = -rng.uniform(0.1, 1.0) + rng.normal(0, noise, WIDTH)
    room = layout_from_boundary(up, down, rng.random(WIDTH) ** 4, camera_height_m=1.5)
    assert floor.is_simple(room.polygon_m)
    assert floor.signed_area_m2(room.polygon_m) > 0
    assert floor.contains(room.polygon_m)


@pytest.mark.parametrize(("first", "last"), [(200, 310), (450, 552), (0, 90)])
def test_a_narrow_view_is_closed_at_the_camera(first: int, last: int) -> None:
    """Only seen columns count: the outline is the exact wedge of the room in view; unseen columns are NaN."""
    visible = np.zeros(WIDTH, dtype=np.bool_)
    visible[np.arange(first, last) % WIDTH] = True
    room = exact_layout(BOX, visible=visible)
    assert room.extent == "visible"
    assert np.isnan(room.floor_rad[~visible]).all()
    assert (room.column_confidence[~visible] == 0).all()
    lon = (np.arange(first, last + 1) / WIDTH - 0.5) * 2 * np.pi
    r = floor.wall_distances(BOX, lon)
    wedge = np.vstack([[0, 0], np.stack([r * np.sin(lon), r * np.cos(lon)], -1)])
    assert floor.iou(room.polygon_m, wedge) > 0.97


def test_unknown_camera_height_is_relative() -> None:
    """Without a height nothing is in metres: lengths are in camera heights and the value says so."""
    room = exact_layout(BOX, camera=None)
    assert room.scale == "relative"
    assert room.area_m2 == pytest.approx(18 / 1.6**2, rel=1e-3)


def test_too_narrow_a_view_is_refused() -> None:
    """Seven columns make no room."""
    visible = np.zeros(WIDTH, dtype=np.bool_)
    visible[:7] = True
    with pytest.raises(GeometryError, match="too narrow"):
        exact_layout(BOX, visible=visible)


def test_disagreeing_edges_lower_the_confidence() -> None:
    """Where floor and ceiling edges say different distances, that column is trusted less."""
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    down[100:140] *= 0.6
    room = layout_from_boundary(up, down, np.zeros(WIDTH), camera_height_m=1.6)
    assert room.column_confidence[100:140].max() < 0.5 < room.column_confidence[:100].min()


def test_confidence_falls_to_1_over_e_at_a_spread_of_0_15() -> None:
    """A column whose edges say distances that differ by a factor e^0.15 is trusted 1/e; others wholly."""
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    down[100:140] = np.arctan(np.tan(down[100:140]) * np.exp(0.15))
    found = layout_from_boundary(up, down, np.zeros(WIDTH), camera_height_m=1.6).column_confidence
    assert found[100:140] == pytest.approx(np.exp(-1), rel=1e-5)
    assert np.delete(found, np.s_[100:140]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("fit", ["manhattan", "general"])
@pytest.mark.parametrize("false", ["floor", "ceiling"])
def test_walls_stand_where_their_edges_agree(fit: FitChoice, false: str) -> None:
    """A wall of which most columns see floor and ceiling disagree is fitted to the few that agree."""
    lon = longitudes(WIDTH)
    up, down = floor.boundary_latitudes(BOX, lon, 1.6, 2.7)
    front = np.abs(lon) < np.deg2rad(19)
    edge = up if false == "ceiling" else down
    edge[front] = np.arctan(np.tan(edge[front]) / 0.75)
    column = (np.arctan2(BOX[:, 0], BOX[:, 1]) / (2 * np.pi) + 0.5) * WIDTH - 0.5
    away = np.abs(np.arange(WIDTH)[:, None] - column)
    corners = (0.96 ** np.minimum(away, WIDTH - away)).max(axis=1)
    room = layout_from_boundary(up, down, corners, camera_height_m=1.6, fit=fit)
    assert room.fit == fit
    assert floor.iou(room.polygon_m, BOX) > 0.98


def test_an_edge_outside_the_picture_is_not_published() -> None:
    """A level camera of 60 degrees vertical field sees no floor nearer than 1.6 / tan(30): those edges are null."""
    visible = np.zeros(WIDTH, dtype=np.bool_)
    visible[180:330] = True
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    limit = np.deg2rad(27)
    seen = np.stack([up < limit, -down < limit])
    room = layout_from_boundary(up, down, np.zeros(WIDTH), visible=visible, edges_seen=seen, camera_height_m=1.6)
    assert np.isfinite(room.ceiling_rad[visible & seen[0]]).all()
    assert np.isnan(room.floor_rad[visible & ~seen[1]]).all()
    assert (room.column_confidence[visible & ~seen[1]] <= 0.5).all()
    assert room.ceiling_height_m == pytest.approx(2.7, rel=1e-5)


def test_a_guessed_edge_does_not_move_the_walls() -> None:
    """Where only the floor's edge is in view, a wrong ceiling there changes nothing but the height's basis."""
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    seen = np.ones((2, WIDTH), dtype=np.bool_)
    seen[0, 100:200] = False
    wrong = up.copy()
    wrong[100:200] *= 0.5
    corners = np.zeros(WIDTH)
    exact = layout_from_boundary(up, down, corners, camera_height_m=1.6, fit="raw")
    guessed = layout_from_boundary(wrong, down, corners, edges_seen=seen, camera_height_m=1.6, fit="raw")
    assert floor.iou(exact.polygon_m, guessed.polygon_m) > 0.999
    assert guessed.ceiling_height_m == pytest.approx(2.7, rel=1e-6)


def test_a_height_that_nobody_saw_is_called_a_guess() -> None:
    """With the ceiling out of view everywhere the reason says so, and the confidence is at most a half."""
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    seen = np.stack([np.zeros(WIDTH, dtype=np.bool_), np.ones(WIDTH, dtype=np.bool_)])
    room = layout_from_boundary(up, down, np.zeros(WIDTH), edges_seen=seen, camera_height_m=1.6)
    assert "guess" in room.fit_reason
    assert room.confidence <= 0.5


@pytest.mark.parametrize(("columns", "guess"), [(7, True), (8, False)])
def test_a_height_that_eight_columns_saw_is_no_guess(columns: int, guess: bool) -> None:
    """From eight columns on in which both edges are in view the height is measured, and they alone say it."""
    up, down = floor.boundary_latitudes(BOX, longitudes(WIDTH), 1.6, 2.7)
    seen = np.stack([np.arange(WIDTH) < columns, np.ones(WIDTH, dtype=np.bool_)])
    up[columns:] *= 0.7
    room = layout_from_boundary(up, down, np.zeros(WIDTH), edges_seen=seen, camera_height_m=1.6)
    assert ("guess" in room.fit_reason) == guess
    assert (room.ceiling_height_m == pytest.approx(2.7, rel=1e-6)) != guess


def _distance_reader(camera: CameraModel, columns: int) -> LayoutReader:
    manifest = Manifest(
        name="other",
        version="1",
        task="layout",
        onnx=FileRef(file="model.onnx", sha256="0" * 64),
        input=InputSpec(name="x", width_px=4 * columns, height_px=2 * columns, projection="equirectangular"),
        output=HorizonDepth(kind="horizon_depth", distance="depth", ratio="ratio"),
        provenance=Provenance(recipe="https://example.org", created="2026-01-01", licence="MIT"),
    )
    reader = LayoutReader(manifest, camera, smoothing_s=0.0, fit="auto")
    reader.prepare(np.zeros((2 * columns, 4 * columns, 3), np.uint8))
    return reader


@pytest.mark.parametrize("shape", [(1, 256), (1, 1, 256)])
@pytest.mark.parametrize(("room", "corners"), [(BOX, 4), (L_SHAPE, 6)])
@pytest.mark.parametrize("angle", [0.0, 0.3, 1.1, 2.5])
def test_distances_of_a_room_give_the_room(room: Array, corners: int, angle: float, shape: tuple[int, ...]) -> None:
    """The exact distance of each column's wall, and the ceiling's height, decode to the exact polygon in metres."""
    plan = turned(room, angle)
    outputs = {
        "depth": (floor.wall_distances(plan, longitudes(256)) / 1.6).astype(np.float32).reshape(shape),
        "ratio": np.array([[1.1 / 1.6]], np.float32),
    }
    camera = CameraModel("equirectangular", camera_height_m=1.6)
    found = _distance_reader(camera, 256).read(outputs, 0.0)
    assert (found.fit, len(found.polygon_m)) == ("manhattan", corners)
    assert floor.iou(found.polygon_m, plan) > (0.999 if corners == 4 else 0.98)
    assert found.ceiling_height_m == pytest.approx(2.7, rel=1e-4)


def test_distances_of_slanted_walls_are_kept() -> None:
    """A trapezium given by its distances keeps its four corners, one of them oblique."""
    outputs = {
        "depth": (floor.wall_distances(TRAPEZIUM, longitudes(256)) / 1.6).astype(np.float32)[None],
        "ratio": np.array([[0.7]], np.float32),
    }
    camera = CameraModel("equirectangular", camera_height_m=1.6)
    found = _distance_reader(camera, 256).read(outputs, 0.0)
    assert (found.fit, len(found.polygon_m)) == ("general", 4)
    assert floor.iou(found.polygon_m, TRAPEZIUM) > 0.999


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.5))
def test_any_distances_give_a_simple_polygon(seed: int, noise: float) -> None:
    """However wrong a network's distances are, also 0 or below, what is published is a simple polygon."""
    rng = np.random.default_rng(seed)
    distance = (rng.uniform(0.2, 3.0) + rng.normal(0, noise, (1, 256))).astype(np.float32)
    outputs = {"depth": distance, "ratio": np.array([[rng.normal(0.5, 0.5)]], np.float32)}
    camera = CameraModel("equirectangular", camera_height_m=1.6)
    found = _distance_reader(camera, 256).read(outputs, 0.0)
    assert floor.is_simple(found.polygon_m)
    assert floor.contains(found.polygon_m)
