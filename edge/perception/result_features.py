"""Numbers that say what was inferred of a camera's picture: of each noun's value, and of depth beside the room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge.perception.consistency import Seen, beside_shell
from edge.scene import DepthMap, Frame, Lighting, RoomLayout, Task

Array = npt.NDArray[np.float64]

OF_TASKS: dict[Task, dict[str, float]] = {
    "layout": {
        "layout_area": 0.01,
        "layout_height": 0.005,
        "layout_corners": 0.5,
        "layout_confidence": 0.02,
        "layout_skew": 0.01,
        "layout_roughness": 0.1,
    },
    "depth": {
        "depth_median": 0.02,
        "depth_spread": 0.02,
        "depth_valid": 0.01,
        "depth_scale": 0.02,
        "depth_off_room": 0.02,
    },
    "lighting": {"light_level": 0.02, "light_strength": 0.02, "light_warmth": 0.03, "light_contrast": 0.02},
}
"""Features of what a task says, with the least standard deviation each is taken to have; sizes as logarithms."""
_SMALLEST = 1e-6
_BLACK = 0.01
_COLUMNS = 64


def result_features(frame: Frame, values: Mapping[Task, object]) -> dict[str, float]:
    """What is followed of the values inferred from one frame; all features of `OF_TASKS` of their tasks, all finite."""
    found: dict[str, float] = {}
    for value in values.values():
        if isinstance(value, RoomLayout):
            found |= _of_layout(value)
        elif isinstance(value, DepthMap):
            found |= _of_depth(value) | _beside_room(Seen(frame, values))
        elif isinstance(value, Lighting):
            found |= _of_light(value)
    return found


def _of_layout(layout: RoomLayout) -> dict[str, float]:
    return {
        "layout_area": float(np.log(max(layout.area_m2, _SMALLEST))),
        "layout_height": float(np.log(max(layout.ceiling_height_m, _SMALLEST))),
        "layout_corners": float(len(layout.polygon_m)),
        "layout_confidence": layout.confidence,
        "layout_skew": _skew_rad(layout.polygon_m),
        "layout_roughness": float(np.log(_roughness_rad(layout) + _SMALLEST)),
    }


def _skew_rad(polygon_m: Array) -> float:
    """By how much the walls are off two directions at right angles, the mean of their length: 0 in a Manhattan room."""
    along = np.roll(polygon_m, -1, axis=0) - polygon_m
    length, direction = np.hypot(along[:, 0], along[:, 1]), np.arctan2(along[:, 1], along[:, 0])
    axis = np.angle((length * np.exp(4j * direction)).sum()) / 4
    off = (direction - axis + np.pi / 4) % (np.pi / 2) - np.pi / 4
    return float((length * np.abs(off)).sum() / max(float(length.sum()), _SMALLEST))


def _roughness_rad(layout: RoomLayout) -> float:
    """Mean bend of the raw boundary from column to column, where it is seen; 0: nowhere."""
    bends = np.concatenate([np.abs(np.diff(edge, n=2)) for edge in (layout.ceiling_rad, layout.floor_rad)])
    seen = bends[np.isfinite(bends)]
    return float(seen.mean()) if seen.size else 0.0


def _of_depth(depth: DepthMap) -> dict[str, float]:
    seen = depth.depth[:: max(1, depth.depth.shape[0] // 64), :: max(1, depth.depth.shape[1] // 64)]
    valid = seen[np.isfinite(seen) & (seen > 0)]
    p05, median, p95 = np.quantile(valid, (0.05, 0.5, 0.95)) if valid.size else (1.0, 1.0, 1.0)
    share = float(valid.size / max(seen.size, 1))
    return {"depth_median": float(np.log(median)), "depth_spread": float(np.log(p95 / p05)), "depth_valid": share}


def _beside_room(seen: Seen) -> dict[str, float]:
    """How much larger the room's shell is than depth says, and how far depth is off it; 0 where both are not known."""
    beside = beside_shell(seen, _COLUMNS)
    off = None if beside is None else beside.off_walls_and_floor
    if beside is None or off is None:
        return {"depth_scale": 0.0, "depth_off_room": 0.0}
    ratio = beside.shell_m[beside.known] / beside.range_m[beside.known]
    return {"depth_scale": float(np.log(np.median(ratio))), "depth_off_room": off}


def _of_light(light: Lighting) -> dict[str, float]:
    red, _, blue = (max(c, 0.0) + _BLACK for c in light.ambient)
    flat, bent = np.linalg.norm(light.coefficients[0]), np.linalg.norm(light.coefficients[4:])
    return {
        "light_level": float(np.log(max(float(np.mean(light.ambient)), 0.0) + _BLACK)),
        "light_strength": light.dominant_strength,
        "light_warmth": float(np.log(red / blue)),
        "light_contrast": float(bent / max(float(flat), _SMALLEST)),
    }
