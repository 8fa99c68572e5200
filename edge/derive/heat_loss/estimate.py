"""A room's heat loss from its layout: whether there can be one, the loads, how sure they are, what was assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from edge.derive.heat_loss.assumptions import assumptions, two_digits
from edge.derive.heat_loss.elements import Shape
from edge.derive.heat_loss.loads import Loads, loads_of
from edge.derive.heat_loss.settings import Settings
from edge.derive.heat_loss.uncertainty import Measurement, Spread, spread_of
from edge.scene import RoomLayout, Scale

_HOURS_A_DAY = 24.0
_W_PER_KW = 1000.0
PLAUSIBLE_W_M2 = (10.0, 200.0)
"""New homes need 20 to 40 W for each square metre of floor, old insulated ones 50 to 80, others above 100."""


@dataclass(frozen=True, slots=True)
class HeatLoss:
    """All that is said of a room's heat loss."""

    shape: Shape
    settings: Settings
    measurement: Measurement
    loads: Loads
    spread: Spread
    annual_kwh: float | None
    """Heat, by degree days, without what sun and people give; None: degree days are not known."""
    annual_electricity_kwh: float | None
    """What a heat pump takes to give it; None: heat or its seasonal performance are not known."""
    assumptions: tuple[str, ...]

    @property
    def per_m2_w(self) -> float:
        """Of floor."""
        return _per_m2_w(self.loads)

    @property
    def plausible(self) -> bool:
        """Whether that is in the range of homes."""
        return _is_plausible(self.per_m2_w)


class Measured(Protocol):
    """A layout, or what a message says of one."""

    @property
    def scale(self) -> Scale:
        """Whether in metres."""

    @property
    def extent(self) -> Literal["room", "visible"]:
        """Whether the whole room."""


def why_not(layout: Measured) -> str | None:
    """Why a layout has no heat loss; None if it has."""
    if layout.scale != "metric":
        return "sizes are not in metres; set camera_height_m of the camera"
    if layout.extent != "room":
        return "only a part of the room is in view; a panorama camera sees all of it"
    return None


def implausible(layout: RoomLayout, settings: Settings) -> str | None:
    """What is wrong with the loss of such a layout; None if it is in the range of homes."""
    w_m2 = _per_m2_w(loads_of(_shape(layout), settings, {}))
    if _is_plausible(w_m2):
        return None
    low, high = PLAUSIBLE_W_M2
    return (
        f"{two_digits(w_m2)} W for each m² of floor, homes have {low:.0f} to {high:.0f}; check the section heat_loss "
        "(walls, u, air_changes_per_h, design) and camera_height_m"
    )


def _per_m2_w(loads: Loads) -> float:
    return float(loads.total_w[0] / loads.shell.floor_m2[0])


def _is_plausible(w_m2: float) -> bool:
    return PLAUSIBLE_W_M2[0] <= w_m2 <= PLAUSIBLE_W_M2[1]


def _shape(layout: RoomLayout) -> Shape:
    return Shape(np.asarray(layout.polygon_m, dtype=np.float64), layout.ceiling_height_m)


def heat_loss_of(layout: RoomLayout, settings: Settings) -> HeatLoss:
    """The heat loss of a layout of which `why_not` says nothing."""
    return heat_loss(_shape(layout), settings, Measurement(layout.camera_height_m, layout.confidence))


def heat_loss(shape: Shape, settings: Settings, measurement: Measurement) -> HeatLoss:
    """The heat loss of a room, however it was measured."""
    loads = loads_of(shape, settings, {})
    annual_kwh = _annual_kwh(settings, loads)
    scop = settings.climate.scop
    return HeatLoss(
        shape=shape,
        settings=settings,
        measurement=measurement,
        loads=loads,
        spread=spread_of(shape, settings, measurement, loads),
        annual_kwh=annual_kwh,
        annual_electricity_kwh=None if annual_kwh is None or scop is None else annual_kwh / scop,
        assumptions=assumptions(settings, loads),
    )


def _annual_kwh(settings: Settings, loads: Loads) -> float | None:
    difference_k = settings.room_c - settings.climate.outside_c
    degree_days = settings.climate.degree_days_k_day
    if degree_days is None or difference_k <= 0:
        return None
    w_k = float(loads.building_transmission_w[0] + loads.building_ventilation_w[0]) / difference_k
    return w_k * degree_days * _HOURS_A_DAY / _W_PER_KW
