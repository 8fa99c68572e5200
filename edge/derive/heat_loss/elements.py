"""The room's shell as elements, each with its area, its U-value and the difference that drives its loss.

Every number is an array of N draws (N = 1: as measured), so that the uncertainty runs through the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.derive.heat_loss.ground import NO_EDGE_FACTOR, R_INSIDE_M2K_W, R_OUTSIDE_M2K_W, slab_u_w_m2k
from edge.derive.heat_loss.settings import Border, Opening, Settings, To
from edge.derive.heat_loss.u_values import (
    SurfaceKind,
    ground_floor_m2k_w,
    inside_u_w_m2k,
    party_u_w_m2k,
    u_w_m2k,
)
from edge.derive.heat_loss.walls import KnownWall, known_walls, pushed_out
from edge.geometry.polygon import signed_area_m2

Array = npt.NDArray[np.float64]
Draws = Mapping[str, Array]
"""By uncertain input: factors (N,), of `mean_outside` differences in K. What is not there does not vary.

The inputs: camera_height, layout_x and layout_y (along the room's axes), ceiling_height, u.<kind>, air_changes,
openings, mean_outside.
"""

EXPOSED: tuple[To, ...] = ("outside", "unheated")
_ONE = np.ones(1)
_ZERO = np.zeros(1)


@dataclass(frozen=True, slots=True)
class Shape:
    """A room as measured: floor polygon (N, 2) counter-clockwise in the room frame, and the ceiling's height."""

    polygon_m: Array
    ceiling_height_m: float


@dataclass(frozen=True, slots=True)
class Element:
    """One surface of the shell."""

    name: str
    kind: SurfaceKind
    to: To
    area_m2: Array
    u_w_m2k: Array
    bridge_w_m2k: float
    difference_k: Array
    """Inside less what is behind it, as the method counts it."""
    u_assumed: bool
    size_assumed: bool
    border_assumed: bool
    """Whether nobody said what is behind it."""
    temperature_c: float | None = None
    edge: int | None = None
    """Of the floor polygon, from its corner of that number to the next."""

    @property
    def assumed(self) -> bool:
        """Whether anything of it is from neither the configuration nor the camera."""
        return self.u_assumed or self.size_assumed or self.border_assumed

    @property
    def conductance_w_k(self) -> Array:
        """Heat for each kelvin of `difference_k`."""
        return self.area_m2 * (self.u_w_m2k + self.bridge_w_m2k)

    @property
    def loss_w(self) -> Array:
        """Heat lost through it; negative: gained."""
        return self.conductance_w_k * self.difference_k


@dataclass(frozen=True, slots=True)
class _Wall:
    known: KnownWall
    border: Border
    gross_m2: Array
    length_m: Array


@dataclass(frozen=True, slots=True)
class Shell:
    """All elements of a room, and sizes that ventilation needs."""

    elements: tuple[Element, ...]
    floor_m2: Array
    volume_m3: Array
    exposed_m2: Array
    """Walls with their openings, floor and ceiling, as far as they border on the outside or an unheated space."""
    walls: tuple[KnownWall, ...]
    has_outside_wall: bool
    too_many_openings: tuple[str, ...]
    """Stretches of walls whose configured openings are larger than the walls."""


def factor(draws: Draws, name: str) -> Array:
    """An input's draws; 1 if it does not vary."""
    return draws.get(name, _ONE)


def shell_of(shape: Shape, settings: Settings, draws: Draws) -> Shell:
    """The elements of a room."""
    known = known_walls(shape.polygon_m, settings.walls)
    borders = [_border(wall, settings) for wall in known]
    outline = _outline(shape, settings, known, borders)
    scale = factor(draws, "camera_height")
    x, y = factor(draws, "layout_x"), factor(draws, "layout_y")
    clear_m = shape.ceiling_height_m * scale * factor(draws, "ceiling_height")
    height_m = clear_m + (settings.floor_thickness_m if settings.dimensions == "external" else 0.0)
    along = np.roll(outline, -1, axis=0) - outline
    walls = []
    for wall, border in zip(known, borders, strict=True):
        dx, dy = along[wall.edge]
        length_m = scale * np.hypot(dx * x, dy * y)
        walls.append(_Wall(wall, border, length_m * height_m, length_m))
    stretched = scale**2 * x * y
    floor_m2 = signed_area_m2(outline) * stretched
    groups, too_many = _walls_with_openings(walls, settings, draws)
    floor = _floor(settings, draws, floor_m2, walls)
    ceiling = _ceiling(settings, draws, floor_m2)
    inside_m2 = signed_area_m2(shape.polygon_m) * stretched
    gross = [w.gross_m2 for w in walls if w.border.to in EXPOSED]
    flat = [e.area_m2 for e in (floor, ceiling) if e.to in EXPOSED]
    return Shell(
        elements=(*groups, floor, ceiling),
        floor_m2=inside_m2,
        volume_m3=inside_m2 * clear_m,
        exposed_m2=np.asarray(sum([*gross, *flat], start=_ZERO)),
        walls=tuple(known),
        has_outside_wall=any(w.border.to == "outside" for w in walls),
        too_many_openings=too_many,
    )


def _border(wall: KnownWall, settings: Settings) -> Border:
    if wall.stretch is not None:
        return settings.walls[wall.stretch].border
    return settings.other_walls or Border("heated")


def _outline(shape: Shape, settings: Settings, known: Sequence[KnownWall], borders: Sequence[Border]) -> Array:
    """What areas are measured on: the room's inside, or the outside of outer walls and the middle of the others."""
    if settings.dimensions == "internal":
        return shape.polygon_m
    by_m = np.zeros(len(shape.polygon_m))
    for wall, border in zip(known, borders, strict=True):
        by_m[wall.edge] = settings.wall_thickness_m if border.to == "outside" else settings.partition_thickness_m / 2
    return pushed_out(shape.polygon_m, by_m)


# What drives the loss, and how well it is insulated -------------------------------------------------------------------


def _difference_k(border: Border, settings: Settings, draws: Draws) -> Array:
    inside_c, outside_c = settings.room_c, settings.climate.outside_c
    to_outside = np.array([inside_c - outside_c])
    method = settings.method
    if border.to == "outside":
        return to_outside
    if border.to == "ground":
        ground = settings.ground
        variation = method.ground_variation if ground.variation is None else ground.variation
        mean_c = settings.climate.mean_c + draws.get("mean_outside", _ZERO)
        return np.asarray(variation * ground.water_factor * (inside_c - mean_c))
    if border.to == "heated":
        return np.array([0.0 if border.temperature_c is None else inside_c - border.temperature_c])
    behind_c, share = _behind(border, settings)
    return np.array([inside_c - behind_c]) if behind_c is not None else share * to_outside


def _behind(border: Border, settings: Settings) -> tuple[float | None, float]:
    """Temperature of an unheated space or another home if it is known, else its factor."""
    method = settings.method
    if border.to == "unheated":
        usual_c, usual = method.unheated_c, method.unheated_factor
    else:
        usual_c, usual = method.neighbour_c, method.neighbour_factor
    if border.temperature_c is not None:
        return border.temperature_c, usual
    return (None, border.factor) if border.factor is not None else (usual_c, usual)


def _u(kind: SurfaceKind, border: Border, settings: Settings, given: float | None = None) -> tuple[float, bool]:
    """U-value, and whether it is assumed."""
    for known in (given, border.u_w_m2k if kind not in ("window", "door") else None):
        if known is not None:
            return known, False
    if border.to == "heated":
        return inside_u_w_m2k(kind), True
    if border.to == "neighbour":
        return party_u_w_m2k(kind), True
    if kind in settings.u:
        return settings.u[kind], False
    value = u_w_m2k(
        kind,
        settings.u_table,
        settings.year,
        construction=settings.construction,
        wall_mm=settings.wall_mm,
        roof=settings.roof,
    )
    return value, True


def _element(
    name: str,
    kind: SurfaceKind,
    border: Border,
    area_m2: Array,
    settings: Settings,
    draws: Draws,
    *,
    given_u: float | None = None,
    size_assumed: bool = False,
    border_assumed: bool = False,
    edge: int | None = None,
) -> Element:
    u, guessed = _u(kind, border, settings, given_u)
    return Element(
        name=name,
        kind=kind,
        to=border.to,
        area_m2=area_m2,
        u_w_m2k=u * factor(draws, f"u.{kind}"),
        bridge_w_m2k=settings.bridge_w_m2k if border.to in EXPOSED else 0.0,
        difference_k=_difference_k(border, settings, draws),
        u_assumed=guessed,
        size_assumed=size_assumed,
        border_assumed=border_assumed,
        temperature_c=border.temperature_c,
        edge=edge,
    )


# Walls and their openings ---------------------------------------------------------------------------------------------


def _walls_with_openings(
    walls: Sequence[_Wall], settings: Settings, draws: Draws
) -> tuple[list[Element], tuple[str, ...]]:
    elements: list[Element] = []
    too_many: list[str] = []
    for stretch in sorted({w.known.stretch for w in walls}, key=lambda s: -1 if s is None else s):
        members = [w for w in walls if w.known.stretch == stretch]
        gross_m2 = np.asarray(sum((w.gross_m2 for w in members), start=_ZERO))
        longest = max(members, key=lambda w: float(w.length_m[0]))
        openings = _openings(stretch, longest.border, gross_m2, settings, draws)
        opened_m2 = np.asarray(sum((area for _, area, _ in openings), start=_ZERO))
        share = np.minimum(opened_m2 / gross_m2, 1.0)
        if float(opened_m2[0]) > float(gross_m2[0]) and stretch is not None:
            too_many.append(f"{settings.walls[stretch].from_deg:g} to {settings.walls[stretch].to_deg:g} degrees")
        fitting = np.minimum(gross_m2 / np.maximum(opened_m2, 1e-9), 1.0)
        for wall in members:
            name = f"wall at {wall.known.from_deg:.0f} to {wall.known.to_deg:.0f} degrees"
            area_m2 = wall.gross_m2 * (1.0 - share)
            unknown = wall.known.stretch is None
            elements.append(
                _element(
                    name, "wall", wall.border, area_m2, settings, draws, border_assumed=unknown, edge=wall.known.edge
                )
            )
        for opening, area_m2, assumed in openings:
            name = f"{opening.kind} at {longest.known.from_deg:.0f} to {longest.known.to_deg:.0f} degrees"
            elements.append(
                _element(
                    name,
                    opening.kind,
                    longest.border,
                    area_m2 * fitting,
                    settings,
                    draws,
                    given_u=opening.u_w_m2k,
                    size_assumed=assumed,
                    edge=longest.known.edge,
                )
            )
    return elements, tuple(too_many)


def _openings(
    stretch: int | None, border: Border, gross_m2: Array, settings: Settings, draws: Draws
) -> list[tuple[Opening, Array, bool]]:
    """Openings of a stretch with their areas, and whether they are assumed."""
    known = None if stretch is None else settings.walls[stretch].openings
    if known is not None:
        return [(opening, np.array([opening.area_m2]), False) for opening in known]
    if border.to != "outside" or settings.window_share <= 0:
        return []
    area_m2 = np.minimum(settings.window_share * factor(draws, "openings"), 1.0) * gross_m2
    return [(Opening("window", 0.0, 0.0), area_m2, True)]


# Floor and ceiling ----------------------------------------------------------------------------------------------------


def _ceiling(settings: Settings, draws: Draws, area_m2: Array) -> Element:
    border = settings.ceiling or Border("heated")
    return _element("ceiling", "ceiling", border, area_m2, settings, draws, border_assumed=settings.ceiling is None)


def _floor(settings: Settings, draws: Draws, area_m2: Array, walls: Sequence[_Wall]) -> Element:
    border = settings.floor or Border("ground")
    known = border.u_w_m2k if border.u_w_m2k is not None else settings.u.get("floor")
    if border.to != "ground" or known is not None:
        return _element(
            "floor", "floor", border, area_m2, settings, draws, given_u=known, border_assumed=settings.floor is None
        )
    edge_m = np.asarray(sum((w.length_m for w in walls if w.border.to in EXPOSED), start=_ZERO))
    resistance = ground_floor_m2k_w(settings.u_table, settings.year)
    if settings.ground.characteristic_m is not None or float(edge_m[0]) > 0:
        own_m = 2.0 * area_m2 / np.maximum(edge_m, 1e-9)
        width_m = own_m if settings.ground.characteristic_m is None else settings.ground.characteristic_m
        u = slab_u_w_m2k(width_m, resistance, settings.ground)
    else:
        u = np.array([NO_EDGE_FACTOR / (R_INSIDE_M2K_W + resistance + R_OUTSIDE_M2K_W)])
    return Element(
        name="floor",
        kind="floor",
        to="ground",
        area_m2=area_m2,
        u_w_m2k=u * factor(draws, "u.floor"),
        bridge_w_m2k=0.0,
        difference_k=_difference_k(border, settings, draws),
        u_assumed=True,
        size_assumed=False,
        border_assumed=settings.floor is None,
    )
