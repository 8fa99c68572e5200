"""Sizes: lengths in words, in metres and in feet; and all of a room's as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal

import numpy as np

from edge.derive.home import PlacedRoom, sizes_of
from edge.derive.model import RoomModel
from edge.derive.objects import footprint

Units = Literal["m", "ft", "both"]

M_PER_FT = 0.3048
_INCHES = 12


def feet(length_m: float) -> str:
    """A length in feet and inches, to half an inch."""
    halves = round(length_m / M_PER_FT * _INCHES * 2)
    whole, rest = divmod(halves, 2 * _INCHES)
    inches = f"{rest / 2:.1f}".removesuffix(".0")
    return f"{whole}' {inches}\""


def in_words(length: float, model: RoomModel, units: Units = "both") -> str:
    """A length of this room; where its size is not known, in heights of the camera."""
    if model.scale != "metric":
        return f"{length:.2f} h"
    metres = f"{length:.2f} m"
    return {"m": metres, "ft": feet(length), "both": f"{metres} ({feet(length)})"}[units]


def square_metres(area_m2: float, units: Units = "both") -> str:
    """An area in words."""
    return f"{area_m2:.2f} m²" + ("" if units == "m" else f" ({area_m2 / M_PER_FT**2:.0f} ft²)")


def sizes_csv(model: RoomModel) -> bytes:
    """One row for the room, each surface, each opening, and each object: its width, its footprint's area, its front.

    Raises:
        GeometryError: the model's outline is none of a room.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    u = "m" if model.scale == "metric" else "h"
    length = [f"length_{u}", f"height_{u}", f"area_{u}2", f"volume_{u}3", f"start_x_{u}", f"start_y_{u}"]
    rows.writerow(["kind", "name", *length, f"end_x_{u}", f"end_y_{u}", f"sill_{u}", "confidence", "seen_fraction"])
    seen = {} if model.texture is None else model.texture.seen_fraction
    edges = {edge.name: edge for edge in model.edges}

    def row(kind: str, name: str, *values: object) -> None:
        padded = (*values, *[None] * (11 - len(values)))
        rows.writerow([kind, name, *(round(v, 4) if isinstance(v, float) else v for v in padded)])

    height = model.ceiling_height
    row("room", model.camera, None, height, model.area, model.volume, *[None] * 5, model.confidence)
    for s in model.surfaces:
        edge = edges.get(s.name)
        if edge is None:
            row(s.kind, s.name, None, None, s.area, *[None] * 7, seen.get(s.name))
        else:
            ends = (*edge.start.tolist(), *edge.end.tolist())
            sure = model.confidence_of(edge)
            row(s.kind, s.name, edge.length, height, s.area, None, *ends, None, sure, seen.get(s.name))
    for number, o in enumerate(model.openings):
        area = None if o.height is None else o.width * o.height
        ends = (*np.array(o.start).tolist(), *np.array(o.end).tolist())
        row(o.kind, f"{o.kind}-{number}", o.width, o.height, area, None, *ends, o.sill)
    for found in model.objects:
        box = footprint(found)
        if box is not None and found.size_m is not None:
            width, depth, tall = found.size_m
            ends = (*box[3].tolist(), *box[0].tolist())  # of its front
            row("object", found.name, width, tall, width * depth, None, *ends, None, found.confidence)
    return text.getvalue().encode()


def home_sizes_csv(name: str, rooms: Sequence[PlacedRoom]) -> bytes:
    """One row for the home, each room, each overlap, each shared wall and each passage."""
    text, sizes = io.StringIO(), sizes_of(rooms)
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["kind", "name", "other", "area_m2", "volume_m3", "height_m", "length_m", "x_m", "y_m", "turn_deg"])
    names = [room.model.camera for room in rooms]
    rows.writerow(["home", name, None, round(sizes.area_m2, 4), round(sizes.volume_m3, 4)])
    for room in rooms:
        m = room.model
        place = (room.x_m, room.y_m, float(np.degrees(room.turn_rad)))
        numbers = (m.area, m.volume, m.ceiling_height, None, *place)
        rows.writerow(["room", m.camera, None, *(None if n is None else round(n, 4) for n in numbers)])
    for overlap in sizes.overlaps:
        rows.writerow(["overlap", *(names[i] for i in overlap.rooms), round(overlap.area_m2, 4)])
    for shared in sizes.shared_walls:
        between = (names[i] for i in shared.rooms)
        rows.writerow(["shared wall", *between, None, None, None, round(shared.length_m, 4)])
    for passage in sizes.passages:
        rows.writerow(["passage", *(names[i] for i in passage.rooms), None, None, None, round(passage.width_m, 4)])
    return text.getvalue().encode()
