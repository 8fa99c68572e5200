"""Room descriptions: what holds of every room, whatever the seed."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
import shapely
import trimesh
from PIL import Image

from edge.errors import DataError
from edge.geometry.colour import encode_srgb
from edge.geometry.panorama import longitudes
from edge.geometry.polygon import area_m2, is_simple, signed_area_m2, wall_distances
from training.data.synthetic import synthesize
from training.data.synthetic.assets import (
    Catalog,
    model_parts,
    procedural,
    read_catalog,
    sky_window,
)
from training.data.synthetic.ceilings import floor_of
from training.data.synthetic.description import Room, View, behind, leaf_ends, rectangle, wall_frame
from training.data.synthetic.horizon import column_kinds, opening_segments
from training.data.synthetic.lamps import STANDING
from training.data.synthetic.looks import of_temperature
from training.data.synthetic.rooms import describe
from training.data.synthetic.tops import SEATS, TOPS, top_m

ASSETS = Path(__file__).parents[5] / "shared" / "assets"


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    """A hundred rooms made without assets."""
    return [describe(5, i, Catalog()) for i in range(100)]


def test_same_seed_same_room(rooms: list[Room]) -> None:
    """A room depends on the series' seed and its index, on nothing else."""
    assert describe(5, 42, Catalog()) == rooms[42]
    assert describe(6, 42, Catalog()) != rooms[42]
    assert len({room.seed for room in rooms}) == len(rooms)


def test_plans_are_rooms(rooms: list[Room]) -> None:
    """Plans are simple, counter-clockwise, 2.5 to 90 m2, 2.2 to 4 m high, and wide enough for a camera."""
    for room in rooms:
        assert is_simple(room.polygon)
        assert signed_area_m2(room.polygon) > 0
        assert 2.5 <= area_m2(room.polygon) <= 90
        assert 2.2 <= room.height_m <= 4.0
        assert not shapely.Polygon(room.polygon).buffer(-0.4).is_empty


def _is_manhattan(room: Room) -> bool:
    edges = np.roll(room.polygon, -1, axis=0) - room.polygon
    angles = np.degrees(np.arctan2(edges[:, 1], edges[:, 0]))
    return bool(np.all(np.abs((angles - angles[0] + 45) % 90 - 45) < 0.5))


def test_plans_are_of_many_kinds(rooms: list[Room]) -> None:
    """A fair share has slanted walls, reflex corners, ten or more corners; there are closets, halls and high rooms."""
    convex = [shapely.Polygon(r.polygon).convex_hull.area < 1.001 * area_m2(r.polygon) for r in rooms]
    assert 0.2 <= np.mean([not _is_manhattan(r) for r in rooms]) <= 0.5
    assert 0.45 <= np.mean(np.logical_not(convex)) <= 0.8
    assert np.mean([len(r.polygon) >= 10 for r in rooms]) >= 0.08
    areas = [area_m2(r.polygon) for r in rooms]
    assert min(areas) < 5
    assert max(areas) > 50
    assert np.mean([r.height_m > 3.2 for r in rooms]) >= 0.04
    assert any(all(any(w in p.kind for w in ("lamp", "bulb", "beam", "slope")) for p in r.pieces) for r in rooms)
    assert max(len(r.pieces) for r in rooms) > 35


def test_cameras_stand_free(rooms: list[Room]) -> None:
    """The panorama camera is 0.4 m off the walls and over no furniture; views are inside the room."""
    for room in rooms:
        outline = shapely.Polygon(room.polygon)
        assert outline.buffer(-0.395).contains(shapely.Point(0, 0))
        assert 0.8 <= room.camera_height_m <= min(2.4, room.height_m - 0.3)
        standing = [p for p in room.pieces if p.kind != "carpet" and p.position_m[2] < room.camera_height_m]
        for p in standing:
            assert not rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad).contains(shapely.Point(0, 0))
        for view in room.views:
            assert outline.contains(shapely.Point(view.position_m[:2]))
            assert 0 < view.position_m[2] < room.height_m
            assert 45 <= np.degrees(view.hfov_rad) <= 110


def _space_m(room: Room, view: View) -> float:
    """Distance of a view from the nearest box, tables but for their tops left out; negative inside one."""
    space = np.inf
    for p in room.pieces:
        if p.kind not in ("table", "desk", "coffee_table") or view.position_m[2] > 0.8 * p.size_m[2]:
            c, s = np.cos(p.turn_rad), np.sin(p.turn_rad)
            x, y, z = np.subtract(view.position_m, p.position_m)
            off = np.abs([c * x + s * y, c * y - s * x, z - p.size_m[2] / 2]) - np.array(p.size_m) / 2
            space = min(space, np.linalg.norm(np.maximum(off, 0)) if off.max() > 0 else off.max())
    return float(space)


def test_views_are_in_free_space(rooms: list[Room]) -> None:
    """No camera is inside furniture, an open leaf, or a wall; all but a few have a hand's breadth of air about them."""
    space = []
    for room in rooms:
        leaves = [shapely.LineString(leaf_ends(room.polygon, o)) for o in room.openings if o.leaf_deg > 0 and o.inwards]
        for view in room.views:
            here = shapely.Point(view.position_m[:2])
            space.append(min(_space_m(room, view), shapely.Polygon(room.polygon).exterior.distance(here)))
            assert all(leaf.distance(here) > 0.02 for leaf in leaves)
    assert min(space) > 0
    assert np.mean(np.array(space) < 0.1) < 0.02


def test_views_are_near_and_far(rooms: list[Room]) -> None:
    """Many views are close to something below or ahead, others look across the room; heights and lenses vary."""
    views = [(r, v) for r in rooms if area_m2(r.polygon) > 8 and r.pieces for v in r.views]
    ahead = [float(wall_distances(r.polygon - v.position_m[:2], [v.yaw_rad])[0]) for r, v in views]
    assert 0.05 < np.mean(np.array(ahead) < 1.0) < 0.35
    assert np.mean(np.array(ahead) > 2.0) > 0.4
    assert np.ptp([np.degrees(v.hfov_rad) for _, v in views]) > 55
    heights = np.array([v.position_m[2] for _, v in views])
    assert np.mean(heights < 0.6) > 0.05
    assert np.mean([v.position_m[2] > r.height_m - 0.65 for r, v in views]) > 0.05
    over = [_above_a_top(r, v) for r, v in views]
    assert 0.2 < np.mean(over) < 0.7


def _above_a_top(room: Room, view: View) -> bool:
    """Whether a table, bed or the like reaches within 0.8 m of a view and 0.2 to 0.95 m below it."""
    here = shapely.Point(view.position_m[:2])
    return any(
        p.kind in TOPS | SEATS
        and 0.2 < view.position_m[2] - top_m(p, Catalog()) < 0.95
        and rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad).distance(here) < 0.8
        for p in room.pieces
    )


def test_more_views_keep_the_first() -> None:
    """A room is the same however many views are taken of it."""
    few, many = describe(5, 3, Catalog(), 2), describe(5, 3, Catalog(), 5)
    assert many.views[:2] == few.views
    assert replace(many, views=few.views) == few


def test_rooms_behind_openings(rooms: list[Room]) -> None:
    """Every annex is behind one opening, apart from the room and from other annexes, and open where that is."""
    for room in rooms:
        leads = [o.beyond for o in room.openings if o.beyond >= 0]
        assert sorted(leads) == list(range(len(room.annexes)))
        floors = [shapely.Polygon(a.polygon) for a in room.annexes]
        assert all(f.is_valid and signed_area_m2(a.polygon) > 0 for f, a in zip(floors, room.annexes, strict=True))
        assert all(f.distance(shapely.Polygon(room.polygon)) > 0.05 for f in floors)
        assert all(f.distance(g) > 0.05 for i, f in enumerate(floors) for g in floors[:i])
        for o in room.openings:
            if o.beyond >= 0:
                annex = room.annexes[o.beyond]
                back = annex.openings[0]
                a, u, _, length_m = wall_frame(annex.polygon, 0)
                assert 0 < back.left_m < back.left_m + back.width_m < length_m
                ends = np.array([a + u * back.left_m, a + u * (back.left_m + back.width_m)])
                b, v, n, _ = wall_frame(room.polygon, o.wall)
                there = [b + v * (o.left_m + o.width_m) - n * o.recess_m, b + v * o.left_m - n * o.recess_m]
                assert np.allclose(ends, there, atol=1e-9)
                assert o.top_m <= annex.height_m
                assert all(shapely.Polygon(annex.polygon).buffer(0.01).contains(
                    rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad))
                    for p in annex.pieces if p.position_m[2] == 0 and p.kind not in ("chair", "carpet"))  # fmt: skip


def test_leaves_swing_free(rooms: list[Room]) -> None:
    """An open leaf stands in the room or in what is behind, in no wall and in no furniture."""
    seen = 0
    for room in rooms:
        for o in room.openings:
            if o.leaf_deg <= 0:
                continue
            seen += 1
            hinge, end = leaf_ends(room.polygon, o)
            leaf = shapely.LineString([0.9 * hinge + 0.1 * end, end])
            space = shapely.Polygon(room.polygon if o.inwards else room.annexes[o.beyond].polygon)
            assert space.union(behind(room.polygon, o, 0.001)).buffer(-0.005).contains(leaf)
            there = room.pieces if o.inwards else room.annexes[o.beyond].pieces
            for p in there:
                if p.position_m[2] == 0 and p.kind not in ("chair", "carpet"):
                    assert not rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad).intersects(leaf)
    assert seen > 50


def test_shares_of_openings(rooms: list[Room]) -> None:
    """Of the panoramas' columns a fifth look at doors and an eighth through wide openings; most doors are open."""
    lon = longitudes(256)
    kinds = [column_kinds(r.polygon, *opening_segments(r.polygon, r.openings), lon) for r in rooms]
    share = np.mean([np.bincount(k, minlength=4) / len(k) for k in kinds], axis=0)
    assert 0.14 < share[1] < 0.26
    assert 0.08 < share[3] < 0.18
    assert 0.04 < share[2] < 0.15
    doors = [o for r in rooms for o in r.openings if o.kind == "door"]
    assert 0.45 < np.mean([o.leaf_deg != 0 for o in doors]) < 0.75
    assert 0.3 < np.mean([any(o.kind == "opening" for o in r.openings) for r in rooms]) < 0.55


def test_dark_rooms_have_few_small_lamps(rooms: list[Room]) -> None:
    """Some rooms by night have one to three lit lamps, all small."""
    lit = [[p for p in r.pieces if max(p.radiance) > 0] for r in rooms]
    few = [p for p in lit if p and all(max(x.radiance) < 25 and x.kind in (*STANDING, "bulb") for x in p)]
    assert 0.08 < len(few) / len(rooms) < 0.4
    assert any(x.kind == "bulb" for p in few for x in p)


@pytest.mark.parametrize("kelvin", [2000, 2700, 4000, 5000, 6500])
def test_lamps_have_their_temperature(kelvin: float) -> None:
    """Of Planck's radiation through the CIE 1931 observer (multi-lobe fit of Wyman et al. 2013) to a few per cent."""
    nm = np.arange(380.0, 781.0)
    power = nm**-5 / np.expm1(1.4388e7 / (nm * kelvin))

    def lobe(mean: float, below: float, above: float) -> npt.NDArray[np.float64]:
        return np.asarray(np.exp(-0.5 * ((nm - mean) / np.where(nm < mean, below, above)) ** 2))

    x = 1.056 * lobe(599.8, 37.9, 31.0) + 0.362 * lobe(442.0, 16.0, 26.7) - 0.065 * lobe(501.1, 20.4, 26.2)
    y = 0.821 * lobe(568.8, 46.9, 40.5) + 0.286 * lobe(530.9, 16.3, 31.1)
    z = 1.217 * lobe(437.0, 11.8, 36.0) + 0.681 * lobe(459.0, 26.0, 13.8)
    xyz = np.array([(power * f).sum() for f in (x, y, z)])
    srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    assert np.allclose(of_temperature(kelvin), np.maximum(srgb @ xyz / xyz[1], 0), atol=0.06)


def test_beams_hang_under_the_ceiling(rooms: list[Room]) -> None:
    """Beams and soffits touch the ceiling, stay in the room, and reach into no opening; a third of rooms has some."""
    seen = 0
    for room in rooms:
        bars = [p for p in room.pieces if "beam" in p.kind]
        seen += bool(bars)
        outline = shapely.Polygon(room.polygon)
        for p in bars:
            assert p.position_m[2] + p.size_m[2] == pytest.approx(room.height_m, abs=2e-3)
            floor = rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad)
            assert floor.intersection(outline).area > 0.75 * floor.area
    assert 0.12 < seen / len(rooms) < 0.5


def test_things_stand_on_something(rooms: list[Room]) -> None:
    """Each small thing above the floor rests on a piece's surface, within its outline; some tops carry six and more."""
    counts = []
    for room in rooms:
        bases = [p for p in room.pieces if p.kind in TOPS | SEATS]
        carried = [0] * len(bases)
        for thing in room.pieces:
            if thing.kind in ("cup", "plate", "bottle", "bowl", "laptop", "cushion", "keyboard", "thing", "books"):
                under = [
                    k for k, b in enumerate(bases)
                    if abs(top_m(b, Catalog()) - thing.position_m[2]) < 1e-9
                    and floor_of(b).buffer(1e-6).contains(shapely.Point(thing.position_m[:2]))
                ]  # fmt: skip
                assert under
                carried[under[0]] += 1
        counts += carried
    assert np.mean(np.array(counts) >= 5) > 0.1


def test_slopes_leave_space(rooms: list[Room]) -> None:
    """A slope comes down at a wall over no higher opening, furniture or camera; some rooms have one or two."""
    counts = []
    for room in rooms:
        slopes = [p for p in room.pieces if p.kind == "slope"]
        counts.append(len(slopes))
        for slope in slopes:
            floor, knee_m = floor_of(slope), slope.position_m[2]
            assert shapely.Polygon(room.polygon).buffer(0.02).contains(floor)
            assert not floor.contains(shapely.Point(0, 0))
            for p in room.pieces:
                if p.kind not in ("slope", "bulb"):
                    assert p.position_m[2] + p.size_m[2] <= knee_m or not floor_of(p).intersects(floor)
            for o in room.openings:
                a, u, _, _ = wall_frame(room.polygon, o.wall)
                hole = shapely.LineString([a + u * o.left_m, a + u * (o.left_m + o.width_m)])
                assert o.top_m < knee_m or hole.distance(floor) > 0.09
    assert 0.04 < np.mean(np.array(counts) > 0) < 0.25
    assert max(counts) == 2


def test_furniture_is_inside_and_apart(rooms: list[Room]) -> None:
    """Standing furniture lies within the plan, and big pieces do not run into each other."""
    for room in rooms:
        outline = shapely.Polygon(room.polygon).buffer(0.01)
        big = [p for p in room.pieces if p.position_m[2] == 0 and p.kind not in ("chair", "carpet")]
        boxes = [rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad) for p in big]
        assert all(outline.contains(box) for box in boxes)
        for i, box in enumerate(boxes):
            assert all(box.intersection(other).area < 1e-3 for other in boxes[:i])


def test_openings_fit_their_walls(rooms: list[Room]) -> None:
    """Doors and windows lie within their wall, below the ceiling, and beside each other."""
    for room in rooms:
        for o in room.openings:
            assert o.left_m > 0
            assert o.left_m + o.width_m < wall_frame(room.polygon, o.wall)[3]
            assert o.top_m < room.height_m or (o.kind == "opening" and o.top_m == room.height_m)
        by_wall = sorted(room.openings, key=lambda o: (o.wall, o.left_m))
        for a, b in zip(by_wall, by_wall[1:], strict=False):
            assert a.wall != b.wall or a.left_m + a.width_m < b.left_m


def test_every_room_has_light(rooms: list[Room]) -> None:
    """There is a window or a lit lamp in every room, so that no picture is black."""
    lit = [
        any(o.kind == "window" for o in room.openings) or any(max(p.radiance) > 0 for p in room.pieces)
        for room in rooms
    ]
    assert all(lit)


def test_description_is_json(rooms: list[Room]) -> None:
    """A description survives JSON with its numbers intact."""
    stored = json.loads(rooms[3].to_json())
    assert np.array_equal(np.array(stored["polygon_m"]), rooms[3].polygon)
    assert len(stored["pieces"]) == len(rooms[3].pieces)


@pytest.mark.parametrize("kind", ["planks", "tiles", "checker", "stripes", "weave", "noise"])
def test_procedural_textures_are_albedos(kind: str) -> None:
    """Made textures are within 0..1, not flat, and the same for a seed."""
    image = procedural(kind, 3, 64)
    assert image.shape == (64, 64, 3)
    assert 0 < image.min() < image.max() < 1
    assert np.array_equal(image, procedural(kind, 3, 64))


def test_srgb_of_known_values() -> None:
    """IEC 61966-2-1: linear 0.214 is about middle grey, and the ends stay."""
    assert np.allclose(encode_srgb(np.array([0.0, 0.0031308, 0.21404, 1.0, 7.0])), [0, 0.04045, 0.5, 1, 1], atol=1e-4)


def test_missing_assets_are_named(tmp_path: Path) -> None:
    """A folder that is not there, and a model that is none, are told with the remedy."""
    with pytest.raises(DataError, match="no asset folder"):
        read_catalog(tmp_path / "nowhere")
    (tmp_path / "furniture").mkdir()
    (tmp_path / "furniture" / "Chair_1.glb").write_bytes(b"no model")
    with pytest.raises(DataError, match="Chair_1"):
        read_catalog(tmp_path)


def test_folder_of_anyones_assets(tmp_path: Path) -> None:
    """Plainly named GLB, JPG, PNG, HDR and EXR files are found by what their names say, and rooms are made of them."""
    for name in ("furniture", "textures", "pictures", "hdri"):
        (tmp_path / name).mkdir()
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    texture = trimesh.visual.TextureVisuals(
        uv=np.zeros((8, 2)), material=trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(red))
    )
    for name in ("old_armchair.glb", "office_desk.GLB", "whatever.glb"):
        box = trimesh.creation.box((90, 80, 60))
        box.visual = texture
        (tmp_path / "furniture" / name).write_bytes(box.export(file_type="glb"))
    cv2.imwrite(str(tmp_path / "textures" / "oak_planks.PNG"), red)
    cv2.imwrite(str(tmp_path / "pictures" / "poster.png"), red)
    sky = np.ones((8, 16, 3), np.float32)
    cv2.imwrite(str(tmp_path / "hdri" / "kloppenheim_05_2k.hdr"), sky)
    cv2.imwrite(str(tmp_path / "hdri" / "indoor__cellar.hdr"), sky)
    OpenEXR.File({}, {"RGB": sky.astype(np.float16)}).write(str(tmp_path / "hdri" / "meadow.exr"))
    catalog = read_catalog(tmp_path)
    assert catalog.furniture == {"armchair": ("old_armchair.glb",), "desk": ("office_desk.GLB",)}
    assert catalog.textures["floor"] == ("oak_planks.PNG",)
    assert catalog.pictures == ("poster.png",)
    assert catalog.skies == ("kloppenheim_05_2k.hdr", "meadow.exr")
    assert read_catalog(tmp_path, without_skies=("meadow.exr",)).skies == ("kloppenheim_05_2k.hdr",)
    assert model_parts(tmp_path / "furniture" / "old_armchair.glb")[0].color == pytest.approx((1, 0, 0), abs=1e-6)
    assert sky_window(tmp_path / "hdri" / "meadow.exr", 0.0, 8).mean() == pytest.approx(1, abs=1e-3)
    desks = [p for i in range(40) for p in describe(1, i, catalog, style="office").pieces if p.kind == "desk"]
    assert desks
    assert all(p.asset == "office_desk.GLB" and 0.7 < p.size_m[2] < 0.8 for p in desks)


def test_unknown_place_to_hold_out_is_told(tmp_path: Path) -> None:
    """A place that no environment shows is a mistake, as is one without assets; nothing is rendered."""
    (tmp_path / "hdri").mkdir()
    cv2.imwrite(str(tmp_path / "hdri" / "outdoor__park.hdr"), np.ones((8, 16, 3), np.float32))
    with pytest.raises(DataError, match="'parc'"):
        synthesize(tmp_path / "out", 1, assets=tmp_path, hold_out_skies=("park", "parc"))
    with pytest.raises(DataError, match="held out"):
        synthesize(tmp_path / "out", 1, hold_out_skies=("park",))


@pytest.mark.skipif(not ASSETS.is_dir(), reason="needs the assets beside the repository")
def test_held_out_skies_stand_behind_no_window() -> None:
    """Rooms made without some skies show the others alone."""
    gone = tuple(p.name for p in sorted((ASSETS / "hdri").glob("outdoor*.hdr")))[:-3]
    left = {describe(1, i, read_catalog(ASSETS, without_skies=gone), 0).sky for i in range(30)}
    assert len(left) == 3
    assert not left & set(gone)


@pytest.mark.skipif(not ASSETS.is_dir(), reason="needs the assets beside the repository")
def test_models_get_their_real_size() -> None:
    """Chairs, doors' leaves and beds from the assets measure what such things measure."""
    catalog = read_catalog(ASSETS)
    pieces = [p for i in range(40) for p in describe(1, i, catalog).pieces]
    for kind, low, high in (("chair", 0.8, 1.0), ("bed", 0.5, 1.8), ("table", 0.6, 0.8), ("fridge", 1.4, 2.0)):
        heights = [p.size_m[2] for p in pieces if p.kind == kind]
        assert heights
        assert low <= min(heights) <= max(heights) <= high
