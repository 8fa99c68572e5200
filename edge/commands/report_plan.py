"""A room's plan as SVG, to scale: walls in the colour of what they lose, with their lengths."""

from __future__ import annotations

import math
from html import escape

import numpy as np
import numpy.typing as npt

from edge.mqtt.heat_loss_message import HeatElement, HeatLossMessage

Array = npt.NDArray[np.float64]

SCALES = (20, 25, 50, 75, 100, 200, 500, 1000)
_WIDEST_MM, _HIGHEST_MM = 112.0, 109.0
_MARGIN_MM = 9.5
_COLOURS = ((0.5, "#9aa7b1"), (15.0, "#4c9f70"), (30.0, "#e0b43c"), (60.0, "#e07b39"), (math.inf, "#c0392b"))
"""Up to so many W for each square metre of wall with its openings."""
_SEEN_MM = 5.0


def colour(w_m2: float) -> str:
    """Of a wall that loses so much."""
    return next(c for limit, c in _COLOURS if w_m2 < limit)


def legend() -> str:
    """What the colours mean, as HTML."""
    texts = ("none", "below 15", "15 to 30", "30 to 60", "above 60")
    items = (f'<span><i style="background:{c}"></i>{text}</span>' for (_, c), text in zip(_COLOURS, texts, strict=True))
    return f'<span class="legend">{"".join(items)} W/m²</span>'


def scale_of(width_m: float, depth_m: float) -> int:
    """The largest usual scale, 1 to this, at which a room fits."""
    room_mm = (_WIDEST_MM - 2 * _MARGIN_MM, _HIGHEST_MM - 2 * _MARGIN_MM)
    fits = (s for s in SCALES if width_m * 1000 / s <= room_mm[0] and depth_m * 1000 / s <= room_mm[1])
    return next(fits, SCALES[-1])


def plan_svg(room: HeatLossMessage) -> tuple[str, int]:
    """The plan, of its true size on paper at the scale that is returned."""
    corners = np.asarray(room.polygon_m, dtype=np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = scale_of(*(high - low))
    mm = 1000.0 / scale
    width_mm, height_mm = (high - low) * mm + 2 * _MARGIN_MM

    def at(point: Array) -> tuple[float, float]:
        x, y = (point - low) * mm
        return _MARGIN_MM + float(x), height_mm - _MARGIN_MM - float(y)

    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in (at(c) for c in corners))
    parts = [f'<polygon points="{points}" fill="#f5f1e8" stroke="none"/>']
    for edge, (start, end) in enumerate(zip(corners, np.roll(corners, -1, axis=0), strict=True)):
        elements = [e for e in room.elements if e.edge == edge]
        if elements:
            parts.append(_wall(at(start), at(end), float(np.hypot(*(end - start))), elements))
    parts += [_camera(*at(np.zeros(2))), _bar(mm, height_mm)]
    view = f"0 0 {width_mm:.1f} {height_mm:.1f}"
    head = f'<svg viewBox="{view}" width="{width_mm:.1f}mm" height="{height_mm:.1f}mm" role="img"'
    return f'{head} aria-label="Plan of {escape(room.camera)}, 1 to {scale}">{"".join(parts)}</svg>', scale


def _wall(start: tuple[float, float], end: tuple[float, float], length_m: float, elements: list[HeatElement]) -> str:
    area = sum(e.area_m2 for e in elements)
    loss = sum(e.loss_w for e in elements)
    (x0, y0), (x1, y1) = start, end
    line = (
        f'<line x1="{x0:.2f}" y1="{y0:.2f}" x2="{x1:.2f}" y2="{y1:.2f}" stroke="{colour(loss / max(area, 1e-9))}" '
        f'stroke-width="1.6" stroke-linecap="square"><title>{escape(elements[0].name)}: {loss:.0f} W</title></line>'
    )
    long_mm = math.hypot(x1 - x0, y1 - y0)
    if long_mm < _SEEN_MM:
        return line
    outwards = np.array([-(y1 - y0), x1 - x0]) / long_mm  # y runs down here, so this is right of a left turn
    x, y = (x0 + x1) / 2 + 3.4 * outwards[0], (y0 + y1) / 2 + 3.4 * outwards[1]
    turn = math.degrees(math.atan2(y1 - y0, x1 - x0))
    turn = turn - 180 if turn > 90.01 else turn + 180 if turn <= -89.99 else turn
    windows = [e for e in elements if e.kind in ("window", "door")]
    opened = " · " + ", ".join(f"{e.kind} {e.area_m2:.1f} m²" for e in windows) if windows else ""
    text = f"{length_m:.2f} m{opened if len(opened) * 1.35 < long_mm - 8 else ''}"
    return (
        f'{line}<text x="{x:.2f}" y="{y:.2f}" transform="rotate({turn:.1f} {x:.2f} {y:.2f})" text-anchor="middle" '
        f'dominant-baseline="central" class="length">{text}</text>'
    )


def _camera(x: float, y: float) -> str:
    """A dot with an arrow to where bearings are counted from."""
    return (
        f'<g class="camera"><circle cx="{x:.2f}" cy="{y:.2f}" r="1.1"/>'
        f'<path d="M{x:.2f} {y - 1.6:.2f} v-3.4 m-1 1.2 l1 -1.2 l1 1.2" fill="none" stroke="currentColor"/>'
        f'<text x="{x + 2:.2f}" y="{y - 2.4:.2f}" class="length">0°</text></g>'
    )


def _bar(mm: float, height_mm: float) -> str:
    y = height_mm - 1.6
    return (
        f'<path d="M3 {y - 1:.1f} v1 h{mm:.2f} v-1" fill="none" stroke="#333" stroke-width="0.3"/>'
        f'<text x="{4.5 + mm:.2f}" y="{y:.1f}" class="length">1 m</text>'
    )
