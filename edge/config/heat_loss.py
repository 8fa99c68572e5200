"""The section of config.yaml that says what a camera's room loses heat to; sizes come from the layout."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from edge.config.values import Positive, Section, problem
from edge.derive.heat_loss.ground import Ground
from edge.derive.heat_loss.presets import PresetName, RoomKind
from edge.derive.heat_loss.settings import (
    Border,
    Climate,
    Opening,
    OpeningKind,
    Setback,
    Settings,
    To,
    Uncertainty,
    WallStretch,
)
from edge.derive.heat_loss.u_values import Construction, Roof, SurfaceKind, UTable
from edge.derive.heat_loss.ventilation import GroundFloor, Leakage, Masonry, Shielding

Celsius = Annotated[float, Field(ge=-60, le=60)]
UValue = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Azimuth = Annotated[float, Field(ge=-360, le=360)]


class DesignConfig(Section):
    """The temperatures that heating is designed for."""

    outside_c: Celsius = Field(
        description="design temperature outside, °C: London -1.8, Manchester -2.2, Edinburgh -3.4, Berlin -14",
        examples=[-3.0],
    )
    inside_c: Celsius | None = Field(default=None, description="inside, °C; null: the method's for this kind of room")
    mean_outside_c: Celsius | None = Field(default=None, description="mean of the year outside, °C; null: 10")
    degree_days_k_day: Positive | None = Field(
        default=None, description="heating degree days of a year, K d; null: no energy of a year is told"
    )
    scop: Annotated[float, Field(ge=1, le=10)] | None = Field(
        default=None, description="heat of a year over the heat pump's electricity; null: no electricity is told"
    )

    @model_validator(mode="after")
    def _colder_outside(self) -> DesignConfig:
        if self.inside_c is not None and self.inside_c <= self.outside_c:
            raise problem("it is not warmer inside than outside", "Give the temperature of a cold day", "outside_c")
        return self


class UValuesConfig(Section):
    """U-values, W/m2K; null: usual for the age."""

    wall: UValue | None = Field(default=None, description="of walls to the outside and to unheated spaces")
    window: UValue | None = None
    door: UValue | None = None
    floor: UValue | None = Field(default=None, description="of a floor on the ground: with the ground")
    ceiling: UValue | None = Field(default=None, description="of a roof, or the ceiling below a loft")

    @property
    def given(self) -> dict[SurfaceKind, float]:
        """Those that are not left to the age."""
        kinds: tuple[SurfaceKind, ...] = get_args(SurfaceKind)
        return {kind: u for kind in kinds if (u := getattr(self, kind)) is not None}


class OpeningConfig(Section):
    """Windows or doors."""

    kind: OpeningKind = "window"
    width_m: Positive
    height_m: Positive
    count: int = Field(default=1, ge=1, le=100)
    u: UValue | None = Field(default=None, description="W/m2K; null: as in `u`")


class BorderConfig(Section):
    """What a surface borders on."""

    to: To = Field(
        description="heated: another room of this home; neighbour: another home; unheated: garage, loft, cellar"
    )
    temperature_c: Celsius | None = Field(
        default=None, description="of what is there, °C; null: heated rooms are as warm, else as the method has it"
    )
    factor: Share | None = Field(
        default=None,
        description="unheated or neighbour: share of the difference to the outside (b), e.g. 0.4 with one outside "
        "wall, 0.9 for an uninsulated loft; instead of temperature_c",
    )
    u: UValue | None = Field(default=None, description="W/m2K; null: as in `u`")

    @model_validator(mode="after")
    def _one_temperature(self) -> BorderConfig:
        if self.to in ("outside", "ground") and (self.temperature_c, self.factor) != (None, None):
            key = "temperature_c" if self.temperature_c is not None else "factor"
            raise problem(f"what borders on the {self.to} has the design's temperature", f"Remove {key}", key)
        if self.factor is not None and (self.to == "heated" or self.temperature_c is not None):
            raise problem("factor is for unheated spaces and neighbours of unknown temperature", "Remove it", "factor")
        return self

    @property
    def border(self) -> Border:
        """As a plain value."""
        return Border(self.to, self.temperature_c, self.factor, self.u)


class WallConfig(BorderConfig):
    """The walls between two directions from the camera, clockwise."""

    bearing_deg: Annotated[tuple[Azimuth, Azimuth], Field(strict=False)] = Field(
        description="from, to: degrees to the right of yaw 0; [150, -150] is behind. A wall belongs here if 60 % of "
        "its length does",
        examples=[[-60, 60]],
    )
    openings: Annotated[tuple[OpeningConfig, ...] | None, Field(strict=False)] = Field(
        default=None, description="windows and doors; []: none; null: window_share of the wall if it is outside"
    )

    @property
    def stretch(self) -> WallStretch:
        """As a plain value."""
        openings = None if self.openings is None else tuple(_opening(o) for o in self.openings)
        return WallStretch(*self.bearing_deg, self.border, openings)


def _opening(opening: OpeningConfig) -> Opening:
    return Opening(opening.kind, opening.width_m, opening.height_m, opening.count, opening.u)


class GroundConfig(Section):
    """What a floor on the ground lies on (ISO 13370)."""

    conductivity_w_mk: Positive = Field(default=2.0, description="clay, silt 1.5; sand, gravel 2.0; rock 3.5")
    wall_thickness_m: Positive = Field(default=0.3, description="of the outside walls, m")
    water_factor: Positive = Field(default=1.0, description="1.15 where water stands less than 1 m below the floor")
    variation: Positive | None = Field(default=None, description="for the yearly swing; null: the method's, 1.45")
    characteristic_m: Positive | None = Field(
        default=None, description="the whole building's floor area over half of its outside edge, m; null: the room's"
    )


class LeakageConfig(Section):
    """How tight the building is; the preset cibse2026 computes the air of it."""

    q50_m3_h_m2: Positive | None = Field(default=None, description="measured at 50 Pa, m3/h m2; null: of what follows")
    walls: Masonry = "masonry"
    ground_floor: GroundFloor = Field(default="solid", description="of the building: suspended unsealed or sealed")
    draught_proofed: Share = Field(default=1.0, description="share of windows and doors")
    lobby: bool = Field(default=False, description="whether the entrance has a draught lobby")
    storeys: int = Field(default=2, ge=1, le=50)
    shielding: Shielding = Field(default="normal", description="from wind")
    vents: int = Field(default=0, ge=0, le=50, description="passive vents and intermittent fans of this room")
    flues: int = Field(default=0, ge=0, le=10, description="open flues below 200 mm and blocked fireplaces")
    wide_flues: int = Field(default=0, ge=0, le=10)


class SetbackConfig(Section):
    """A temperature that is lowered at night."""

    drop_k: int = Field(ge=1, le=3, description="by how much, K")
    recovery_h: int = Field(ge=1, le=4, description="how long warming up may take, h")


class UncertaintyConfig(Section):
    """Standard deviations: of lengths in m, of the mean temperature in K, else relative."""

    camera_height_m: NonNegative = 0.02
    ceiling_height_m: NonNegative = 0.03
    layout: Share = Field(default=0.02, description="of each length of the plan")
    layout_doubt: NonNegative = Field(default=1.0, description="added to it, times (1 - the layout's confidence)")
    u_known: Share = 0.10
    u_assumed: Share = 0.25
    air_known: Share = 0.15
    air_assumed: Share = 0.40
    openings_assumed: Share = 0.50
    mean_outside_k: NonNegative = 0.5


class HeatLossConfig(Section):
    """What the room loses at the coldest: method, building, and what is behind its surfaces."""

    design: DesignConfig
    preset: PresetName = Field(
        default="en12831",
        description="en12831: EN 12831-1 simplified; cibse2026: the guide's reduced EN method; mcs2021: MCS's sheet",
    )
    room: RoomKind = Field(default="living", description="its temperature and its air, by the method")
    built: int | None = Field(
        default=None, ge=1000, le=2100, description="year; gives U-values and air that are not given; null: 1970"
    )
    u_table: UTable = Field(default="england", description="whose usual U-values: england (RdSAP 10), germany")
    construction: Construction = Field(default="cavity", description="of the outside walls, where u.wall is not given")
    wall_mm: Positive = Field(default=230.0, description="thickness of walls of brick or stone, mm")
    roof: Roof = Field(default="pitched", description="where u.ceiling is not given")
    u: UValuesConfig = Field(default_factory=UValuesConfig)
    walls: Annotated[tuple[WallConfig, ...], Field(strict=False, min_length=1)] = Field(
        description="which walls border on what, by direction from the camera"
    )
    other_walls: BorderConfig | None = Field(default=None, description="all other walls; null: heated rooms as warm")
    floor: BorderConfig | None = Field(default=None, description="what is below; null: the ground")
    ceiling: BorderConfig | None = Field(default=None, description="what is above; null: a heated room as warm")
    window_share: Share = Field(default=0.15, description="of outside walls whose openings are not given")
    ground: GroundConfig = Field(default_factory=GroundConfig)
    air_changes_per_h: NonNegative | None = Field(default=None, description="null: the method's")
    air_heat_wh_m3k: Positive | None = Field(default=None, description="heat of air; null: the method's, 0.34 or 0.33")
    leakage: LeakageConfig = Field(default_factory=LeakageConfig)
    mechanical_m3_h: NonNegative = Field(default=0.0, description="air that a ventilation unit brings in, m3/h")
    heat_recovery: Share = Field(default=0.0, description="share of its heat that is recovered")
    thermal_bridge_w_m2k: NonNegative | None = Field(
        default=None, description="added to U-values; 0.02 new and proven, 0.05 new; null: the method's, 0.10 or 0"
    )
    building_ventilation_share: Share | None = Field(
        default=None, description="of the rooms' infiltration that the building has at a time; null: the method's"
    )
    neighbours_in_building: bool | None = Field(
        default=None, description="whether walls to other homes count for the heat pump too; null: as the method has it"
    )
    dimensions: Literal["internal", "external"] = Field(
        default="internal", description="external: areas to the outside of outer walls and the middle of others"
    )
    wall_thickness_m: Positive = Field(default=0.3, description="of outside walls, for external dimensions, m")
    partition_thickness_m: Positive = Field(default=0.1, description="of inner walls, for external dimensions, m")
    floor_thickness_m: Positive = Field(default=0.3, description="between storeys, for external dimensions, m")
    setback: SetbackConfig | None = Field(default=None, description="null: the heating runs through")
    uncertainty: UncertaintyConfig = Field(default_factory=UncertaintyConfig)

    @model_validator(mode="after")
    def _ground_is_below(self) -> HeatLossConfig:
        if self.ceiling is not None and self.ceiling.to == "ground":
            raise problem("the ground is not above a room", "Say outside for a roof", "ceiling", "to")
        for index, wall in enumerate(self.walls):
            if wall.to == "ground":
                raise problem("walls against the ground are not known", "Say unheated", "walls", index, "to")
        if self.other_walls is not None and self.other_walls.to == "ground":
            raise problem("walls against the ground are not known", "Say unheated", "other_walls", "to")
        return self

    @property
    def settings(self) -> Settings:
        """As plain values for `edge.derive.heat_loss`."""
        design = self.design
        given: dict[str, Any] = {
            "climate": Climate(design.outside_c, design.mean_outside_c, design.degree_days_k_day, design.scop),
            "inside_c": design.inside_c,
            "u": self.u.given,
            "walls": tuple(wall.stretch for wall in self.walls),
            "other_walls": None if self.other_walls is None else self.other_walls.border,
            "floor": None if self.floor is None else self.floor.border,
            "ceiling": None if self.ceiling is None else self.ceiling.border,
            "ground": Ground(**self.ground.model_dump()),
            "leakage": Leakage(**self.leakage.model_dump()),
            "setback": None if self.setback is None else Setback(**self.setback.model_dump()),
            "uncertainty": Uncertainty(**self.uncertainty.model_dump()),
        }
        names = (f.name for f in dataclasses.fields(Settings))
        return Settings(**given, **{name: getattr(self, name) for name in names if name not in given})
