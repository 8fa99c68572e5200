"""How much outside air a room takes: by leakage measured or estimated at 50 Pa (CIBSE 2026's reduced EN method)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shielding = Literal["none", "normal", "intensive"]
Masonry = Literal["masonry", "frame"]
GroundFloor = Literal["unsealed", "sealed", "solid"]

_SHIELDINGS: tuple[Shielding, ...] = ("none", "normal", "intensive")
_WALLS = {"masonry": 0.35, "frame": 0.25}
_FLOORS = {"unsealed": 0.20, "sealed": 0.10, "solid": 0.0}
_STOREYS = (0.0, 0.05, 0.07, 0.08)
_Q50_PER_AIR_CHANGE = ((2, (14.3, 20.0, 33.3)), (4, (14.3, 20.0, 20.0)), (8, (12.5,) * 3), (99, (9.1,) * 3))
_TYPICAL = ((2, (0.07, 0.05, 0.03)), (4, (0.07, 0.05, 0.05)), (8, (0.08,) * 3), (99, (0.11,) * 3))
_VENT_M3_H = 54.0
_FLUE_M3_H = 109.0
_WIDE_FLUE_M3_H = 435.0
WINDWARD = 2.0
"""A room on the side of the wind has twice the leakage of the building's mean."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """How tight a building is, and what openings to the outside one room has."""

    q50_m3_h_m2: float | None = None
    """Measured at 50 Pa, a square metre of envelope; None: estimated from what follows."""
    walls: Masonry = "masonry"
    ground_floor: GroundFloor = "solid"
    draught_proofed: float = 1.0
    """Share of windows and doors."""
    lobby: bool = False
    storeys: int = 2
    shielding: Shielding = "normal"
    vents: int = 0
    """Passive vents and fans that do not always run."""
    flues: int = 0
    """Open flues narrower than 200 mm, blocked ones and blocked fireplaces."""
    wide_flues: int = 0


def _of(table: tuple[tuple[int, tuple[float, ...]], ...], leakage: Leakage) -> float:
    row = next(row for storeys, row in table if leakage.storeys <= storeys)
    return row[_SHIELDINGS.index(leakage.shielding)]


def q50_m3_h_m2(leakage: Leakage) -> float:
    """Leakage of a square metre of envelope at 50 Pa: measured, or the sum of air changes times a factor."""
    if leakage.q50_m3_h_m2 is not None:
        return leakage.q50_m3_h_m2
    air_changes = _WALLS[leakage.walls] + _FLOORS[leakage.ground_floor]
    air_changes += 0.30 - 0.20 * leakage.draught_proofed - 0.05 * leakage.lobby
    air_changes += _STOREYS[min(leakage.storeys, len(_STOREYS)) - 1]
    return air_changes * _of(_Q50_PER_AIR_CHANGE, leakage)


def typical_share(leakage: Leakage) -> float:
    """What of the leakage at 50 Pa passes in ordinary wind."""
    return _of(_TYPICAL, leakage)


def openings_m3_h(leakage: Leakage) -> float:
    """Leakage at 50 Pa of the room's vents, fans and flues."""
    return leakage.vents * _VENT_M3_H + leakage.flues * _FLUE_M3_H + leakage.wide_flues * _WIDE_FLUE_M3_H
