"""A panorama of a room whose walls are painted, exactly where they are: truth for tests that need no renderer."""

from __future__ import annotations

import numpy as np

from edge.geometry.panorama import rays
from edge.scene import ImageArray

FLOOR, CEILING = (110, 70, 40), (235, 235, 230)
WALLS = ((200, 180, 150), (160, 190, 170), (210, 150, 140), (150, 160, 205))


def painted_room(
    polygon_m: np.ndarray, camera_height_m: float, ceiling_height_m: float, wh: tuple[int, int] = (1024, 512)
) -> ImageArray:
    """(H, W, 3): floor, ceiling, and walls in four colours by the wall's number."""
    directions = rays(*wh)
    horizontal = np.hypot(directions[..., 0], directions[..., 1])
    ray = directions[..., :2] / np.maximum(horizontal, 1e-9)[..., None]
    far = np.stack([_met(a, b, ray) for a, b in zip(polygon_m, np.roll(polygon_m, -1, axis=0), strict=True)])
    z = camera_height_m + directions[..., 2] / np.maximum(horizontal, 1e-9) * far.min(axis=0)
    image = np.array(WALLS, np.uint8)[np.argmin(far, axis=0) % len(WALLS)]
    image[z < 0] = FLOOR
    image[z > ceiling_height_m] = CEILING
    return image


def _met(a: np.ndarray, b: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """How far along unit rays (..., 2) from the origin the wall from a to b is met; inf: it is not."""
    (dx, dy), cross = b - a, (b - a)[0] * ray[..., 1] - (b - a)[1] * ray[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (a[1] * ray[..., 0] - a[0] * ray[..., 1]) / cross
        metres = (a[1] * dx - a[0] * dy) / cross
    return np.where((share >= 0) & (share <= 1) & (metres > 0), metres, np.inf)
