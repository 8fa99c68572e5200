"""What is known of a room and its building beside its shape; None: taken from the method or from the age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.derive.heat_loss.ground import Ground
from edge.derive.heat_loss.presets import PRESETS, Preset, PresetName, RoomKind, inside_temperature_c
from edge.derive.heat_loss.u_values import Construction, Roof, SurfaceKind, UTable
from edge.derive.heat_loss.ventilation import Leakage

To = Literal["outside", "heated", "unheated", "neighbour", "ground"]
"""What a surface borders on: neighbour is another home, heated another room of the same one."""
OpeningKind = Literal["window", "door"]

UNKNOWN_AGE = 1970
UNKNOWN_MEAN_C = 10.0
"""Outside, of the year: that of England and of the Netherlands."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Windows or doors of a wall."""

    kind: OpeningKind
    width_m: float
    height_m: float
    count: int = 1
    u_w_m2k: float | None = None

    @property
    def area_m2(self) -> float:
        """Of all of them."""
        return self.width_m * self.height_m * self.count


@dataclass(frozen=True, slots=True)
class Border:
    """What a surface borders on."""

    to: To
    temperature_c: float | None = None
    """Of what is there; of a heated room None: as warm as here."""
    factor: float | None = None
    """Of an unheated space or a neighbour: share of the difference to the outside (b)."""
    u_w_m2k: float | None = None


@dataclass(frozen=True, slots=True)
class WallStretch:
    """The walls between two directions from the camera."""

    from_deg: float
    """Room azimuth: 0 forward, positive to the right; the stretch runs clockwise to `to_deg`."""
    to_deg: float
    border: Border
    openings: tuple[Opening, ...] | None = None
    """None: not known."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Standard deviations: of lengths in metres, else relative."""

    camera_height_m: float = 0.02
    ceiling_height_m: float = 0.03
    layout: float = 0.02
    layout_doubt: float = 1.0
    """Added to `layout` times (1 - the layout's confidence)."""
    u_known: float = 0.10
    u_assumed: float = 0.25
    air_known: float = 0.15
    air_assumed: float = 0.40
    openings_assumed: float = 0.50
    mean_outside_k: float = 0.5


@dataclass(frozen=True, slots=True)
class Climate:
    """Temperatures outside, and how cold the year is."""

    outside_c: float
    mean_outside_c: float | None = None
    """Of the year; None: `UNKNOWN_MEAN_C`."""
    degree_days_k_day: float | None = None
    scop: float | None = None
    """Heat that the heat pump gives in a year for its electricity (seasonal coefficient of performance)."""

    @property
    def mean_c(self) -> float:
        """Of the year outside, or what is assumed."""
        return UNKNOWN_MEAN_C if self.mean_outside_c is None else self.mean_outside_c


@dataclass(frozen=True, slots=True)
class Setback:
    """A temperature that is lowered and made up for."""

    drop_k: int
    recovery_h: int


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it."""

    climate: Climate
    preset: PresetName = "en12831"
    room: RoomKind = "living"
    inside_c: float | None = None
    built: int | None = None
    u_table: UTable = "england"
    construction: Construction = "cavity"
    wall_mm: float = 230.0
    roof: Roof = "pitched"
    u: Mapping[SurfaceKind, float] = field(default_factory=dict)
    walls: tuple[WallStretch, ...] = ()
    other_walls: Border | None = None
    """Those in no stretch; None: to rooms as warm."""
    floor: Border | None = None
    """None: on the ground."""
    ceiling: Border | None = None
    """None: to rooms as warm."""
    window_share: float = 0.15
    """Of an outside wall whose openings are not known."""
    ground: Ground = field(default_factory=Ground)
    air_changes_per_h: float | None = None
    air_heat_wh_m3k: float | None = None
    leakage: Leakage = field(default_factory=Leakage)
    mechanical_m3_h: float = 0.0
    heat_recovery: float = 0.0
    thermal_bridge_w_m2k: float | None = None
    building_ventilation_share: float | None = None
    neighbours_in_building: bool | None = None
    dimensions: Literal["internal", "external"] = "internal"
    wall_thickness_m: float = 0.3
    partition_thickness_m: float = 0.1
    floor_thickness_m: float = 0.3
    setback: Setback | None = None
    uncertainty: Uncertainty = field(default_factory=Uncertainty)

    @property
    def method(self) -> Preset:
        """The preset's constants."""
        return PRESETS[self.preset]

    @property
    def year(self) -> int:
        """When it was built, or what is assumed."""
        return UNKNOWN_AGE if self.built is None else self.built

    @property
    def room_c(self) -> float:
        """The design temperature inside."""
        return inside_temperature_c(self.method, self.room, self.year) if self.inside_c is None else self.inside_c

    @property
    def bridge_w_m2k(self) -> float:
        """Added to U-values for thermal bridges."""
        given = self.thermal_bridge_w_m2k
        return self.method.thermal_bridge_w_m2k if given is None else given

    @property
    def air_wh_m3k(self) -> float:
        """Heat that a cubic metre of air carries away for each kelvin."""
        return self.method.air_heat_wh_m3k if self.air_heat_wh_m3k is None else self.air_heat_wh_m3k

    @property
    def air_share_in_building(self) -> float:
        """How much of the rooms' infiltration the building has at a time."""
        given = self.building_ventilation_share
        return self.method.building_ventilation_share if given is None else given

    @property
    def counts_neighbours(self) -> bool:
        """Whether walls to other homes count for the heat generator too."""
        given = self.neighbours_in_building
        return self.method.neighbours_in_building if given is None else given
