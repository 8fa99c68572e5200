"""The review page's corners, taken by the mouse to where they are in truth."""

from __future__ import annotations

import json

import numpy as np

from tests.edge.viewer.chromium import Browser


def corners_of(shown: Browser) -> np.ndarray:
    """(N, 2) floor corners as the page has them, metres."""
    return np.array([[c["x"], c["y"]] for c in shown.value("state.room.corners")])


def drag_corner(
    shown: Browser, corner: int, end: str, true_m: np.ndarray, camera_height_m: float, ceiling_height_m: float
) -> None:
    """Take an end of a corner, `floor` or `ceiling`, to where the true corner's is on the picture."""
    x, y = true_m
    up_m = (ceiling_height_m if end == "ceiling" else 0.0) - camera_height_m
    place = [float(np.arctan2(x, y) / (2 * np.pi) + 0.5), float(0.5 - np.arctan2(up_m, np.hypot(x, y)) / np.pi)]
    shown.drag(shown.value(f"state.handles[{corner}].{end}"), shown.value(f"state.place({json.dumps(place)})"))


def drag_room(shown: Browser, polygon_m: np.ndarray, camera_height_m: float, ceiling_height_m: float) -> None:
    """Make the page's room the true one: as many corners by keys, then each to its place, then the ceiling."""
    for _ in range(4):
        shown.press("−")  # until all of the picture is seen
    for key, wrong in (("Delete", lambda n: n > len(polygon_m)), ("n", lambda n: n < len(polygon_m))):
        while wrong(len(corners_of(shown))):
            shown.key(key)
    drawn = corners_of(shown)
    shifts = [np.roll(polygon_m, k, axis=0) for k in range(len(polygon_m))]
    true_m = min(
        shifts, key=lambda p: float(np.abs(p / np.hypot(*p.T)[:, None] - drawn / np.hypot(*drawn.T)[:, None]).sum())
    )
    for corner, at_m in enumerate(true_m):
        drag_corner(shown, corner, "floor", at_m, camera_height_m, ceiling_height_m)
    drag_corner(shown, 0, "ceiling", true_m[0], camera_height_m, ceiling_height_m)
