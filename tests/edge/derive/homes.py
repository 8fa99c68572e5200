"""Rooms with doors, for tests of homes."""

from __future__ import annotations

import numpy as np

from edge.derive.model import RoomModel, View
from edge.derive.openings import Opening
from edge.geometry.rigid import LEVEL_FORWARD


def room(
    name: str,
    width_m: float,
    depth_m: float,
    doors: tuple[tuple[int, float, float], ...] = (),
    eye: tuple[float, float] = (0.5, 0.5),
) -> RoomModel:
    """A rectangle; its camera at `eye`, in fractions of it. Doors: (wall, middle along it, width); wall 0 is behind."""
    low = -np.array(eye) * (width_m, depth_m)
    polygon = np.array([[0, 0], [width_m, 0], [width_m, depth_m], [0, depth_m]], float) + low
    openings = []
    for wall, middle, width in doors:
        start, end = polygon[wall], polygon[(wall + 1) % 4]
        along = (end - start) / np.hypot(*(end - start))
        (x0, y0), (x1, y1) = (start + along * (middle + s * width / 2) for s in (-1, 1))
        ends = ((float(x0), float(y0)), (float(x1), float(y1)))
        openings.append(Opening("door", wall, *ends, 0.0, 2.0, "configured"))
    view = View("equirectangular", LEVEL_FORWARD, 1.3)
    about = {"device": "d", "camera": name, "captured_at": "2026-01-31T12:00:00.000000Z"}
    return RoomModel(polygon, 2.5, "metric", "room", view, tuple(openings), about=about)
