"""A room's description as triangles sorted by material: everything a renderer needs, still without one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from training.data.synthetic.annexes import as_room
from training.data.synthetic.assets import Catalog, model_parts, sky_window
from training.data.synthetic.description import Array, Color, Opening, Piece, Room, leaf_ends, wall_frame
from training.data.synthetic.shapes import Solid, box, furniture, joined, quad, unshared

WOODEN = frozenset({"table", "coffee_table", "desk", "drawer", "nightstand", "chair", "stool", "bed", "shelf", "door",
                    "wall_shelf"})  # fmt: skip
SOFT = frozenset({"sofa", "armchair", "bed", "carpet", "curtain"})
SHINY = frozenset({"fridge", "oven", "washer", "basin", "toilet", "bathtub", "counter", "cabinet", "trash", "plate",
                   "small_plant", "box"})  # fmt: skip
LEAF: Color = (0.09, 0.22, 0.05)
WHITE: Color = (0.8, 0.8, 0.8)
COVERINGS = ("floor", "ceiling", "wall0")
"""Roles of which an annex has its own, named `floor@0` and so on."""


@dataclass(frozen=True)
class Glow:
    """A surface that shines: its triangles and radiance, uniform or as a picture over its texture coordinates."""

    solid: Solid
    radiance: Color
    picture: npt.NDArray[np.float32] | None = None
    lamp: bool = False


@dataclass(frozen=True)
class Beam:
    """Sunlight through a window, thrown by a small projector just inside the pane."""

    position_m: Array
    direction: Array
    intensity: float


@dataclass
class Stage:
    """Triangles by material with a linear colour a corner, pictures on walls, and lights."""

    solids: dict[str, list[Solid]] = field(default_factory=lambda: defaultdict(list))
    colors: dict[str, list[npt.NDArray[np.float32]]] = field(default_factory=lambda: defaultdict(list))
    pictures: list[tuple[Solid, str]] = field(default_factory=list)
    glows: list[Glow] = field(default_factory=list)
    beams: list[Beam] = field(default_factory=list)

    def add(self, solid: Solid, color: Color = WHITE, role: str | None = None) -> None:
        """Put triangles under their material (or another one)."""
        key = role or solid.role
        self.solids[key].append(solid)
        self.colors[key].append(np.tile(np.asarray(color, np.float32), (len(solid.vertices), 1)))

    def take(self, other: Stage, which: int) -> None:
        """Put in all of an annex's stage, its coverings under names of their own."""
        for role, solids in other.solids.items():
            key = f"{role}@{which}" if role in COVERINGS else role
            self.solids[key] += solids
            self.colors[key] += other.colors[role]
        self.pictures += other.pictures
        self.glows += other.glows
        self.beams += other.beams

    def merged(self, role: str) -> tuple[Solid, npt.NDArray[np.float32]]:
        """All triangles of a material and their colours."""
        return joined(self.solids[role], role), np.concatenate(self.colors[role])


def _cap(polygon: Array, z_m: float, up: bool, role: str) -> Solid:
    """The floor (`up`) or the ceiling."""
    parts = []
    triangles: Any = shapely.constrained_delaunay_triangles(shapely.Polygon(polygon))
    for triangle in shapely.orient_polygons(triangles).geoms:
        xy = np.asarray(triangle.exterior.coords)[:3]
        p = np.column_stack([xy if up else xy[::-1], np.full(3, z_m)])
        parts.append(Solid(p, np.tile([0.0, 0.0, 1.0 if up else -1.0], (3, 1)), p[:, :2].copy(), role))
    return joined(parts, role)


@dataclass(frozen=True)
class _Wall:
    """Places on and behind one wall: along it, up, and out of the room."""

    a: Array
    u: Array
    n: Array
    length_m: float

    def at(self, along: float, z: float, out: float = 0.0) -> list[float]:
        x, y = self.a + self.u * along - self.n * out
        return [float(x), float(y), z]

    def rect(self, x0: float, x1: float, z0: float, z1: float, role: str, out: float = 0.0) -> Solid:
        """Part of a plane parallel to the wall, facing the room."""
        corners = [self.at(x1, z0, out), self.at(x0, z0, out), self.at(x0, z1, out), self.at(x1, z1, out)]
        return quad(corners, role, [[x1, z0], [x0, z0], [x0, z1], [x1, z1]])

    def bar(self, x0: float, x1: float, z0: float, z1: float, out0: float, out1: float, role: str) -> Solid:
        """A box along the wall; negative `out` is inside the room."""
        center = self.at((x0 + x1) / 2, (z0 + z1) / 2, (out0 + out1) / 2)
        turn = float(np.arctan2(self.u[1], self.u[0]))
        return box(center, [x1 - x0, abs(out1 - out0), z1 - z0], role, turn)


def _wall(stage: Stage, room: Room, index: int, catalog: Catalog) -> None:
    wall = _Wall(*wall_frame(room.polygon, index))
    holes = sorted((o for o in room.openings if o.wall == index), key=lambda o: o.left_m)
    role = "wall1" if index == room.accent_wall else "wall0"
    color = room.walls[1 if index == room.accent_wall else 0].color
    x, h = 0.0, room.height_m
    for o in holes:
        right = o.left_m + o.width_m
        stage.add(wall.rect(x, o.left_m, 0, h, role), color)
        if o.bottom_m > 0:
            stage.add(wall.rect(o.left_m, right, 0, o.bottom_m, role), color)
        if o.top_m < h - 1e-6:
            stage.add(wall.rect(o.left_m, right, o.top_m, h, role), color)
        x = right
        if o.kind != "back":
            _hole(stage, room, wall, o, role, color)
        _framed(stage, room, wall, o)
        if o.kind == "window":
            _window(stage, room, wall, o, catalog)
    stage.add(wall.rect(x, wall.length_m, 0, h, role), color)
    _mouldings(stage, room, wall, holes)


def _mouldings(stage: Stage, room: Room, wall: _Wall, holes: list[Opening]) -> None:
    framed = [(o.left_m - _frame_m(o), o.left_m + o.width_m + _frame_m(o), o) for o in holes]
    doors = [(left, right) for left, right, o in framed if o.bottom_m < 0.15]
    high = [(left, right) for left, right, o in framed if o.top_m > room.height_m - room.cornice_m]
    if room.cornice_m > 0:
        top, x = room.height_m, 0.0
        for left, right in [*high, (wall.length_m, wall.length_m)]:
            if left - x > 0.02:
                stage.add(wall.bar(x, left, top - room.cornice_m, top, -0.03, 0.0, "trim"), room.trim.color)
            x = right
    if room.skirting_m > 0:
        x = 0.0
        for left, right in [*doors, (wall.length_m, wall.length_m)]:
            if left - x > 0.02:
                stage.add(wall.bar(x, left, 0, room.skirting_m, -0.012, 0.0, "trim"), room.trim.color)
            x = right


def _frame_m(o: Opening) -> float:
    """Width of the frame about an opening, and what keeps mouldings off; wide ones have none."""
    return 0.07 if o.kind in ("door", "window", "passage") or (o.kind == "back" and o.width_m < 1.0) else 0.0


def _hole(stage: Stage, room: Room, wall: _Wall, o: Opening, role: str, color: Color) -> None:
    """The inner sides of an opening, and what shuts its end unless it leads somewhere."""
    left, right, low, high, deep = o.left_m, o.left_m + o.width_m, o.bottom_m, o.top_m, o.recess_m
    through = o.kind == "passage" or o.beyond >= 0
    sides = [
        ([(left, low, deep), (left, low, 0), (left, high, 0), (left, high, deep)], role, color),
        ([(right, low, 0), (right, low, deep), (right, high, deep), (right, high, 0)], role, color),
        ([(left, high, 0), (right, high, 0), (right, high, deep), (left, high, deep)], role, color),
        ([(left, low, deep), (right, low, deep), (right, low, 0), (left, low, 0)],
         "floor" if through else "trim", room.floor.color if through else room.trim.color),
    ]  # fmt: skip
    for corners, side_role, side_color in sides:
        stage.add(quad([wall.at(x, z, out) for x, z, out in corners], side_role), side_color)
    if o.kind != "window" and o.beyond < 0:
        stage.add(wall.rect(left, right, low, high, role if o.kind == "passage" else "trim", deep), o.color)


def _framed(stage: Stage, room: Room, wall: _Wall, o: Opening) -> None:
    """The frame about a door or window, on this side of the wall."""
    t = _frame_m(o) - 0.01
    left, right, low, high = o.left_m, o.left_m + o.width_m, o.bottom_m, o.top_m
    if t > 0 and high + t < room.height_m:
        below = max(low - t, 0)
        for x0, x1, z0 in ((left - t, left, below), (right, right + t, below), (left, right, high)):
            stage.add(wall.bar(x0, x1, z0, high + t, -0.015, 0.0, "trim"), room.trim.color)


def _window(stage: Stage, room: Room, wall: _Wall, o: Opening, catalog: Catalog) -> None:
    left, right, low, high = o.left_m, o.left_m + o.width_m, o.bottom_m, o.bottom_m + o.height_m
    pane = wall.rect(left, right, low, high, "glow", o.recess_m)
    u = (pane.uv - [left, low]) / [o.width_m, o.height_m]
    pane = Solid(pane.vertices, pane.normals, u, "glow")
    if room.sky is not None and catalog.root is not None:
        view = sky_window(catalog.root / "hdri" / room.sky, o.heading_rad)
        stage.glows.append(Glow(pane, (o.radiance, o.radiance, o.radiance), view))
    else:
        stage.glows.append(Glow(pane, (o.radiance * o.color[0], o.radiance * o.color[1], o.radiance * o.color[2])))
    if low > 0.15:
        stage.add(wall.bar(left - 0.05, right + 0.05, low - 0.04, low, -0.06, 0.0, "trim"), room.trim.color)
    near, far = o.recess_m - 0.045, o.recess_m - 0.005
    for x in (left + 0.025, right - 0.025, *np.linspace(left, right, o.mullions[0] + 2)[1:-1]):
        stage.add(wall.bar(float(x) - 0.025, float(x) + 0.025, low, high, near, far, "trim"), room.trim.color)
    for z in (low + 0.025, high - 0.025, *np.linspace(low, high, o.mullions[1] + 2)[1:-1]):
        stage.add(wall.bar(left, right, float(z) - 0.025, float(z) + 0.025, near, far, "trim"), room.trim.color)
    if o.sun > 0:
        aim = wall.n * np.cos(o.heading_rad / 4) + wall.u * np.sin(o.heading_rad / 4)
        down = 0.5 + 0.5 * abs(o.heading_rad) / np.pi
        where = np.array(wall.at((left + right) / 2, (low + high) / 2, near - 0.01))
        stage.beams.append(Beam(where, np.array([aim[0], aim[1], -down]), o.sun * o.width_m * o.height_m))


def _part_look(piece: Piece, index: int, base: Color, main: bool) -> tuple[str, Color]:
    """Material and colour of one part of a model, from its own colour and the kind of piece."""
    r, g, b = base
    green, brown = g > 1.2 * r and g > 1.2 * b, r > 1.25 * b and max(base) < 0.3
    boosted = (min(1.8 * r + 0.01, 0.85), min(1.8 * g + 0.01, 0.85), min(1.8 * b + 0.01, 0.85))
    if "plant" in piece.kind:
        if green or brown:
            return "matt", boosted
        return "gloss", piece.color if piece.recolor else boosted
    if piece.kind in SOFT and not (brown and piece.kind == "bed"):
        return ("fabric", WHITE) if piece.recolor and main else ("matt", piece.color if main else boosted)
    if piece.kind in WOODEN and (brown or (piece.recolor and main)):
        return ("wood", WHITE) if piece.recolor or index % 2 == 0 else ("gloss", boosted)
    role = "gloss" if piece.kind in SHINY else "matt"
    return role, (piece.color if piece.recolor and main else boosted)


def _model(stage: Stage, piece: Piece, catalog: Catalog) -> None:
    assert catalog.root is not None and piece.asset is not None
    parts = model_parts(catalog.model(piece.asset))
    scale = np.asarray(piece.size_m) / catalog.extents[piece.asset]
    solids = [
        unshared(p.vertices, p.faces, p.normals, "matt").moved(scale, piece.turn_rad, piece.position_m) for p in parts
    ]
    main = int(np.argmax([s.area_m2 for s in solids]))
    bulb = int(np.argmax([sum(p.color) for p in parts])) if "lamp" in piece.kind else -1
    for i, (part, solid) in enumerate(zip(parts, solids, strict=True)):
        if i == bulb:
            _shine(stage, solid, piece)
        else:
            role, color = _part_look(piece, i, part.color, i == main)
            stage.add(solid, color, role)


def _shine(stage: Stage, solid: Solid, piece: Piece) -> None:
    if max(piece.radiance) <= 0:
        stage.add(solid, WHITE, "matt")
        return
    k = 1.0 / (np.pi * max(solid.area_m2, 1e-4))
    r, g, b = (min(k * f, 3000.0) for f in piece.radiance)
    stage.glows.append(Glow(solid, (r, g, b), lamp=True))


def _piece(stage: Stage, piece: Piece, catalog: Catalog) -> None:
    if piece.asset is not None and piece.kind != "picture":
        _model(stage, piece, catalog)
        return
    for i, solid in enumerate(furniture(piece.kind, piece.size_m)):
        placed = solid.moved((1, 1, 1), piece.turn_rad, piece.position_m)
        if solid.role == "glow":
            _shine(stage, placed, piece)
        elif solid.role == "picture":
            stage.add(placed, piece.color, "matt")
            _hang(stage, piece)
        elif solid.role == "leaf":
            stage.add(placed, LEAF, "matt")
        elif solid.role == "mirror":
            stage.add(placed, WHITE, "mirror")
        elif solid.role in ("wood", "fabric") and not piece.recolor:
            stage.add(placed, piece.color, "matt")
        else:
            tone = 0.75 + 0.25 * (i % 3) / 2
            r, g, b = (c * tone for c in piece.color)
            stage.add(placed, (r, g, b) if solid.role not in ("wood", "fabric") else WHITE)


def _hang(stage: Stage, piece: Piece) -> None:
    """The picture itself, a little smaller than its frame and just before it."""
    w, d, h = piece.size_m
    m = 0.06 * min(w, h) + 0.01
    x, z0, z1, y = w / 2 - m, m, h - m, -d / 2 - 0.002
    face = quad([[-x, y, z0], [x, y, z0], [x, y, z1], [-x, y, z1]], "picture")
    placed = face.moved((1, 1, 1), piece.turn_rad, piece.position_m)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]], float)
    stage.pictures.append((Solid(placed.vertices, placed.normals, corners, "picture"), piece.asset or ""))


def _shut_leaf(stage: Stage, wall: _Wall, o: Opening) -> None:
    left, right = o.left_m + 0.01, o.left_m + o.width_m - 0.01
    stage.add(wall.bar(left, right, 0.01, o.height_m - 0.01, o.recess_m - 0.03, o.recess_m, "wood"))
    stage.add(wall.bar(left + 0.05, left + 0.15, 0.98, 1.01, o.recess_m - 0.07, o.recess_m - 0.05, "gloss"))


def _leaf(stage: Stage, room: Room, wall: _Wall, o: Opening, catalog: Catalog) -> None:
    """The leaf of a door, in its frame or turned about its hinge."""
    if o.leaf_deg == 0 and o.asset is None:
        _shut_leaf(stage, wall, o)
        return
    hinge, end = np.array([wall.at(x, 0.0, o.recess_m - 0.025)[:2] for x in (o.left_m + o.width_m, o.left_m)])
    if o.leaf_deg > 0:
        hinge, end = leaf_ends(room.polygon, o)
    (x, y), turn = (hinge + end) / 2, float(np.arctan2(*(end - hinge)[::-1]))
    size = (float(np.linalg.norm(end - hinge)), 0.045, o.height_m - 0.01)
    if o.asset is not None:
        _model(stage, Piece("door", o.asset, (x, y, 0.005), size, turn, o.color, o.color[0] > 0.5), catalog)
        return
    stage.add(box([x, y, o.height_m / 2], size, "wood", turn))
    stage.add(box([*(np.array([x, y]) + 0.42 * (end - hinge)), 1.0], [0.1, 0.13, 0.03], "gloss", turn))


def _hung_on_openings(stage: Stage, room: Room, catalog: Catalog) -> None:
    """Door leaves and curtains, stretched to their opening."""
    for o in room.openings:
        wall = _Wall(*wall_frame(room.polygon, o.wall))
        if o.kind == "door" and o.leaf_deg >= 0:
            _leaf(stage, room, wall, o, catalog)
        elif o.curtain is not None:
            turn = float(np.arctan2(wall.u[1], wall.u[0])) + np.pi
            top = min(o.top_m + 0.1, room.height_m - 0.03)
            low = 0.02 if o.bottom_m < 0.9 else o.bottom_m - 0.2
            x, y, z = wall.at(o.left_m + o.width_m / 2, low, -0.08)
            size = (o.width_m * 1.15, 0.1, top - z)
            _model(stage, Piece("curtain", o.curtain, (x, y, z), size, turn, o.color, o.mullions[1] > 0), catalog)


def build(room: Room, catalog: Catalog, empty: bool = False) -> Stage:
    """Triangles and lights of a room.

    Args:
        room: what to build.
        catalog: the assets it was described with.
        empty: the bare prism only: no holes, mouldings, furniture; a glowing ceiling (for checks).
    """
    stage = Stage()
    polygon = room.polygon
    stage.add(_cap(polygon, 0.0, True, "floor"), room.floor.color)
    if empty:
        for i in range(len(polygon)):
            wall = _Wall(*wall_frame(polygon, i))
            stage.add(wall.rect(0, wall.length_m, 0, room.height_m, "wall0"), room.walls[0].color)
        stage.glows.append(Glow(_cap(polygon, room.height_m, False, "glow"), (1.0, 1.0, 1.0)))
        return stage
    _furnished(stage, room, catalog)
    for k, one in enumerate(room.annexes):
        beside, there = Stage(), as_room(room, one)
        beside.add(_cap(one.polygon, 0.0, True, "floor"), one.floor.color)
        _furnished(beside, there, catalog)
        stage.take(beside, k)
    return stage


def _furnished(stage: Stage, room: Room, catalog: Catalog) -> None:
    """Ceiling, walls with what is in them, and everything that stands or hangs there."""
    stage.add(_cap(room.polygon, room.height_m, False, "ceiling"), room.ceiling.color)
    for i in range(len(room.polygon)):
        _wall(stage, room, i, catalog)
    _hung_on_openings(stage, room, catalog)
    for piece in room.pieces:
        _piece(stage, piece, catalog)
