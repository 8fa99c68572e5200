"""What was assumed and not measured or configured, in sentences: who reads a heat loss must be able to object."""

from __future__ import annotations

import math

from edge.derive.heat_loss.loads import Loads
from edge.derive.heat_loss.settings import UNKNOWN_MEAN_C, Settings, To
from edge.derive.heat_loss.u_values import band, is_unread
from edge.derive.heat_loss.walls import ENOUGH

_PLURAL = {"wall": "walls", "window": "windows", "door": "doors", "floor": "the floor", "ceiling": "the ceiling"}
_BORDERS: dict[To, str] = {
    "outside": "the outside",
    "heated": "rooms of this home",
    "unheated": "unheated spaces",
    "neighbour": "other homes",
    "ground": "the ground",
}
_METHOD_AIR = {
    "minimum": "the minimum of EN 12831-1",
    "q50": "estimated from how the building is made (CIBSE 2026, reduced EN method); a room on the windy side",
    "table": "the British design table, which is widely found to be high for old homes (0.5 to 0.7 were measured)",
}
_MEASURED_IN_OLD_HOMES = 0.7
"""Air changes an hour: the upper end of what was measured where the British table has 1.5."""
DISCLAIMER = "An estimate from a camera by a simplified method; not a certified calculation, not MCS/EN 12831 evidence."


def assumptions(settings: Settings, loads: Loads) -> tuple[str, ...]:
    """One sentence for each assumption that this room's result rests on."""
    return (*_building(settings), *_surfaces(settings, loads), *_air(settings, loads), *_rest(settings, loads))


def _building(settings: Settings) -> list[str]:
    said = []
    if settings.built is None:
        said.append(f"The building's age is not given: taken as {settings.year}.")
    if settings.inside_c is None:
        said.append(f"Inside {settings.room_c:g} °C, as {settings.method.title} has for this kind of room.")
    return said


def _surfaces(settings: Settings, loads: Loads) -> list[str]:
    said = []
    elements = loads.shell.elements
    age = f"a home of {settings.year}"
    if settings.u_table == "england":
        age += f" (England, age band {band(settings.year)})"
    for kind in dict.fromkeys(e.kind for e in elements):
        guessed = [e for e in elements if e.kind == kind and e.u_assumed and float(abs(e.difference_k[0])) > 0]
        values = sorted({round(float(e.u_w_m2k[0]), 2) for e in guessed})
        if values:
            numbers = " and ".join(f"{v:g}" for v in values)
            on_ground = any(e.to == "ground" for e in guessed)
            how = (
                f"by ISO 13370 on ground of {settings.ground.conductivity_w_mk:g} W/mK, insulated as"
                if on_ground
                else ""
            )
            said.append(f"U-value of {_PLURAL[kind]} {numbers} W/m²K, {how or 'as'} usual in {age}.")
            if kind == "wall" and is_unread(settings.u_table, settings.year, settings.construction):
                said.append(
                    "For stone walls of that age RdSAP's own text was not at hand: look their U-value up there."
                )
    if any(e.size_assumed for e in elements):
        said.append(f"Windows are not configured: {settings.window_share:.0%} of the outside walls.")
    unknown = [w for w in loads.shell.walls if w.stretch is None]
    if unknown:
        other = settings.other_walls.to if settings.other_walls else "heated"
        places = ", ".join(f"{w.from_deg:.0f} to {w.to_deg:.0f}" for w in unknown)
        said.append(
            f"Walls at {places} degrees lie in no configured stretch by {ENOUGH:.0%} of their length: taken as "
            f"bordering on {_BORDERS[other]}."
        )
    for place in loads.shell.too_many_openings:
        said.append(f"The openings at {place} are larger than the walls there: cut to fit.")
    said += _behind(settings, loads)
    if settings.floor is None:
        said.append("What is below is not configured: taken as the ground.")
    if settings.ceiling is None:
        said.append("What is above is not configured: taken as a room as warm.")
    return said


def _behind(settings: Settings, loads: Loads) -> list[str]:
    """What the method says of temperatures that nobody gave."""
    said, method = [], settings.method
    borders = {w.border for w in settings.walls} | {settings.other_walls, settings.floor, settings.ceiling}
    open_ones = {b.to for b in borders if b is not None and b.temperature_c is None and b.factor is None}
    usual: tuple[tuple[To, str, float | None, float], ...] = (
        ("unheated", "Unheated spaces", method.unheated_c, method.unheated_factor),
        ("neighbour", "Other homes", method.neighbour_c, method.neighbour_factor),
    )
    present = {e.to for e in loads.shell.elements}
    for to, name, temperature_c, factor in usual:
        if to in open_ones & present:
            as_far = (
                f"{factor:.0%} of the difference to the outside" if temperature_c is None else f"{temperature_c:g} °C"
            )
            said.append(f"{name} whose temperature is not given: {as_far}, as {method.title} has it.")
    if "ground" in present and settings.climate.mean_outside_c is None:
        said.append(f"The year's mean outside is not given: {UNKNOWN_MEAN_C:g} °C, which the ground has.")
    return said


def _air(settings: Settings, loads: Loads) -> list[str]:
    said = []
    n = float(loads.air_changes_per_h[0])
    if settings.air_changes_per_h is None:
        said.append(f"{n:.2f} air changes an hour: {_METHOD_AIR[settings.method.ventilation]}.")
        if settings.method.ventilation == "table" and not settings.mechanical_m3_h and n > _MEASURED_IN_OLD_HOMES:
            whole, air = float(loads.total_w[0]), float(loads.ventilation_w[0])
            measured = whole - air * (1 - _MEASURED_IN_OLD_HOMES / n)
            said.append(
                f"With {_MEASURED_IN_OLD_HOMES:g} an hour the load is {two_digits(measured)} W instead of "
                f"{two_digits(whole)} W."
            )
    if loads.too_tight:
        said.append("Less outside air comes in than half of the room's an hour: people there need more.")
    return said


def _rest(settings: Settings, loads: Loads) -> list[str]:
    said = []
    bridge = settings.bridge_w_m2k
    if settings.thermal_bridge_w_m2k is None and bridge:
        said.append(f"Thermal bridges add {bridge:.2f} W/m²K to what borders on the outside.")
    if settings.setback is None:
        said.append("No extra output to warm up after a setback: the heating runs through.")
    if any(e.to == "neighbour" for e in loads.shell.elements) and not settings.counts_neighbours:
        said.append("Walls to other homes count for this room, not for the heat generator.")
    said.append(
        f"Sizes are {settings.dimensions} dimensions, as the camera measured them; ceilings are taken as level."
    )
    return said


def two_digits(value: float) -> str:
    """A number of a heat loss in a text, with two significant digits: more would pretend to be sure."""
    if abs(value) < 0.5:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return f"{round(value / step) * step:,.0f}".replace(",", "\u202f")
