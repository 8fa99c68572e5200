"""Rooms placed beside each other as one home: its area, what overlaps, shared walls and passages, first guesses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from edge.derive.mesh import Array, Edge
from edge.derive.model import RoomModel
from edge.derive.openings import Opening

WALL_M = 0.1
"""How thick a wall between two rooms is taken to be, where nothing else is said."""
_FACING_RAD = np.radians(3.0)
"""Walls that are parallel within this are two sides of one."""
_THICKEST_M = 0.6
_SINKS_IN_M = 0.05
_SHORTEST_SHARED_M = 0.3
_SMALLEST_OVERLAP_M2 = 0.01
_SAME_WIDTH_M = 0.2
"""Openings whose widths differ by less may be one, seen from both rooms."""
_SAME_PLACE_M = 0.3
_SNAP_RAD, _SNAP_M = np.radians(12.0), 0.5
_HALVINGS = 20
_MOST_OVERLAP = 0.1
"""Share of a room's floor that a first guess may lay over others."""


@dataclass(frozen=True, slots=True)
class PlacedRoom:
    """A room in metres, and where its camera is in the home: x right, y up on the plan."""

    model: RoomModel
    x_m: float = 0.0
    y_m: float = 0.0
    turn_rad: float = 0.0
    """Counter-clockwise, seen from above."""

    @property
    def turn(self) -> Array:
        """(2, 2) home vectors from room vectors."""
        return _turned_by(self.turn_rad)

    def to_home(self, points: Array) -> Array:
        """Points (..., 2) of the room in the home."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.turn.T + (self.x_m, self.y_m))

    @property
    def floor(self) -> shapely.Polygon:
        """The outline in the home."""
        return shapely.Polygon(self.to_home(self.model.polygon))

    @property
    def edges(self) -> list[Edge]:
        """The sides of the outline in the home."""
        return [replace(e, start=self.to_home(e.start), end=self.to_home(e.end)) for e in self.model.edges]

    @property
    def walls(self) -> list[Edge]:
        """The sides that are walls; lines of sight are none."""
        return [edge for edge in self.edges if not edge.cut]

    @property
    def openings(self) -> list[Opening]:
        """Doors, windows and passages in the home."""
        found = []
        for opening in self.model.openings:
            (x0, y0), (x1, y1) = self.ends(opening).tolist()
            found.append(replace(opening, start=(x0, y0), end=(x1, y1)))
        return found

    def ends(self, opening: Opening) -> Array:
        """(2, 2) start and end of one of its openings in the home."""
        return self.to_home(np.array([opening.start, opening.end]))

    def turned_about(self, centre: Array, by_rad: float) -> PlacedRoom:
        """The room turned about a point of the home."""
        x, y = _turned_by(by_rad) @ (np.array([self.x_m, self.y_m]) - centre) + centre
        return replace(self, x_m=float(x), y_m=float(y), turn_rad=self.turn_rad + by_rad)

    def moved(self, by: Array) -> PlacedRoom:
        """The room shifted."""
        return replace(self, x_m=self.x_m + float(by[0]), y_m=self.y_m + float(by[1]))


def _turned_by(by_rad: float) -> Array:
    """(2, 2) what turns vectors counter-clockwise."""
    c, s = np.cos(by_rad), np.sin(by_rad)
    return np.array([[c, -s], [s, c]])


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rooms, by number, whose floors lie over each other."""

    rooms: tuple[int, int]
    area_m2: float


@dataclass(frozen=True, slots=True)
class SharedWall:
    """A wall that two rooms see from either side."""

    rooms: tuple[int, int]
    walls: tuple[int, int]
    """Which of each room's walls."""
    length_m: float
    """How much of it both have."""
    gap_m: float
    """Between their two faces; below 0: they cut into each other."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A door or opening that two rooms share."""

    rooms: tuple[int, int]
    openings: tuple[int, int]
    width_m: float


@dataclass(frozen=True, slots=True)
class HomeSizes:
    """What a home comes to."""

    area_m2: float
    """Of all floors together; what two rooms cover counts once."""
    rooms_area_m2: float
    """Sum of the rooms' own."""
    volume_m3: float
    """Sum of the rooms' own."""
    overlaps: tuple[Overlap, ...]
    shared_walls: tuple[SharedWall, ...]
    passages: tuple[Passage, ...]


def sizes_of(rooms: Sequence[PlacedRoom]) -> HomeSizes:
    """Areas, overlaps, shared walls and passages of rooms as they are placed."""
    floors = [room.floor for room in rooms]
    overlaps: list[Overlap] = []
    shared: list[SharedWall] = []
    passages: list[Passage] = []
    walls = [_long_walls(room) for room in rooms]
    for i, j in itertools.combinations(range(len(rooms)), 2):
        if floors[i].distance(floors[j]) > _THICKEST_M:
            continue
        area_m2 = float(floors[i].intersection(floors[j]).area)
        if area_m2 >= _SMALLEST_OVERLAP_M2:
            overlaps.append(Overlap((i, j), area_m2))
        for a, b in itertools.product(walls[i], walls[j]):
            if (found := _shared(a, b)) is not None:
                shared.append(SharedWall((i, j), (a.index, b.index), *found))
        passages += _passages(rooms, i, j)
    return HomeSizes(
        float(shapely.union_all(floors).area),
        float(sum(floor.area for floor in floors)),
        float(sum(floor.area * room.model.ceiling_height for floor, room in zip(floors, rooms, strict=True))),
        tuple(overlaps),
        tuple(shared),
        tuple(passages),
    )


def _long_walls(room: PlacedRoom) -> list[Edge]:
    """Walls that can be a part of another room's."""
    return [wall for wall in room.walls if wall.length >= _SHORTEST_SHARED_M]


def _along(edge: Edge) -> Array:
    return np.asarray((edge.end - edge.start) / edge.length)


def _turn_between(a: Edge, b: Edge) -> float:
    """What `a` must be turned by to run against `b`, in (-pi, pi]."""
    to, now = -_along(b), _along(a)
    return float(np.arctan2(now[0] * to[1] - now[1] * to[0], now @ to))


def _span(a: Edge, b: Edge) -> tuple[float, float]:
    """From where to where `b` goes along `a`, m from its start."""
    ends = sorted(float((p - a.start) @ _along(a)) for p in (b.start, b.end))
    return ends[0], ends[1]


def _shared(a: Edge, b: Edge) -> tuple[float, float] | None:
    """Length in common and gap of two faces of one wall; None: they are not."""
    if abs(_turn_between(a, b)) > _FACING_RAD:
        return None
    low, high = _span(a, b)
    length_m = min(high, a.length) - max(low, 0.0)
    gap_m = float((a.start - (b.start + b.end) / 2) @ a.inwards)
    return (length_m, gap_m) if length_m >= _SHORTEST_SHARED_M and -_SINKS_IN_M <= gap_m <= _THICKEST_M else None


def _passes(opening: Opening) -> bool:
    return opening.kind in ("door", "opening")


def _passages(rooms: Sequence[PlacedRoom], i: int, j: int) -> Iterator[Passage]:
    for (m, a), (n, b) in itertools.product(enumerate(rooms[i].model.openings), enumerate(rooms[j].model.openings)):
        if not (_passes(a) and _passes(b)) or abs(a.width - b.width) > _SAME_WIDTH_M:
            continue
        here, there = rooms[i].ends(a), rooms[j].ends(b)
        along = (here[1] - here[0]) / a.width
        off = there.mean(axis=0) - here.mean(axis=0)
        across = along[0] * off[1] - along[1] * off[0]
        against = float(along @ (there[0] - there[1])) / b.width >= np.cos(_SNAP_RAD)
        if against and abs(along @ off) <= _SAME_PLACE_M and -_THICKEST_M <= across <= _SINKS_IN_M:
            yield Passage((i, j), (m, n), min(a.width, b.width))


# Placing --------------------------------------------------------------------------------------------------------------


def snapped(rooms: Sequence[PlacedRoom], index: int, wall_m: float = WALL_M) -> PlacedRoom:
    """A room laid against the nearest wall of another, if one is within half a metre and 12 degrees.

    Its wall then runs along that one, a wall's thickness away, and slides by up to half a metre until a passage or a
    corner meets its counterpart.
    """
    room = rooms[index]
    others = [(n, r) for n, r in enumerate(rooms) if n != index and r.floor.distance(room.floor) <= 2 * _SNAP_M]
    best: tuple[float, PlacedRoom] | None = None
    for number, wall in ((n, w) for n, r in others for w in _long_walls(r)):
        for mine in _long_walls(room):
            turn = _turn_between(mine, wall)
            if abs(turn) > _SNAP_RAD:
                continue
            turned = room.turned_about((mine.start + mine.end) / 2, turn)
            now = next(e for e in turned.walls if e.side == mine.side)
            gap_m = float((wall.start - now.start) @ wall.inwards)
            shift_m = gap_m - wall_m
            low, high = _span(wall, now)
            common_m = min(high, wall.length) - max(low, 0.0)
            if abs(shift_m) > _SNAP_M or common_m < _SHORTEST_SHARED_M:
                continue
            cost = abs(shift_m) + abs(turn)
            if best is None or cost < best[0]:
                against = turned.moved(wall.inwards * shift_m)
                best = (cost, _slid(against, mine.side, rooms[number], wall))
    return room if best is None else best[1]


def _slid(room: PlacedRoom, side: int, other: PlacedRoom, wall: Edge) -> PlacedRoom:
    """The room moved along a wall until passages, or else corners, meet."""
    mine = next(e for e in room.walls if e.side == side)
    along = _along(wall)

    def centres(placed: PlacedRoom, of: int) -> list[tuple[float, float]]:
        found = [o for o in placed.model.openings if o.wall == of and _passes(o)]
        return [(float(placed.ends(o).mean(axis=0) @ along), o.width) for o in found]

    doors = [
        b - a
        for (a, wide), (b, width) in itertools.product(centres(room, side), centres(other, wall.side))
        if abs(wide - width) <= _SAME_WIDTH_M
    ]
    corners = [float((p - q) @ along) for p, q in ((wall.start, mine.end), (wall.end, mine.start))]
    for candidates in (doors, corners):
        near = [c for c in candidates if abs(c) <= _SNAP_M]
        if near:
            return room.moved(along * min(near, key=abs))
    return room


def placed(rooms: Sequence[PlacedRoom], model: RoomModel, wall_m: float = WALL_M) -> PlacedRoom:
    """A first guess where a further room is: at a passage as wide as one of its own, else to the right of all.

    Of several guesses the one that lies least over other rooms is taken, then that of the most alike widths.
    """
    if not rooms:
        return PlacedRoom(model)
    covered = shapely.union_all([room.floor for room in rooms])
    guesses: list[tuple[float, float, int, PlacedRoom]] = []
    for there in rooms:
        for theirs, own in itertools.product(there.model.openings, model.openings):
            differ_m = abs(theirs.width - own.width)
            if not (_passes(theirs) and _passes(own)) or differ_m > _SAME_WIDTH_M:
                continue
            guess = _at_passage(there, theirs, model, own, wall_m)
            over_m2 = float(guess.floor.intersection(covered).area)
            if over_m2 <= _MOST_OVERLAP * model.area:
                guesses.append((round(over_m2, 1), differ_m, len(guesses), guess))
    return min(guesses)[3] if guesses else _beside(rooms, model, wall_m)


def _at_passage(there: PlacedRoom, theirs: Opening, model: RoomModel, own: Opening, wall_m: float) -> PlacedRoom:
    ends = there.ends(theirs)
    along = ends[1] - ends[0]
    mine = np.subtract(own.start, own.end)  # seen from the other side, start and end change places
    turn_rad = float(np.arctan2(along[1], along[0]) - np.arctan2(mine[1], mine[0]))
    guess = PlacedRoom(model, turn_rad=float(np.remainder(turn_rad + np.pi, 2 * np.pi) - np.pi))
    outwards = np.array([along[1], -along[0]]) / theirs.width
    return guess.moved(ends.mean(axis=0) + outwards * wall_m - guess.ends(own).mean(axis=0))


def _beside(rooms: Sequence[PlacedRoom], model: RoomModel, wall_m: float) -> PlacedRoom:
    """To the right of all rooms, parallel to them, as near as a wall lets it come."""
    longest = max((wall for room in rooms for wall in room.walls), key=lambda wall: wall.length)
    mine = max(model.walls, key=lambda wall: wall.length, default=None)
    turn = 0.0 if mine is None else _turn_between(mine, longest)
    turn = float(
        np.remainder(turn + np.pi / 4, np.pi / 2) - np.pi / 4
    )  # the smallest that makes them parallel or square
    guess, covered = PlacedRoom(model, turn_rad=turn), shapely.union_all([room.floor for room in rooms])
    low_x, low_y, high_x, _ = guess.floor.bounds
    left, bottom, right, _ = covered.bounds
    guess = guess.moved(np.array([right + wall_m - low_x, bottom - low_y]))
    near_m, far_m = 0.0, right - left + high_x - low_x
    for _ in range(_HALVINGS):
        middle_m = (near_m + far_m) / 2
        closer = guess.moved(np.array([-middle_m, 0.0])).floor
        near_m, far_m = (middle_m, far_m) if closer.distance(covered) >= wall_m else (near_m, middle_m)
    guess = guess.moved(np.array([-near_m, 0.0]))
    found = snapped([*rooms, guess], len(rooms), wall_m)
    return found if found.floor.intersection(covered).area < _SMALLEST_OVERLAP_M2 else guess
