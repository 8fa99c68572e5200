"""The floor plan as SVG: 1:50 on paper, walls with their lengths, openings, camera, scale and sizes.

Forward is up. Coordinates in the file are millimetres of paper; `data-` attributes have the room's own lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import shapely

from edge.derive.formats.sizes import Units, in_words, square_metres
from edge.derive.home import PlacedRoom, sizes_of
from edge.derive.mesh import Array, Edge
from edge.derive.model import RoomModel
from edge.derive.objects import footprint
from edge.derive.openings import Opening
from edge.errors import GeometryError
from edge.scene import FoundObject

SCALE = 50
_MM = 1000.0 / SCALE
"""Of paper for each unit of the room."""
_MARGIN_MM = 26.0
_OUT_MM = 9.0
_BLOCK_MM = 26.0
_WIDE_MM = 1.8
"""Of a character."""
_SURE = 0.5
"""A wall that the layout is less sure of is dashed."""
_STYLE = """
    text { font: 3.2px system-ui, sans-serif; fill: #222; text-anchor: middle }
    .title { font-size: 5px; font-weight: 600; text-anchor: start } .small { text-anchor: start }
    .floor { fill: #f6f3ee } .wall { stroke: #222; stroke-width: 1.6; stroke-linecap: square }
    .unsure { stroke-dasharray: 3 2.4 } .cut { stroke: #8aa; stroke-width: .5; stroke-dasharray: 1.2 1.6 }
    .dimension { stroke: #888; stroke-width: .25 } .door, .swing { stroke: #a5501e; stroke-width: .5; fill: none }
    .gap { stroke: #f6f3ee; stroke-width: 2 } .window { stroke: #2b6ea8; stroke-width: .4 }
    .over { fill: #d4451a; fill-opacity: .25; stroke: #d4451a; stroke-width: .3 } .name { font-weight: 600 }
    .object { fill: #e9e4da; stroke: #777; stroke-width: .3; stroke-dasharray: 1.2 .8 }
    .front { stroke: #777; stroke-width: .9 }
    .camera { fill: #d4451a } .bar { fill: #222; stroke: #222; stroke-width: .2 } .open { fill: #fff }
"""


def _paper(points: Array) -> Array:
    """Room (x, y) as millimetres of paper, y down."""
    return np.asarray(points, dtype=np.float64) * (_MM, -_MM)


def _line(a: Array, b: Array, classes: str, more: str = "") -> str:
    (x1, y1), (x2, y2) = a.round(3), b.round(3)
    return f'<line class="{classes}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{more}/>'


def _wall(edge: Edge, model: RoomModel, units: Units) -> list[str]:
    a, b = _paper(edge.start), _paper(edge.end)
    if edge.cut:
        return [_line(a, b, "cut")]
    sure = model.confidence_of(edge)
    unit = "m" if model.scale == "metric" else "camera-heights"
    more = f' id="{edge.name}" data-length-{unit}="{edge.length:.4f}"'
    more += "" if sure is None else f' data-confidence="{sure:g}"'
    drawn = [_line(a, b, "wall unsure" if sure is not None and sure < _SURE else "wall", more)]
    out = -_paper(edge.inwards) / _MM
    from_, to = a + out * _OUT_MM, b + out * _OUT_MM
    drawn.append(_line(from_, to, "dimension"))
    drawn += [_line(at + out * 2, at + out * (_OUT_MM + 1.5), "dimension") for at in (a, b)]
    drawn += [_line(at - _tick(edge), at + _tick(edge), "dimension") for at in (from_, to)]
    drawn.append(_along((from_ + to) / 2 + out * 2.6, to - from_, in_words(edge.length, model, units)))
    return drawn


def _along(at: Array, along: Array, text: str) -> str:
    """A text that runs as a line on paper does, never upside down."""
    x, y = at
    turn = (float(np.degrees(np.arctan2(*along[::-1]))) + 90) % 180 - 90
    return f'<text transform="translate({x:.3f} {y:.3f}) rotate({turn:.3f})" dy=".35em">{escape(text)}</text>'


def _tick(edge: Edge) -> Array:
    along = _paper(edge.end - edge.start) / _MM / edge.length
    return np.array([along[0] - along[1], along[0] + along[1]])


def _opening(opening: Opening) -> list[str]:
    a, b = _paper(np.array(opening.start)), _paper(np.array(opening.end))
    along = (b - a) / np.hypot(*(b - a))
    into = np.array([along[1], -along[0]])  # left of start to end in the room, y being down here
    said = f' data-kind="{opening.kind}" data-width="{opening.width:.4f}" data-source="{opening.source}"'
    drawn = [_line(a, b, "gap", said)]
    if opening.kind == "window":
        drawn += [_line(a + into * s, b + into * s, "window") for s in (-0.7, 0.0, 0.7)]
    elif opening.kind == "door":
        width = float(np.hypot(*(b - a)))
        leaf = a + into * width
        drawn.append(_line(a, leaf, "door"))
        arc = f"M {leaf[0]:.3f} {leaf[1]:.3f} A {width:.3f} {width:.3f} 0 0 {int(_clockwise(leaf - a, b - a))}"
        drawn.append(f'<path class="swing" d="{arc} {b[0]:.3f} {b[1]:.3f}"/>')
    return drawn


def _clockwise(a: Array, b: Array) -> bool:
    """Whether a turn from one paper vector to another is clockwise as seen, y being down."""
    return bool(a[0] * b[1] - a[1] * b[0] > 0)


def _object(found: FoundObject) -> list[str]:
    """Its box on the floor, dashed as it is a guess, its front marked, and what it is called."""
    corners = footprint(found)
    if corners is None or found.size_m is None:
        return []
    box = _paper(corners)
    middle = box.mean(axis=0)
    width, depth, height = found.size_m
    said = f' id={quoteattr(found.name)} data-width-m="{width:.4f}" data-depth-m="{depth:.4f}"'
    said += f' data-height-m="{height:.4f}"'
    return [
        _polygon("object", box, said),
        _line(box[3], box[0], "front"),
        f'<text x="{middle[0]:.2f}" y="{middle[1]:.2f}" dy=".35em">{escape(found.label or found.name)}</text>',
    ]


def _camera(model: RoomModel) -> str:
    x, y = model.view.rotation[:2, 2]
    bearing = float(np.degrees(np.arctan2(x, y))) if np.hypot(x, y) > 1e-6 else 0.0
    return f'<path class="camera" d="M 0 -4 L 2 2 L 0 1 L -2 2 Z" transform="rotate({round(bearing, 1) + 0.0:g})"/>'


def _room_words(model: RoomModel, units: Units) -> tuple[str, str]:
    """Its sizes; when it was measured, and the scale."""
    metric = model.scale == "metric"
    area = square_metres(model.area, units) if metric else f"{model.area:.2f} h²"
    volume = f"{model.volume:.1f} m³" if metric else f"{model.volume:.1f} h³"
    sizes = f"{area} · height {in_words(model.ceiling_height, model, units)} · {volume}"
    when = str(model.about.get("captured_at", ""))[:16].replace("T", " ")
    how = (
        f"1:{SCALE} · dashed: less sure · h: heights of the camera" if not metric else f"1:{SCALE} · dashed: less sure"
    )
    return sizes, " · ".join(filter(None, [when, how]))


def _bar(x: float, y: float, unit: str) -> list[str]:
    """Two units to scale."""
    drawn = [
        f'<rect class="{kind}" x="{x + i * _MM:.2f}" y="{y + 13:.2f}" width="{_MM:g}" height="1"/>'
        for i, kind in enumerate(("bar", "bar open"))
    ]
    return drawn + [f'<text x="{x + at * _MM:.2f}" y="{y + 17.5:.2f}">{at} {unit}</text>' for at in (0, 1, 2)]


def plan_svg(model: RoomModel, units: Units = "both") -> bytes:
    """The file; `units`: of the lengths that are written on it."""
    corners = _paper(model.polygon)
    drawn = [_polygon("floor", corners)]
    for edge in model.edges:
        drawn += _wall(edge, model, units)
    for opening in model.openings:
        drawn += _opening(opening)
    for found in model.objects:
        drawn += _object(found)
    drawn.append(_camera(model))
    area_unit, unit = ("m2", "m") if model.scale == "metric" else ("camera-heights2", "h")
    sheet = _Sheet(corners, margin_mm=_MARGIN_MM, least_width_mm=110.0)
    return sheet.file(model.camera, drawn, _room_words(model, units), unit, f'data-area-{area_unit}="{model.area:.4f}"')


def _polygon(kind: str, corners: Array, more: str = "") -> str:
    points = " ".join(f"{x:.3f},{y:.3f}" for x, y in corners)
    return f'<polygon class="{kind}" points="{points}"{more}/>'


class _Sheet:
    """Paper about what is drawn, with room for its name, two lines of text and a bar below."""

    def __init__(self, corners: Array, *, margin_mm: float, least_width_mm: float) -> None:
        self._low = corners.min(axis=0) - margin_mm
        high = corners.max(axis=0) + margin_mm + (0.0, _BLOCK_MM)
        self._size = np.maximum(high - self._low, (least_width_mm, 0.0))
        self._text_at = (float(self._low[0]) + 6, float(high[1]) - _BLOCK_MM + 4)

    def file(self, name: str, drawn: list[str], said: tuple[str, str], unit: str, data: str) -> bytes:
        """The file. `said`: the two lines; `unit`: of the bar; `data`: an attribute of the whole."""
        (left, top), (width, height), (x, y) = self._low, self._size, self._text_at
        lines = [
            f'<text class="title" x="{x:.2f}" y="{y:.2f}">{escape(name)}</text>',
            f'<text class="small" x="{x:.2f}" y="{y + 5.5:.2f}">{escape(said[0])}</text>',
            f'<text class="small" x="{x:.2f}" y="{y + 10:.2f}">{escape(said[1])}</text>',
            *_bar(x, y, unit),
        ]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.2f}mm" height="{height:.2f}mm" '
            f'viewBox="{left:.2f} {top:.2f} {width:.2f} {height:.2f}" role="img" '
            f"aria-label={quoteattr(f'Floor plan of {name}')} {data}>"
        )
        paper = f'<rect x="{left:.2f}" y="{top:.2f}" width="100%" height="100%" fill="#fff"/>'
        body = "\n  ".join([*drawn, *lines])
        return f"{head}\n  <style>{_STYLE}  </style>\n  {paper}\n  {body}\n</svg>\n".encode()


# Several rooms --------------------------------------------------------------------------------------------------------


def home_plan_svg(name: str, rooms: Sequence[PlacedRoom], units: Units = "both") -> bytes:
    """Several rooms on one plan, with their total area; where floors overlap is marked, and said.

    Raises:
        GeometryError: there is no room.
    """
    if not rooms:
        raise GeometryError(f"there is no room in {name}; add one")
    sizes = sizes_of(rooms)
    drawn: list[str] = []
    for room in rooms:
        drawn += _placed(room, units)
    for overlap in sizes.overlaps:
        a, b = (rooms[i].floor for i in overlap.rooms)
        drawn += [
            _polygon("over", _paper(shapely.get_coordinates(part)))
            for part in shapely.get_parts(a.intersection(b))
            if part.geom_type == "Polygon"
        ]
    total = f"{square_metres(sizes.area_m2, units)} in {len(rooms)} rooms · {sizes.volume_m3:.1f} m³"
    over = f"rooms overlap by {sum(o.area_m2 for o in sizes.overlaps):.2f} m², counted once" if sizes.overlaps else ""
    how = f"1:{SCALE} · dashed: less sure · rooms are placed by hand, walls between them are not measured"
    corners = _paper(np.concatenate([room.to_home(room.model.polygon) for room in rooms]))
    sheet = _Sheet(corners, margin_mm=_MARGIN_MM / 2, least_width_mm=150.0)
    said = (" · ".join(filter(None, [total, over])), how)
    return sheet.file(name, drawn, said, "m", f'data-area-m2="{sizes.area_m2:.4f}"')


def _placed(room: PlacedRoom, units: Units) -> list[str]:
    """A room of several: its name and size inside, lengths along the inner side of its walls."""
    model = room.model
    drawn = [_polygon("floor", _paper(room.to_home(model.polygon)))]
    for edge in room.edges:
        a, b = _paper(edge.start), _paper(edge.end)
        sure = model.confidence_of(edge)
        classes = "cut" if edge.cut else "wall unsure" if sure is not None and sure < _SURE else "wall"
        drawn.append(_line(a, b, classes))
        label = in_words(edge.length, model, "m" if units == "both" else units)
        if not edge.cut and edge.length * _MM > _WIDE_MM * len(label):
            drawn.append(_along((a + b) / 2 + _paper(edge.inwards) / _MM * 3.2, b - a, label))
    for opening in room.openings:
        drawn += _opening(opening)
    at = _paper(np.array(shapely.get_coordinates(room.floor.representative_point()))[0])
    drawn += [
        f'<text class="name" x="{at[0]:.2f}" y="{at[1]:.2f}">{escape(model.camera)}</text>',
        f'<text x="{at[0]:.2f}" y="{at[1] + 4.5:.2f}">{square_metres(model.area, units)}</text>',
    ]
    return drawn
