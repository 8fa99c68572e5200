"""What a room needs at the design temperature outside, and what it adds to the need of its building."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.derive.heat_loss.elements import Draws, Element, Shape, Shell, factor, shell_of
from edge.derive.heat_loss.presets import (
    MINIMUM_AIR_CHANGES_PER_H,
    WET_OR_LIVED_IN,
    minimum_air_changes_per_h,
    reheat_w_m2,
    table_air_changes_per_h,
)
from edge.derive.heat_loss.settings import Settings, To
from edge.derive.heat_loss.ventilation import WINDWARD, openings_m3_h, q50_m3_h_m2, typical_share

Array = npt.NDArray[np.float64]

_BUILDING: tuple[To, ...] = ("outside", "unheated", "ground")
"""What a building loses heat to; from one of its rooms to another it loses none."""


@dataclass(frozen=True, slots=True)
class Loads:
    """Heat in W, N draws of each. A room's radiators give the room's total, the heat generator the building's."""

    shell: Shell
    transmission_w: Array
    """Clamped at 0: what a warmer neighbour gives is no reason to ventilate less."""
    ventilation_w: Array
    reheat_w: float
    building_transmission_w: Array
    building_ventilation_w: Array
    infiltration_m3_h: Array
    air_changes_per_h: Array
    """With the air that a ventilation unit brings in."""
    too_tight: bool
    """Whether less air comes in than people need."""

    @property
    def total_w(self) -> Array:
        """Of the room."""
        return self.transmission_w + self.ventilation_w + self.reheat_w

    @property
    def building_w(self) -> Array:
        """The room's part of what its building needs."""
        return self.building_transmission_w + self.building_ventilation_w + self.reheat_w


def loads_of(shape: Shape, settings: Settings, draws: Draws) -> Loads:
    """The loads of a room, of every draw; an empty mapping of draws: as measured."""
    shell = shell_of(shape, settings, draws)
    transmission_w = np.maximum(_sum(shell.elements), 0.0)
    counted = (*_BUILDING, "neighbour") if settings.counts_neighbours else _BUILDING
    building_w = np.maximum(_sum(e for e in shell.elements if e.to in counted), 0.0)
    infiltration_m3_h = _infiltration_m3_h(shell, settings) * factor(draws, "air_changes")
    difference_k = settings.room_c - settings.climate.outside_c
    infiltration_w = settings.air_wh_m3k * infiltration_m3_h * difference_k
    mechanical_w = settings.air_wh_m3k * settings.mechanical_m3_h * (1.0 - settings.heat_recovery) * difference_k
    air_m3_h = infiltration_m3_h + settings.mechanical_m3_h
    usual_m3_h = infiltration_m3_h / (WINDWARD if _is_windward(settings) else 1.0) + settings.mechanical_m3_h
    least_m3_h = MINIMUM_AIR_CHANGES_PER_H * float(shell.volume_m3[0])
    setback = settings.setback
    reheat = 0.0 if setback is None else reheat_w_m2(setback.drop_k, setback.recovery_h)
    return Loads(
        shell=shell,
        transmission_w=transmission_w,
        ventilation_w=infiltration_w + mechanical_w,
        reheat_w=reheat * float(shell.floor_m2[0]),
        building_transmission_w=building_w,
        building_ventilation_w=settings.air_share_in_building * infiltration_w + mechanical_w,
        infiltration_m3_h=infiltration_m3_h,
        air_changes_per_h=air_m3_h / shell.volume_m3,
        too_tight=settings.room in WET_OR_LIVED_IN and float(usual_m3_h[0]) < least_m3_h * (1 - 1e-9),
    )


def _sum(elements: Iterable[Element]) -> Array:
    return np.asarray(sum((e.loss_w for e in elements), start=np.zeros(1)))


def _is_windward(settings: Settings) -> bool:
    """Whether the room's air is that of the side of the wind, and not its usual one."""
    return settings.method.ventilation == "q50" and settings.air_changes_per_h is None


def _infiltration_m3_h(shell: Shell, settings: Settings) -> Array:
    """Outside air that a room's radiators must warm."""
    if settings.air_changes_per_h is not None:
        return settings.air_changes_per_h * shell.volume_m3
    if _is_windward(settings):
        leakage = settings.leakage
        at_50_pa = shell.exposed_m2 * q50_m3_h_m2(leakage) + openings_m3_h(leakage)
        return np.asarray(WINDWARD * typical_share(leakage) * at_50_pa)
    if settings.method.ventilation == "table":
        return table_air_changes_per_h(settings.room, settings.year) * shell.volume_m3
    return minimum_air_changes_per_h(settings.room, shell.has_outside_wall) * shell.volume_m3
