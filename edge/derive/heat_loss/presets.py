"""The three methods as constants, and what they prescribe for each kind of room.

Sources: EN 12831-1:2017 annex B (air, thermal bridges, minimum air change, factors of unheated spaces, reheating);
the reduced EN method of CIBSE's Domestic Heating Design Guide 2026; the design tables of the MCS heat pump calculator
1.10 (temperatures and air changes of the guide of 2015). The standards are paid documents: these are their numbers as
open projects and the spreadsheet give them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal["en12831", "cibse2026", "mcs2021"]
RoomKind = Literal[
    "living",
    "dining",
    "kitchen",
    "family",
    "hall",
    "wc",
    "dressing",
    "store",
    "bedroom",
    "bedroom_ensuite",
    "study",
    "bedsitting",
    "bath",
    "toilet",
    "utility",
    "internal",
]

BATH: tuple[RoomKind, ...] = ("bath",)
WET_OR_LIVED_IN: tuple[RoomKind, ...] = (
    *("living", "dining", "kitchen", "family", "bedroom", "bedroom_ensuite"),
    *("study", "bedsitting", "bath", "toilet", "wc", "utility"),
)
"""Rooms that must have air, by EN 12831-1 table B.7."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The constants of a method; each can be replaced by the configuration."""

    name: PresetName
    title: str
    air_heat_wh_m3k: float
    """Heat that a cubic metre of air carries away for each kelvin."""
    thermal_bridge_w_m2k: float
    """Added to the U-value of what borders on the outside or on an unheated space."""
    ventilation: Literal["minimum", "q50", "table"]
    building_ventilation_share: float
    """How much of the rooms' infiltration the whole building has at a time: wind blows on one side of it."""
    ground_variation: float
    """For the yearly swing of the ground's temperature (f_g1)."""
    neighbour_c: float | None
    """Temperature behind walls to other homes; None: `neighbour_factor` instead."""
    neighbour_factor: float
    unheated_c: float | None
    """Temperature of unheated spaces; None: `unheated_factor` instead."""
    unheated_factor: float
    neighbours_in_building: bool
    """Whether walls to other homes count for the heat generator too."""


PRESETS: dict[PresetName, Preset] = {
    "en12831": Preset(
        "en12831", "EN 12831-1 simplified", 0.34, 0.10, "minimum", 0.5, 1.45, None, 0.5, None, 0.5, False
    ),
    "cibse2026": Preset(
        "cibse2026", "CIBSE DHDG 2026 reduced", 0.34, 0.10, "q50", 0.5, 1.45, None, 0.5, None, 0.5, False
    ),
    "mcs2021": Preset("mcs2021", "MCS calculator 1.10", 0.33, 0.0, "table", 1.0, 1.0, 10.0, 0.5, 10.0, 0.5, True),
}
MINIMUM_AIR_CHANGES_PER_H = 0.5

_Row = tuple[float, float, float, float]
_ROOMS: dict[RoomKind, _Row] = {
    "living": (21, 1.5, 1.0, 0.5),
    "dining": (21, 1.5, 1.0, 0.5),
    "kitchen": (18, 2.0, 1.5, 1.5),
    "family": (21, 2.0, 1.5, 1.5),
    "hall": (18, 2.0, 1.0, 0.5),
    "wc": (18, 2.0, 1.5, 1.5),
    "dressing": (18, 1.5, 1.0, 0.5),
    "store": (16, 1.0, 0.5, 0.5),
    "bedroom": (18, 1.0, 1.0, 0.5),
    "bedroom_ensuite": (21, 2.0, 1.5, 1.0),
    "study": (21, 1.5, 1.5, 0.5),
    "bedsitting": (21, 1.5, 1.0, 0.5),
    "bath": (22, 3.0, 1.5, 1.5),
    "toilet": (18, 3.0, 1.5, 1.5),
    "utility": (18, 3.0, 2.0, 0.5),
    "internal": (18, 0.0, 0.0, 0.0),
}
"""Design temperature in degrees Celsius; air changes an hour of homes built before 2000, from 2000, after 2006."""

REHEAT_W_M2: dict[int, tuple[float, float, float]] = {
    1: (11.0, 22.0, 45.0),
    2: (6.0, 11.0, 22.0),
    3: (4.0, 9.0, 16.0),
    4: (2.0, 7.0, 13.0),
}
"""By hours of recovery after a setback of up to 8 h: for a drop by 1, 2 and 3 K (EN 12831-1's default table)."""


def inside_temperature_c(preset: Preset, room: RoomKind, built: int) -> float:
    """The design temperature of a room.

    EN 12831-1: 20, a bath 24. The British table, of which homes built after 2006 have 21 but for bath and store.
    """
    if preset.ventilation != "table":
        return 24.0 if room in BATH else 20.0
    if built > 2006:
        return {"bath": 22.0, "store": 16.0}.get(room, 21.0)
    return float(_ROOMS[room][0])


def table_air_changes_per_h(room: RoomKind, built: int) -> float:
    """Air changes by the British table, which is widely found to be high for old homes."""
    return _ROOMS[room][1 if built < 2000 else 2 if built <= 2006 else 3]


def minimum_air_changes_per_h(room: RoomKind, has_outside: bool) -> float:
    """Air changes by EN 12831-1: 0.5 where people live or water runs, none in a room without an outside wall."""
    return MINIMUM_AIR_CHANGES_PER_H if has_outside and room in WET_OR_LIVED_IN else 0.0


def reheat_w_m2(drop_k: int, recovery_h: int) -> float:
    """Extra output a square metre of floor to warm up again after a setback by `drop_k` (1 to 3) in `recovery_h`."""
    return REHEAT_W_M2[recovery_h][drop_k - 1]
