"""A room's heat loss from its layout: whether there can be one, the loads, how sure they are, what was assumed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.derive.heat_loss.assumptions import assumptions
from edge.derive.heat_loss.elements import Shape
from edge.derive.heat_loss.loads import Loads, loads_of
from edge.derive.heat_loss.settings import Settings
from edge.derive.heat_loss.uncertainty import Measurement, Spread, spread_of
from edge.scene import RoomLayout

_HOURS_A_DAY = 24.0
_W_PER_KW = 1000.0
PLAUSIBLE_W_M2 = (10.0, 200.0)
"""New homes need 20 to 40 W for each square metre of floor, old insulated ones 50 to 80, others above 100."""


@dataclass(frozen=True, slots=True)
class HeatLoss:
    """All that is said of a room's heat loss."""

    shape: Shape
    settings: Settings
    loads: Loads
    spread: Spread
    annual_kwh: float | None
    """For heating, by degree days, without what sun and people give; None: degree days are not known."""
    assumptions: tuple[str, ...]

    @property
    def per_m2_w(self) -> float:
        """Of floor."""
        return float(self.loads.total_w[0] / self.loads.shell.floor_m2[0])

    @property
    def plausible(self) -> bool:
        """Whether that is in the range of homes."""
        return PLAUSIBLE_W_M2[0] <= self.per_m2_w <= PLAUSIBLE_W_M2[1]


def why_not(layout: RoomLayout) -> str | None:
    """Why a layout has no heat loss; None if it has."""
    if layout.scale != "metric":
        return "sizes are not in metres; set camera_height_m of the camera"
    if layout.extent != "room":
        return "only a part of the room is in view; a panorama camera sees all of it"
    return None


def heat_loss_of(layout: RoomLayout, settings: Settings) -> HeatLoss:
    """The heat loss of a layout of which `why_not` says nothing."""
    shape = Shape(np.asarray(layout.polygon_m, dtype=np.float64), layout.ceiling_height_m)
    return heat_loss(shape, settings, Measurement(layout.camera_height_m, layout.confidence))


def heat_loss(shape: Shape, settings: Settings, measurement: Measurement) -> HeatLoss:
    """The heat loss of a room, however it was measured."""
    loads = loads_of(shape, settings, {})
    return HeatLoss(
        shape=shape,
        settings=settings,
        loads=loads,
        spread=spread_of(shape, settings, measurement, loads),
        annual_kwh=_annual_kwh(settings, loads),
        assumptions=assumptions(settings, loads),
    )


def _annual_kwh(settings: Settings, loads: Loads) -> float | None:
    difference_k = settings.room_c - settings.climate.outside_c
    degree_days = settings.climate.degree_days_k_day
    if degree_days is None or difference_k <= 0:
        return None
    w_k = float(loads.building_transmission_w[0] + loads.building_ventilation_w[0]) / difference_k
    return w_k * degree_days * _HOURS_A_DAY / _W_PER_KW
