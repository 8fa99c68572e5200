"""Equirectangular panoramas: pixels, angles, directions, and views cut from and laid into them.

Angles are (longitude, latitude): longitude 0 at the image centre, positive to the right; latitude positive up.
Directions are unit vectors in the room frame (x right, y forward, z up). Pixel i spans [i, i + 1).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError

Array = npt.NDArray[np.float64]


def direction_from_angles(longitude_rad: npt.ArrayLike, latitude_rad: npt.ArrayLike) -> Array:
    """Unit directions (..., 3) in the room frame."""
    lon, lat = np.broadcast_arrays(np.asarray(longitude_rad, float), np.asarray(latitude_rad, float))
    return np.stack([np.cos(lat) * np.sin(lon), np.cos(lat) * np.cos(lon), np.sin(lat)], axis=-1)


def angles_from_direction(direction: npt.ArrayLike) -> tuple[Array, Array]:
    """(longitude, latitude) of directions (..., 3) of any length but 0."""
    d = np.asarray(direction, dtype=np.float64)
    return np.arctan2(d[..., 0], d[..., 1]), np.arctan2(d[..., 2], np.hypot(d[..., 0], d[..., 1]))


def pixel_from_angles(
    longitude_rad: npt.ArrayLike, latitude_rad: npt.ArrayLike, width_px: int, height_px: int
) -> tuple[Array, Array]:
    """Continuous pixel coordinates (x, y); the first pixel's centre is 0.5."""
    x = (np.asarray(longitude_rad, float) / (2 * np.pi) + 0.5) * width_px
    y = (0.5 - np.asarray(latitude_rad, float) / np.pi) * height_px
    return x, y


def longitudes(width_px: int) -> Array:
    """(W,) longitude of each column's centre."""
    return np.asarray(((np.arange(width_px) + 0.5) / width_px - 0.5) * 2 * np.pi)


def latitudes(height_px: int) -> Array:
    """(H,) latitude of each row's centre, from near +pi/2 down."""
    return np.asarray((0.5 - (np.arange(height_px) + 0.5) / height_px) * np.pi)


@lru_cache(maxsize=16)
def rays(width_px: int, height_px: int) -> Array:
    """(H, W, 3) unit direction of each pixel's centre. Read-only and cached."""
    out = direction_from_angles(longitudes(width_px)[None, :], latitudes(height_px)[:, None])
    out.flags.writeable = False
    return out


@lru_cache(maxsize=16)
def solid_angles(width_px: int, height_px: int) -> Array:
    """(H, W) steradians of each pixel, exact: they sum to 4 pi. Read-only and cached."""
    edges = np.sin((0.5 - np.arange(height_px + 1) / height_px) * np.pi)
    out = np.repeat((edges[:-1] - edges[1:])[:, None] * (2 * np.pi / width_px), width_px, axis=1)
    out.flags.writeable = False
    return out


def check_panorama_size(width_px: int, height_px: int) -> None:
    """Refuse a size that is not 2:1.

    Raises:
        GeometryError: with the remedy.
    """
    if width_px != 2 * height_px:
        raise GeometryError(
            f"an equirectangular picture is twice as wide as high, got {width_px}x{height_px}; "
            "say which part of the sphere it is: panorama: {vertical_deg: [lower, upper]}, or pad it to the full sphere"
        )


def sampling_map(directions: npt.ArrayLike, width_px: int, height_px: int) -> tuple[Array, Array]:
    """Where to read a panorama of that size for each direction: 0-based (x, y) indices as cv2.remap takes them.

    x lies in [-0.5, W - 0.5] and y in [-0.5, H - 0.5]; wrap x round (pad a column each side) before interpolating.
    """
    lon, lat = angles_from_direction(directions)
    x, y = pixel_from_angles(lon, lat, width_px, height_px)
    return x - 0.5, y - 0.5
