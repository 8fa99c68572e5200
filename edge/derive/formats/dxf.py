"""DXF R12, which every CAD program reads: the floor plan with wall lengths, on layers of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.derive.formats.sizes import in_words
from edge.derive.home import PlacedRoom, sizes_of
from edge.derive.mesh import Array, Edge
from edge.derive.model import RoomModel
from edge.derive.objects import footprint
from edge.derive.openings import Opening

_LAYERS = {"WALLS": 7, "CUT": 8, "OPENINGS": 5, "DIMENSIONS": 3, "CAMERA": 1, "OBJECTS": 6}
"""By name, the colour's number."""
_METRES, _UNITLESS = 6, 0
_OUT = 0.25
"""A dimension is drawn this far outside its wall."""
_TEXT = 0.14


class _Drawing:
    """Entities as pairs of group code and value."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, kind: str, layer: str, *pairs: tuple[int, object]) -> None:
        for code, value in ((0, kind), (8, layer), *pairs):
            self.lines += [f"{code:3d}", f"{value:.6f}" if isinstance(value, float) else str(value)]

    def line(self, layer: str, a: Array, b: Array) -> None:
        at = ((10, float(a[0])), (20, float(a[1])), (30, 0.0), (11, float(b[0])), (21, float(b[1])), (31, 0.0))
        self.add("LINE", layer, *at)

    def text(self, layer: str, at: Array, text: str, turn_deg: float = 0.0) -> None:
        x, y = float(at[0]), float(at[1])
        place = (
            (10, x),
            (20, y),
            (30, 0.0),
            (40, _TEXT),
            (1, text),
            (50, turn_deg),
            (72, 4),
            (11, x),
            (21, y),
            (31, 0.0),
        )
        self.add("TEXT", layer, *place)


def _section(name: str, lines: list[str]) -> list[str]:
    return ["  0", "SECTION", "  2", name, *lines, "  0", "ENDSEC"]


def _tables() -> list[str]:
    rows = ["  0", "TABLE", "  2", "LAYER", " 70", str(len(_LAYERS))]
    for name, colour in _LAYERS.items():
        rows += ["  0", "LAYER", "  2", name, " 70", "0", " 62", str(colour), "  6", "CONTINUOUS"]
    return [*rows, "  0", "ENDTAB"]


def _walls(drawing: _Drawing, model: RoomModel, edges: Sequence[Edge]) -> None:
    for edge in edges:
        drawing.line("CUT" if edge.cut else "WALLS", edge.start, edge.end)
        if edge.cut:
            continue
        out = -edge.inwards * _OUT
        a, b = edge.start + out, edge.end + out
        drawing.line("DIMENSIONS", a, b)
        for end, at in ((edge.start, a), (edge.end, b)):
            drawing.line("DIMENSIONS", end + out * 0.4, at - edge.inwards * 0.08)
        turn = float(np.degrees(np.arctan2(*(b - a)[::-1])))
        upright = (turn + 90) % 180 - 90
        drawing.text("DIMENSIONS", (a + b) / 2 - edge.inwards * _TEXT, in_words(edge.length, model), upright)


def _openings(drawing: _Drawing, openings: Sequence[Opening]) -> None:
    for opening in openings:
        along = np.subtract(opening.end, opening.start) / opening.width
        into = np.array([-along[1], along[0]]) * 0.05
        start, end = np.array(opening.start), np.array(opening.end)
        for a, b in (
            (start + into, end + into),
            (start - into, end - into),
            (start - into, start + into),
            (end - into, end + into),
        ):
            drawing.line("OPENINGS", a, b)
        drawing.text("OPENINGS", (start + end) / 2 + into * 4, opening.kind)


def _objects(drawing: _Drawing, model: RoomModel) -> None:
    for found in model.objects:
        box = footprint(found)
        if box is None:
            continue
        for a, b in zip(box, np.roll(box, -1, axis=0), strict=True):
            drawing.line("OBJECTS", a, b)
        drawing.text("OBJECTS", box.mean(axis=0), found.label or found.name)


def _camera(drawing: _Drawing, at: Array, model: RoomModel) -> None:
    """Where it is, and the room's name and sizes below it."""
    for arm in (np.array([0.1, 0.0]), np.array([0.0, 0.1])):
        drawing.line("CAMERA", at - arm, at + arm)
    square = "m2" if model.scale == "metric" else "h2"
    size = f"{model.camera}: {model.area:.2f} {square}, height {in_words(model.ceiling_height, model)}"
    drawing.text("DIMENSIONS", at + (0.0, -0.4), size)


def _file(drawing: _Drawing, insunits: int) -> bytes:
    header = ["  9", "$ACADVER", "  1", "AC1009", "  9", "$INSUNITS", " 70", str(insunits)]
    parts = [*_section("HEADER", header), *_section("TABLES", _tables()), *_section("ENTITIES", drawing.lines)]
    return ("\n".join([*parts, "  0", "EOF"]) + "\n").encode("ascii", "replace")


def dxf(model: RoomModel) -> bytes:
    """The file; a unit is a metre, or without known size a camera's height."""
    drawing = _Drawing()
    _walls(drawing, model, model.edges)
    _openings(drawing, model.openings)
    _objects(drawing, model)
    _camera(drawing, np.zeros(2), model)
    return _file(drawing, _METRES if model.scale == "metric" else _UNITLESS)


def home_dxf(name: str, rooms: Sequence[PlacedRoom]) -> bytes:
    """Several rooms on one plan, in metres."""
    drawing, sizes = _Drawing(), sizes_of(rooms)
    for room in rooms:
        _walls(drawing, room.model, room.edges)
        _openings(drawing, room.openings)
        _camera(drawing, np.array([room.x_m, room.y_m]), room.model)
    low = np.concatenate([room.to_home(room.model.polygon) for room in rooms] or [np.zeros((1, 2))]).min(axis=0)
    drawing.text("DIMENSIONS", low - (0.0, 1.0), f"{name}: {sizes.area_m2:.2f} m2 in {len(rooms)} rooms")
    return _file(drawing, _METRES)
