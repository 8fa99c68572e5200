"""Rendered rooms: labels agree with pictures and with exact geometry; files resume, repeat and split as promised."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import DataError
from edge.geometry.harmonics import irradiance_over_pi, project_panorama
from edge.geometry.panorama import rays, solid_angles
from edge.geometry.polygon import boundary_latitudes, wall_distances
from edge.geometry.rigid import rotation_room_camera
from training.data.synthetic import RenderedRooms, contact_sheet, render_clip, split_of, synthesize
from training.data.synthetic.assets import Catalog
from training.data.synthetic.description import Piece, Room
from training.data.synthetic.rendered import render_room, visible_corners
from training.data.synthetic.rooms import describe
from training.data.synthetic.shards import write_part
from training.data.synthetic.stage import build
from training.data.synthetic.tracer import Tracer

SIZE, VIEW = (64, 32), (32, 24)
BOX = np.array([[-2, -1.5], [2, -1.5], [2, 3], [-2, 3]])
ELL = np.array([[-1, -1], [4, -1], [4, 1], [1, 1], [1, 4], [-1, 4]])


@pytest.fixture(scope="module")
def tracer() -> Tracer:
    """One renderer for this module; skipped where Mitsuba or LLVM is missing."""
    pytest.importorskip("mitsuba")
    try:
        return Tracer(Catalog(), samples=4)
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(tracer: Tracer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny rooms made by two processes."""
    out = tmp_path_factory.mktemp("rooms")
    synthesize(out, 3, 9, 2, size_px=SIZE, samples=4, views=1, view_size_px=VIEW)
    return out


def _range(room: Room, origin: npt.NDArray[np.float64], directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance from a point to the bare prism along unit directions: the nearest of all planes met within bounds."""
    flat = directions.reshape(-1, 3)
    best = np.full(len(flat), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(flat[:, 2] > 0, (room.height_m - origin[2]) / flat[:, 2], -origin[2] / flat[:, 2])
        for a, b in zip(room.polygon, np.roll(room.polygon, -1, axis=0), strict=True):
            normal = np.array([b[1] - a[1], a[0] - b[0]])
            t = ((a - origin[:2]) @ normal) / (flat[:, :2] @ normal)
            along = ((origin[:2] + t[:, None] * flat[:, :2] - a) @ (b - a)) / ((b - a) @ (b - a))
            best = np.where((t > 0) & (along >= 0) & (along <= 1), np.minimum(best, t), best)
    return np.asarray(best.reshape(directions.shape[:-1]))


@pytest.mark.parametrize("index", [0, 1])
def test_bare_room_depth_is_analytic(tracer: Tracer, index: int) -> None:
    """Without furniture, range and z-depth are the distances to the prism's planes, to a millimetre."""
    room = describe(9, index, Catalog(), views=2)
    scene = tracer.scene(room, build(room, Catalog(), empty=True))
    panorama, views = tracer.room(scene, room, SIZE[0], VIEW)
    exact = _range(room, np.array([0, 0, room.camera_height_m]), rays(*SIZE))
    assert np.mean(np.abs(panorama.distance_m - exact) < 1e-3) > 0.995  # a ray through an edge may go to either side
    y, x = np.mgrid[0 : VIEW[1], 0 : VIEW[0]] + 0.5
    for view, shot in zip(room.views, views, strict=True):
        k = 2 * np.tan(view.hfov_rad / 2) / VIEW[0]
        camera = np.stack([(x - VIEW[0] / 2) * k, (y - VIEW[1] / 2) * k, np.ones_like(x)], axis=-1)
        norm = np.linalg.norm(camera, axis=-1, keepdims=True)
        turn = rotation_room_camera(view.yaw_rad, view.pitch_rad, view.roll_rad)
        exact = _range(room, np.array(view.position_m), camera / norm @ turn.T) / norm[..., 0]
        assert np.mean(np.abs(shot.distance_m - exact) < 1e-3) > 0.99


def test_boundary_is_where_walls_begin(tracer: Tracer) -> None:
    """In a bare room the pixel below the floor edge lies on the floor, the one above on a wall; so with the ceiling."""
    room = describe(9, 2, Catalog(), views=0)
    scene = tracer.scene(room, build(room, Catalog(), empty=True))
    item = render_room(tracer, room, Catalog(), SIZE, VIEW)
    distance = tracer.room(scene, room, SIZE[0], VIEW)[0].distance_m
    height = distance * rays(*SIZE)[..., 2] + room.camera_height_m
    top, bottom = (item["boundary_rad"] / np.pi + 0.5) * SIZE[1] - 0.5
    for column in range(SIZE[0]):
        assert height[int(np.ceil(bottom[column])), column] == pytest.approx(0, abs=2e-3)
        assert height[int(np.floor(bottom[column])), column] >= -2e-3
        assert height[int(np.floor(top[column])), column] == pytest.approx(room.height_m, abs=2e-3)
        assert height[int(np.ceil(top[column])), column] <= room.height_m + 2e-3


def test_openings_show_what_the_labels_say(tracer: Tracer) -> None:
    """Through openings of an unfurnished room the floor's last pixel lies on the edge labelled as extended."""
    room = next(r for i in range(40) if len((r := describe(9, i, Catalog(), views=0)).annexes) > 1)
    hung = [replace(o, leaf_deg=-1.0, curtain=None) if o.beyond >= 0 else o for o in room.openings]
    bare = replace(room, openings=tuple(hung), pieces=(), skirting_m=0.0, cornice_m=0.0,
                   annexes=tuple(replace(a, pieces=()) for a in room.annexes))  # fmt: skip
    item = render_room(tracer, bare, Catalog(), (256, 128), VIEW)
    lines = (item["extended_rad"] / np.pi + 0.5) * 128 - 0.5
    height = item["range_m"].astype(np.float64) * rays(256, 128)[..., 2] + room.camera_height_m
    columns = np.flatnonzero((item["extended_rad"] < item["boundary_rad"] - 0.01)[1])
    assert len(columns) > 5
    below = np.array([height[int(np.ceil(lines[1][c] + 0.5)), c] for c in columns])
    above = np.array([height[int(np.floor(lines[1][c] - 1.5)), c] for c in columns])
    assert np.mean(np.abs(below) < 0.02) > 0.9
    assert np.mean(above > 0.02) > 0.9


def test_range_at_corners_is_geometry(tracer: Tracer) -> None:
    """Labelled corners lie where Pythagoras has them, and a pixel there has the range of the wall, floor or ceiling."""
    width = 512
    room = describe(9, 2, Catalog(), views=0)
    panorama, _ = tracer.room(tracer.scene(room, build(room, Catalog(), empty=True)), room, width, VIEW)
    corners = visible_corners(room.polygon, room.camera_height_m, room.height_m, width)
    directions = rays(width, width // 2)
    lon, lat = np.arctan2(directions[..., 0], directions[..., 1]), np.arcsin(directions[..., 2])
    wall = wall_distances(room.polygon, lon[0])[None] / np.cos(lat)
    level = np.where(lat > 0, room.height_m - room.camera_height_m, -room.camera_height_m) / np.sin(lat)
    seen = 0
    for corner in room.polygon:
        own, at_rad = float(np.hypot(*corner)), float(np.arctan2(*corner))
        at = corners[np.abs(corners[:, 0] - (at_rad / (2 * np.pi) + 0.5) * width) < 0.01]
        for rise, y_px in ((room.height_m - room.camera_height_m, at[:, 1]), (-room.camera_height_m, at[:, 2])):
            if len(at) != 1:  # hidden, or before something further away
                continue
            assert y_px[0] == pytest.approx((0.5 - np.arctan2(rise, own) / np.pi) * (width // 2), abs=0.01)
            y, x = int(y_px[0]), int(at[0, 0]) % width
            assert panorama.distance_m[y, x] == pytest.approx(min(wall[y, x], level[y, x]), rel=2e-3)
            seen += 1
    assert seen >= 6


def test_furniture_only_comes_before_walls(tracer: Tracer) -> None:
    """Without openings nothing is seen beyond the labelled prism, and most of the picture shows the prism itself."""
    room = replace(describe(9, 4, Catalog(), views=0), openings=())
    assert len(room.pieces) > 5
    item = render_room(tracer, room, Catalog(), (128, 64), VIEW)
    exact = _range(room, np.array([0, 0, room.camera_height_m]), rays(128, 64))
    beyond = item["range_m"].astype(np.float64) / exact
    assert np.quantile(beyond, 0.998) < 1.002
    assert np.mean(beyond > 0.98) > 0.5


def test_sh_is_the_irradiance_of_the_panorama(folder: Path) -> None:
    """Its value at a normal is the cosine-weighted integral of the radiance, to what order 2 can carry."""
    item = RenderedRooms(folder)[0]
    radiance, directions, omega = item["radiance"].astype(np.float64), rays(*SIZE), solid_angles(*SIZE)
    assert np.allclose(item["sh"], project_panorama(radiance), rtol=2e-2, atol=2e-3 * np.abs(item["sh"]).max())
    normals = np.random.default_rng(0).normal(size=(40, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosine = np.maximum(np.einsum("hwc,nc->nhw", directions, normals), 0)
    exact = np.einsum("nhw,hw,hwc->nc", cosine, omega, radiance) / np.pi
    error = irradiance_over_pi(item["sh"], normals) - exact
    assert np.sqrt(np.mean(error**2)) < 0.08 * np.sqrt(np.mean(exact**2))


def test_corners_lie_on_the_boundary() -> None:
    """Corners of a box project where trigonometry says, and a hidden corner becomes two with one x."""
    corners = visible_corners(BOX, 1.5, 2.5, 512)
    assert len(corners) == 4
    assert np.all(np.diff(corners[:, 0]) > 0)
    up, down = boundary_latitudes(BOX, (corners[:, 0] / 512 - 0.5) * 2 * np.pi, 1.5, 2.5)
    assert np.allclose(corners[:, 1], (0.5 - up / np.pi) * 256, atol=0.02)
    assert np.allclose(corners[:, 2], (0.5 - down / np.pi) * 256, atol=0.02)
    moved = ELL - [3, 0]  # the camera in the right arm, where the reflex corner hides part of the far wall
    hidden = visible_corners(moved, 1.5, 2.5, 512)
    jumps = np.isclose(np.diff(hidden[:, 0]), 0, atol=1e-3)
    assert jumps.sum() == 1
    assert np.all(np.diff(hidden[:, 0]) >= -1e-3)


def test_exposure_links_picture_and_radiance(folder: Path) -> None:
    """The picture is the sRGB of exposure times radiance, clipped."""
    rooms = RenderedRooms(folder)
    for item in (rooms[i] for i in range(len(rooms))):
        linear = np.clip(item["radiance"].astype(np.float64) * item["exposure"], 0, 1)
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
        assert np.abs(srgb - item["panorama"]).max() < 1.5
        assert item["panorama"].std() > 5


def test_rooms_do_not_depend_on_workers(folder: Path, tracer: Tracer) -> None:
    """A room rendered alone here equals the one that two processes made among others."""
    alone = render_room(tracer, describe(9, 2, Catalog(), views=1), Catalog(), SIZE, VIEW)
    there = RenderedRooms(folder).read(2)
    for name in ("panorama", "radiance", "range_m", "sh", "corners_px", "view_image", "view_depth_m"):
        assert np.array_equal(alone[name], there[name]), name


def test_no_room_is_black(tracer: Tracer) -> None:
    """A room whose only lamp is shut into a box gets a lamp that lights it, the same each time; others stay."""
    room = describe(9, 0, Catalog(), views=1)
    lamp = Piece("panel_lamp", None, (0, 0, 0.2), (0.1, 0.1, 0.1), 0.0, (1, 1, 1), False, (20, 20, 20))
    lid = Piece("crate", None, (0, 0, 0.1), (0.4, 0.4, 0.5), 0.0, (0.5, 0.5, 0.5), False)
    dark = replace(room, openings=(), pieces=(lamp, lid))
    items = [render_room(tracer, dark, Catalog(), SIZE, VIEW) for _ in range(2)]
    assert np.median(items[0]["radiance"]) > 0.01
    assert np.array_equal(items[0]["panorama"], items[1]["panorama"])
    assert len(json.loads(items[0]["attributes"]["description"])["pieces"]) == 3
    lit = render_room(tracer, room, Catalog(), SIZE, VIEW)
    assert lit["attributes"]["description"] == room.to_json()


def test_interrupted_run_goes_on(folder: Path, tmp_path: Path, tracer: Tracer) -> None:
    """Finished rooms are kept as they are, a half-written file counts for nothing, only what is missing is rendered."""
    room = render_room(tracer, describe(9, 0, Catalog(), views=1), Catalog(), SIZE, VIEW)
    with h5py.File(folder / "rooms-00000.h5", "r") as file:
        about = dict(file.attrs)
    part = write_part(tmp_path, room, {**about, "mark": 7})
    (tmp_path / "part-000001.tmp77").write_bytes(b"half a room")
    counts: list[tuple[int, int]] = []
    shards = synthesize(
        tmp_path, 2, 9, 1, size_px=SIZE, samples=4, views=1, view_size_px=VIEW, progress=lambda *c: counts.append(c)
    )
    assert counts == [(1, 2), (2, 2)]
    assert [s.name for s in shards] == ["rooms-00000.h5"]
    assert not part.exists()
    ours, theirs = RenderedRooms(tmp_path), RenderedRooms(folder)
    for index in (0, 1):
        assert np.array_equal(ours.read(index)["radiance"], theirs.read(index)["radiance"])


def test_runs_do_not_mix(folder: Path, tmp_path: Path) -> None:
    """Another seed into the same folder, a crooked size, an empty folder and a broken shard are refused."""
    with pytest.raises(DataError, match="seed"):
        synthesize(folder, 4, 10, 1, size_px=SIZE, samples=4, views=1, view_size_px=VIEW)
    with pytest.raises(DataError, match="twice as wide"):
        synthesize(tmp_path, 1, size_px=(64, 64))
    with pytest.raises(DataError, match="synthesize"):
        RenderedRooms(tmp_path)
    (tmp_path / "rooms-00000.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="delete it"):
        RenderedRooms(tmp_path)


def test_a_damaged_room_is_named(folder: Path, tmp_path: Path) -> None:
    """A part cut short, as a full disk leaves it, is an error with the file and the remedy, not a trace of h5py."""
    polygon = RenderedRooms(folder).read(0, ("polygon_m",))["polygon_m"]
    path = write_part(tmp_path, {"polygon_m": polygon, "attributes": {"index": 0}}, {"seed": 9})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=rf"{path.name}.*synthesize again"):
        RenderedRooms(tmp_path).read(0)


def test_split_never_leaks() -> None:
    """Every room is in one part, the same however many rooms there are, in shares of about 80, 10 and 10 %."""
    parts = [split_of(i, 3) for i in range(3000)]
    share = {name: parts.count(name) / len(parts) for name in ("train", "val", "test")}
    assert sum(share.values()) == 1
    assert share["train"] == pytest.approx(0.8, abs=0.03)
    assert share["val"] == pytest.approx(0.1, abs=0.02)
    assert [split_of(i, 3) for i in range(50)] == parts[:50]
    assert parts != [split_of(i, 4) for i in range(3000)]


def test_split_parts_read_their_own_rooms(folder: Path) -> None:
    """The parts together hold each room once."""
    rooms = RenderedRooms(folder)
    parts = rooms.split(0)
    assert sorted(i for p in parts.values() for i in p.indices) == rooms.indices


def test_contact_sheet_is_written(folder: Path, tmp_path: Path) -> None:
    """A sheet of two rooms is a picture; asking past the end is an error."""
    assert contact_sheet(folder, tmp_path / "sheets" / "sheet.png", 2).stat().st_size > 1000
    with pytest.raises(DataError, match="only 3"):
        contact_sheet(folder, tmp_path / "sheet.png", 2, first=3)


@pytest.mark.parametrize("kind", ["panorama", "perspective"])
def test_clip_loops_with_its_lamps(kind: str, tmp_path: Path, tracer: Tracer) -> None:
    """Frames are pictures of the size asked, brightest at first, and camera.json says how they were taken."""
    import cv2

    size = (64, 32) if kind == "panorama" else (40, 30)
    render_clip(tmp_path, kind, 3, 4, size_px=size, samples=2)
    images = [np.asarray(cv2.imread(str(p))) for p in sorted(tmp_path.glob("frame-*.jpg"))]
    assert [i.shape for i in images] == [(size[1], size[0], 3)] * 4
    means = [float(i.mean()) for i in images]
    assert max(means) == means[0] > means[2]
    assert (tmp_path / "camera.json").stat().st_size > 50
    with pytest.raises(DataError, match="kind"):
        render_clip(tmp_path, "fisheye", 3)
