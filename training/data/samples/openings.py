"""What is learnt of a room's openings: which columns show them, and the boundary as seen through them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.geometry.panorama import angles_from_direction, direction_from_angles, longitudes
from edge.scene import BoolArray
from training.arrays import Array
from training.config.nets import HorizonNetConfig, JointConfig
from training.config.recipe import Recipe
from training.data.synthetic.description import Opening
from training.data.synthetic.horizon import (
    ceiling_shown,
    column_kinds,
    extended_latitudes,
    extended_plans,
    opening_segments,
)
from training.data.vary.panoramic import Openings, PanoramaRoom, edge_weights

ITEM_NAMES = ("openings_m", "openings_kind", "extended_floor_m", "extended_ceiling_m", "slopes_m")
"""Arrays of a rendered room that `openings_in` reads."""
Floats = npt.NDArray[np.float32]


def says_openings(recipe: Recipe) -> bool:
    """Whether the recipe's network learns more of columns than edges and corners."""
    net = recipe.net.layout if isinstance(recipe.net, JointConfig) else recipe.net
    return isinstance(net, HorizonNetConfig) and net.openings


def openings_in(item: dict[str, Any]) -> Openings | None:
    """The openings of a rendered room; those of rooms without annexes follow from their plan. None = not known."""
    described = json.loads(item.get("description", "{}")).get("openings")
    if "openings_m" not in item and described is None:
        return None
    if "openings_m" in item:
        segments, kinds, floor, ceiling = (np.asarray(item[name]) for name in ITEM_NAMES[:4])
    else:
        polygon = np.asarray(item["polygon_m"], dtype=np.float64)
        holes = [Opening(**o) for o in described]
        segments, kinds = opening_segments(polygon, holes)
        floor, ceiling = extended_plans(polygon, float(item["height_m"]), holes, [])
    slopes = np.asarray(item.get("slopes_m", np.empty((0, 4, 2))), dtype=np.float64).reshape(-1, 4, 2)
    given = (np.asarray(a, dtype=np.float64) for a in (segments, floor, ceiling))
    segments_m, floor_m, ceiling_m = given
    return Openings(segments_m.reshape(-1, 2, 2), np.asarray(kinds, np.uint8), floor_m, ceiling_m, slopes)


def level_ceiling(room: PanoramaRoom, columns: int) -> Floats:
    """(columns,) 0 where the ceiling is known to slope down to the wall, so that its level edge is hidden."""
    if room.openings is None or not len(room.openings.slopes_m):
        return np.ones(columns, np.float32)
    return ceiling_shown(room.polygon_m, room.openings.slopes_m, longitudes(columns)).astype(np.float32)


def column_numbers(room: PanoramaRoom, columns: int) -> npt.NDArray[np.uint8]:
    """(columns,) what each looks at: 0 none, 1 door, 2 window, 3 opening."""
    if room.openings is None:
        return np.zeros(columns, np.uint8)
    return column_kinds(room.polygon_m, room.openings.segments_m, room.openings.kinds, longitudes(columns))


def extended_boundary(room: PanoramaRoom, columns: int) -> Floats | None:
    """(2, columns) latitudes, positive down, as seen through open doors and openings; None = not known."""
    if room.openings is None:
        return None
    outlines, heights = (room.openings.floor_m, room.openings.ceiling_m), (room.camera_height_m, room.ceiling_height_m)
    return extended_latitudes(*outlines, *heights, columns).astype(np.float32)


def opening_sample(
    numbers: npt.NDArray[np.uint8], extended: Floats | None, boundary: Floats, mask: BoolArray | None
) -> dict[str, Floats]:
    """`kinds` (3, columns) 0 or 1, `extended` and `extended_seen` (2, columns).

    Args:
        numbers: see `column_numbers`.
        extended: see `extended_boundary`; where it is not known, nothing of this counts.
        boundary: (2, columns) the wall's edges.
        mask: (H, W) what the camera sees; None = all.
    """
    kinds = np.stack([numbers == kind for kind in (1, 2, 3)]).astype(np.float32)
    known = boundary if extended is None else extended
    seen = np.zeros_like(boundary) if extended is None else edge_weights(known, mask)
    return {"kinds": kinds, "extended": known, "extended_seen": seen}


def tilted_numbers(numbers: npt.NDArray[np.uint8], boundary: Floats, rotation: Array) -> npt.NDArray[np.uint8]:
    """What columns look at in the turned picture, by how far their walls' middles move; see `tilted_columns`."""
    lon, middle = longitudes(len(numbers)), -boundary.astype(np.float64).mean(axis=0)
    moved = np.asarray(angles_from_direction(direction_from_angles(lon, middle) @ rotation.T)[0])
    off = np.abs((lon[:, None] - moved + np.pi) % (2 * np.pi) - np.pi)
    out: npt.NDArray[np.uint8] = numbers[off.argmin(axis=1)]
    return out
