"""Random rooms: openings, looks, furniture, light and cameras, drawn from a seed. No renderer here.

Two things are left to the trainer on purpose. The panorama camera stands level, so that its layout is exact; a tilted
one is a turned picture, which `training.data` makes at will. And pictures are clean: exposure is drawn here, but noise,
blur, response and compression belong to a camera and are drawn anew for every sample by `training.data.vary`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from training.data.synthetic.annexes import annex, placed
from training.data.synthetic.assets import Catalog
from training.data.synthetic.cameras import Interior, camera, free_point
from training.data.synthetic.ceilings import hung, under_slopes
from training.data.synthetic.description import (
    Annex,
    Array,
    Opening,
    Piece,
    Room,
    Surface,
    behind,
    leaf_ends,
    moved,
    moved_pieces,
)
from training.data.synthetic.furnish import furnish
from training.data.synthetic.lamps import ceiling_lamps, few_lamps
from training.data.synthetic.looks import (
    MOODS,
    Light,
    ceiling_covering,
    draw_light,
    exposure_target,
    lit,
    paint,
    surface,
    wall_covering,
)
from training.data.synthetic.openings import Beyond, leaf, openings
from training.data.synthetic.plans import floor_plan

GENERATOR = "rooms-4"
"""Changes whenever the same seed would give another room."""
NEAR_OPENING_SHARE = 0.4
"""Share of panorama cameras within a metre of a door or opening, where there is one."""


def room_seed(seed: int, index: int) -> int:
    """The seed of one room, whichever worker makes it."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _height_m(rng: np.random.Generator, area_m2: float) -> float:
    if rng.random() < (0.35 if area_m2 > 40 else 0.1):
        return float(rng.uniform(2.9, 4.0))
    return float(np.clip(rng.normal(2.6, 0.22), 2.2, 3.3))


def _camera_height_m(rng: np.random.Generator, height_m: float) -> float:
    """Mostly a tripod or a person's eyes; sometimes on a table, or high up as cameras on walls are."""
    usual = rng.random() < 0.75
    return float(min(np.clip(rng.normal(1.55, 0.17), 1.1, 2.0) if usual else rng.uniform(0.8, 2.4), height_m - 0.35))


def _camera(rng: np.random.Generator, plan: Array, holes: list[Opening]) -> Array:
    """Where the panorama camera stands: clear of walls and open leaves, at times within a metre of an opening."""
    outline = shapely.Polygon(plan)
    floor = outline.buffer(-0.45) if not outline.buffer(-0.45).is_empty else outline.buffer(-0.4)
    leaves = [leaf(plan, o).buffer(0.3) for o in holes if o.leaf_deg > 0 and o.inwards]
    space = floor.difference(shapely.unary_union(leaves)) if leaves else floor
    space = space if space.area > 0.05 else floor
    doors = [o for o in holes if o.kind != "window"]
    if doors and rng.random() < NEAR_OPENING_SHARE:
        near = space.intersection(behind(plan, doors[int(rng.integers(len(doors)))]).buffer(1.0))
        space = near if near.area > 0.02 else space
    return free_point(rng, space)


def _furnished(
    rng: np.random.Generator, plan: Array, height_m: float, holes: list[Opening], light: Light, catalog: Catalog,
    style: str | None, camera_at: Array,
) -> tuple[list[Piece], list[shapely.Polygon]]:  # fmt: skip
    """Everything in the room, lamps and beams included, and the floor it takes."""
    level = 0.0 if light.few else light.lamps
    pieces, footprints = furnish(rng, plan, height_m, holes, [], catalog, level, style, camera_at)
    bright = any(o.kind == "window" for o in holes) or any(max(p.radiance) > 0 for p in pieces)
    lamps = ceiling_lamps(rng, plan, height_m, catalog, level, needed=not bright and not light.few)
    clear = [shapely.Point(p.position_m[:2]).buffer(max(p.size_m[:2]) * 0.75) for p in lamps]
    bars = hung(rng, plan, height_m, holes, [*clear, shapely.Point(camera_at).buffer(0.4)])
    pieces = [*under_slopes(pieces, bars), *lamps, *bars]
    return (few_lamps(rng, plan, height_m, pieces) if light.few else pieces), footprints


def _free(plan: Array, camera_at: Array, footprints: list[shapely.Polygon]) -> BaseGeometry:
    """Floor that is clear of walls and furniture."""
    blocked = shapely.unary_union([f.buffer(0.3) for f in footprints]) if footprints else shapely.Polygon()
    free = shapely.Polygon(plan).buffer(-0.4).difference(blocked)
    return free if free.area >= 0.2 else shapely.Point(camera_at).buffer(0.2)


def _leaves(polygon: Array, holes: list[Opening]) -> list[Piece]:
    """Leaves that stand open into the room, as things a camera must not be in."""
    out = []
    for o in holes:
        if o.leaf_deg > 0 and o.inwards:
            hinge, end = leaf_ends(polygon, o)
            x, y = (hinge + end) / 2
            turn = float(np.arctan2(*(end - hinge)[::-1]))
            out.append(Piece("door", o.asset, (float(x), float(y), 0.0), (o.width_m, 0.05, o.height_m), turn, o.color,
                             False))  # fmt: skip
    return out


def describe(seed: int, index: int, catalog: Catalog, views: int = 3, style: str | None = None) -> Room:
    """The room of that number in that series; the same arguments always give the same room.

    Args:
        seed: of the series.
        index: of the room in it.
        catalog: what furniture, textures and skies there are.
        views: perspective cameras besides the panorama; more do not change the first ones.
        style: room use; drawn at random if not given.
    """
    own = room_seed(seed, index)
    rng = np.random.default_rng(own)
    plan_style, plan = floor_plan(rng)
    height_m = _height_m(rng, shapely.Polygon(plan).area)
    holes, beyond = openings(rng, plan, height_m, catalog)
    light = draw_light(rng, holes, catalog)
    holes = lit(rng, holes, light)
    camera_height_m = _camera_height_m(rng, height_m)
    camera_at = _camera(rng, plan, holes)
    pieces, footprints = _furnished(rng, plan, height_m, holes, light, catalog, style, camera_at)
    phi = float(rng.uniform(-np.pi, np.pi))
    polygon = moved(camera_at, phi, plan)
    room = _room(rng, own, index, plan_style, polygon, height_m, camera_height_m, light, catalog)
    room = replace(room, openings=tuple(holes), pieces=moved_pieces(camera_at, phi, pieces))
    room = replace(room, annexes=_annexes(rng, plan, holes, beyond, light, catalog, room, (camera_at, phi)))
    free = shapely.transform(_free(plan, camera_at, footprints), lambda p: moved(camera_at, phi, p))
    interior = Interior(polygon, height_m, free, (*room.pieces, *_leaves(polygon, holes)), light.few, catalog)
    return replace(room, views=tuple(camera(rng, interior) for _ in range(views)))


def _annexes(
    rng: np.random.Generator, plan: Array, holes: list[Opening], beyond: list[Beyond], light: Light, catalog: Catalog,
    room: Room, place: tuple[Array, float],
) -> tuple[Annex, ...]:  # fmt: skip
    doors = {o.beyond: o for o in holes if o.beyond >= 0}
    return tuple(
        placed(annex(rng, plan, doors[k], which, [b for b in beyond if b is not which], light, catalog, room), *place)
        for k, which in enumerate(beyond)
    )


def _room(
    rng: np.random.Generator, own: int, index: int, style: str, polygon: Array, height_m: float, camera_height_m: float,
    light: Light, catalog: Catalog,
) -> Room:  # fmt: skip
    """The room's shell and looks, still empty and without cameras."""
    mood = "dim" if light.few and rng.random() < 0.7 else str(rng.choice(list(MOODS), p=list(MOODS.values())))
    return Room(
        index=index, seed=own, style=style, polygon_m=tuple((float(x), float(y)) for x, y in polygon),
        height_m=height_m, camera_height_m=camera_height_m,
        floor=surface(rng, catalog, "floor", float(rng.choice([0.0, 0.35, 0.7]))),
        ceiling=ceiling_covering(rng, catalog, mood),
        walls=(wall_covering(rng, catalog, mood), wall_covering(rng, catalog, "painted" if mood == "white" else mood)),
        accent_wall=int(rng.integers(0, len(polygon))) if rng.random() < 0.35 else -1,
        trim=Surface(None, (0.8, 0.8, 0.78) if mood == "white" else paint(rng), 1.0, 0.3),
        wood=surface(rng, catalog, "wood", 0.3), fabric=surface(rng, catalog, "fabric", 0.0),
        skirting_m=float(rng.uniform(0.05, 0.13)) if rng.random() < 0.7 else 0.0,
        cornice_m=float(rng.uniform(0.03, 0.1)) if rng.random() < 0.3 else 0.0,
        openings=(), pieces=(), sky=light.sky, exposure=exposure_target(rng, light.few), views=(),
    )  # fmt: skip


def relit(room: Room) -> Room:
    """The same room with a lit panel on its ceiling above the panorama camera, for lamps that furniture shuts in."""
    size = (0.6, 0.6, 0.04)
    panel = Piece(
        "panel_lamp", None, (0.0, 0.0, room.height_m - size[2] - 0.001), size, 0.0, (0.8, 0.8, 0.8), False,
        (22.0, 20.0, 17.0),
    )  # fmt: skip
    return replace(room, pieces=(*room.pieces, panel))
