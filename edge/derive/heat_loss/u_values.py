"""U-values of buildings of which only the age is known: England's of RdSAP 10, Germany's of EN 12831-1 table B.15.

All in W/m2K. Other countries: the TABULA/EPISCOPE typologies; they go into the configuration as numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

from edge.derive.heat_loss.ground import slab_resistance_m2k_w

UTable = Literal["england", "germany"]
Construction = Literal["cavity", "cavity_filled", "solid_brick", "granite", "sandstone", "timber", "solid"]
Roof = Literal["pitched", "flat"]
SurfaceKind = Literal["wall", "window", "door", "floor", "ceiling"]

_ENGLAND_FROM = (1900, 1930, 1950, 1967, 1976, 1983, 1991, 1996, 2003, 2007, 2012, 2023)
"""First year of the bands B to M; A is what is older."""
_BANDS = "ABCDEFGHIJKLM"
_Bands = tuple[float, ...]

_NEW: _Bands = (0.45, 0.35, 0.30, 0.28, 0.26)
"""Walls of every kind from band I."""


def _old(u: float, f: float, g: float, h: float) -> _Bands:
    return (*(u,) * 5, f, g, h, *_NEW)


_SOLID_BRICK_MM = ((200.0, 2.5), (280.0, 1.7), (420.0, 1.4))
_WALLS: dict[Construction, _Bands] = {
    "cavity": _old(1.5, 1.0, 0.6, 0.6),
    "cavity_filled": _old(0.7, 0.4, 0.35, 0.35),
    "timber": (2.5, 1.9, 1.9, 1.0, 0.8, 0.45, 0.4, 0.4, 0.4, 0.35, 0.30, 0.28, 0.26),
}
_FLAT_ROOF: _Bands = (2.3, 2.3, 2.3, 2.3, 1.5, 0.68, 0.4, 0.35, 0.35, 0.25, 0.25, 0.18, 0.15)
_PITCHED_ROOF: _Bands = (*(0.4,) * 7, 0.3, 0.26, 0.16, 0.16, 0.16, 0.15)
_EXPOSED_FLOOR: _Bands = (*(1.2,) * 7, 0.51, 0.51, 0.25, 0.22, 0.22, 0.18)
_STONE = {"granite": (45.315, -0.513), "sandstone": (54.876, -0.561)}
_STONE_LATER = _old(1.7, 1.0, 0.6, 0.6)
"""Stone walls from band E; not read in RdSAP's own text, so who uses one is told (`is_unread`)."""

_GERMANY_FROM = (1919, 1949, 1958, 1969, 1979, 1984, 1995)
_GERMANY: dict[str, _Bands] = {
    "wall.solid": (1.7, 1.7, 1.4, 1.4, 1.0, 0.8, 0.6, 0.5),
    "wall.timber": (2.0, 2.0, 1.4, 1.4, 0.6, 0.5, 0.4, 0.4),
    "floor": (1.2, 1.2, 1.5, 1.0, 1.0, 0.8, 0.6, 0.6),
    "ceiling.flat": (2.1, 2.1, 2.1, 2.1, 0.6, 0.5, 0.4, 0.3),
    "ceiling.pitched": (1.0, 0.8, 0.8, 0.8, 0.6, 0.4, 0.3, 0.3),
    "window": (*(2.7,) * 7, 1.8),
    "door": (3.5,) * 8,
}
_INSIDE = {"wall": 2.0, "floor": 1.0, "ceiling": 1.0, "window": 3.0, "door": 2.5}
"""Between two heated rooms: partitions, intermediate floors, doors (ISSO 51's examples have about these)."""
_INSULATION_W_MK = 0.035
_PARTY_WALL = 0.5
"""RdSAP: an unfilled cavity between two homes."""


def band(built: int) -> str:
    """England's age band, A to M."""
    return _BANDS[bisect_right(_ENGLAND_FROM, built)]


def is_unread(table: UTable, built: int, construction: Construction) -> bool:
    """Whether a wall's value stands in no text that was read: it is told as an assumption of its own."""
    return table == "england" and construction in _STONE and bisect_right(_ENGLAND_FROM, built) >= _BANDS.index("E")


def inside_u_w_m2k(kind: SurfaceKind) -> float:
    """Between two heated rooms of the same home."""
    return _INSIDE[kind]


def party_u_w_m2k(kind: SurfaceKind) -> float:
    """Between two homes."""
    return _PARTY_WALL if kind == "wall" else _INSIDE[kind]


def u_w_m2k(
    kind: SurfaceKind,
    table: UTable,
    built: int,
    *,
    construction: Construction = "cavity",
    wall_mm: float = 230.0,
    roof: Roof = "pitched",
) -> float:
    """What a surface of a home of that year has, that borders on the outside, on the ground or on an unheated space."""
    if table == "germany":
        key = {"wall": f"wall.{'timber' if construction == 'timber' else 'solid'}", "ceiling": f"ceiling.{roof}"}
        return _GERMANY[key.get(kind, kind)][bisect_right(_GERMANY_FROM, built)]
    index = bisect_right(_ENGLAND_FROM, built)
    if kind == "wall":
        return _english_wall(index, construction, wall_mm)
    if kind == "window":
        return 1.4 if built >= 2022 else 2.0 if built >= 2003 else 2.8
    if kind == "door":
        return 3.0 if index <= _BANDS.index("J") else 1.4
    if kind == "floor":
        return _EXPOSED_FLOOR[index]
    return (_FLAT_ROOF if roof == "flat" else _PITCHED_ROOF)[index]


def ground_floor_m2k_w(table: UTable, built: int) -> float:
    """Thermal resistance of the layers of a floor on the ground.

    England: none before 1996, then 25, 75 and 100 mm of insulation (RdSAP). Germany: of the table's U-value.
    """
    if table == "germany":
        return slab_resistance_m2k_w(_GERMANY["floor"][bisect_right(_GERMANY_FROM, built)])
    insulation_mm = (*(0.0,) * 8, 25.0, 75.0, 100.0, 100.0, 100.0)[bisect_right(_ENGLAND_FROM, built)]
    return insulation_mm / 1000.0 / _INSULATION_W_MK


def _english_wall(index: int, construction: Construction, wall_mm: float) -> float:
    if construction in _STONE:
        factor, power = _STONE[construction]
        stone = factor * wall_mm**power
        return stone if index < _BANDS.index("E") else _STONE_LATER[index]
    if construction in ("solid_brick", "solid"):
        brick = next((u for up_to, u in _SOLID_BRICK_MM if wall_mm <= up_to), 1.1)
        return _old(brick, 1.0, 0.6, 0.6)[index]
    return _WALLS[construction][index]
