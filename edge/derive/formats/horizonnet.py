"""HorizonNet's JSON of a layout, written and read, and its labels: corners on a panorama, ceiling above floor.

`z0` is the ceiling's height above the camera in its unit, always 50; `z1` the floor's, negative.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from edge.derive.mesh import Array
from edge.derive.model import RoomModel, View
from edge.errors import GeometryError
from edge.geometry.polygon import counter_clockwise, is_simple
from edge.geometry.rigid import LEVEL_FORWARD

_CEILING = 50.0


def horizonnet_json(model: RoomModel) -> bytes:
    """The file. Corners run clockwise from above, so that u rises, from the one with the smallest u."""
    eye, above = model.view.height, model.ceiling_height - model.view.height
    if above <= 0:
        raise GeometryError("HorizonNet's JSON needs a camera below the ceiling; correct camera_height_m")
    corners = model.polygon[::-1]
    u = np.arctan2(corners[:, 0], corners[:, 1]) / (2 * np.pi) + 0.5
    corners, u = (np.roll(v, -int(np.argmin(u)), axis=0) for v in (corners, u))
    far = np.hypot(corners[:, 0], corners[:, 1])
    ceiling, floor = 0.5 - np.arctan2(above, far) / np.pi, 0.5 + np.arctan2(eye, far) / np.pi
    uv = [[round(float(a), 7), round(float(v), 7)] for a, c, f in zip(u, ceiling, floor, strict=True) for v in (c, f)]
    return json.dumps({"z0": _CEILING, "z1": round(-_CEILING * eye / above, 6), "uv": uv}).encode()


def corner_lines(polygon: Array, eye: float, ceiling: float, width_px: int, height_px: int) -> str:
    """A label of `label_cor`: for each corner two lines `x y` in px, its ceiling end and its floor end.

    Pixel 0's centre is at 0, as in HorizonNet's `panostretch.py`. Corners run clockwise from above, from the left.

    Args:
        polygon: (N, 2) the floor about the camera.
        eye: the camera's height, in the polygon's unit.
        ceiling: the room's height.
        width_px: of the picture.
        height_px: of the picture.
    """
    corners = counter_clockwise(polygon)[::-1]
    far = np.hypot(corners[:, 0], corners[:, 1])
    x = (np.arctan2(corners[:, 0], corners[:, 1]) / (2 * np.pi) + 0.5) * width_px - 0.5
    ends = [(0.5 - np.arctan2(z - eye, far) / np.pi) * height_px - 0.5 for z in (ceiling, 0.0)]
    order = np.roll(np.arange(len(corners)), -int(np.argmin(x)))
    return "".join(f"{x[i]:.3f} {y[i]:.3f}\n" for i in order for y in ends)


def read_horizonnet(data: bytes, camera_height_m: float | None = None) -> RoomModel:
    """The room of such a file; in camera heights if the camera's is not given.

    Raises:
        GeometryError: it is none, or not of a room.
    """
    try:
        said: dict[str, Any] = json.loads(data)
        uv = np.array(said["uv"], dtype=np.float64).reshape(-1, 2, 2)
        ratio = 1.0 - float(said["z0"]) / float(said["z1"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise GeometryError("this is no layout of HorizonNet: a JSON object with z0, z1 and uv is one") from error
    eye = camera_height_m or 1.0
    polygon = _corners(uv, eye)
    if not np.isfinite(polygon).all() or len(polygon) < 3 or not is_simple(polygon) or ratio <= 1.0:
        raise GeometryError("this layout of HorizonNet is no room: its floor's corners must lie below the horizon")
    view = View("equirectangular", LEVEL_FORWARD, eye)
    scale = "metric" if camera_height_m else "relative"
    return RoomModel(counter_clockwise(polygon), ratio * eye, scale, "room", view)  # type: ignore[arg-type]


def _corners(uv: Array, eye: float) -> Array:
    longitude, below = (uv[:, 1, 0] - 0.5) * 2 * np.pi, (uv[:, 1, 1] - 0.5) * np.pi
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(below > 0, eye / np.tan(below), np.nan)
    return np.stack([np.sin(longitude) * far, np.cos(longitude) * far], axis=-1)
