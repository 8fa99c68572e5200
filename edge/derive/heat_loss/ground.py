"""Floors on the ground, by ISO 13370 (slab on ground, closed form): the wider the floor, the less it loses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

R_INSIDE_M2K_W = 0.17
R_OUTSIDE_M2K_W = 0.04
NO_EDGE_FACTOR = 0.3
"""Of a floor without an outside edge whose building's size is not known (EN 12831-1's factor of the ground)."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the floor lies on."""

    conductivity_w_mk: float = 2.0
    """Clay or silt 1.5, sand or gravel 2.0, rock 3.5."""
    wall_thickness_m: float = 0.3
    water_factor: float = 1.0
    """1.15 where the water table is less than 1 m below the floor (G_w)."""
    variation: float | None = None
    """For the yearly swing (f_g1); None: the preset's."""
    characteristic_m: float | None = None
    """Of the whole building: its floor's area over half of its outside edge (B'); None: the room's own."""


def slab_resistance_m2k_w(u_w_m2k: float) -> float:
    """Thermal resistance of the floor's own layers, of which the U-value in air is known."""
    return max(0.0, 1.0 / u_w_m2k - R_INSIDE_M2K_W - R_OUTSIDE_M2K_W)


def slab_u_w_m2k(characteristic_m: npt.ArrayLike, floor_m2k_w: npt.ArrayLike, ground: Ground) -> Array:
    """U-value of a slab with the ground under it.

    Args:
        characteristic_m: B', the floor's area over half of its outside edge.
        floor_m2k_w: thermal resistance of the floor's layers.
        ground: what it lies on.
    """
    width = np.asarray(characteristic_m, dtype=np.float64)
    conductivity = ground.conductivity_w_mk
    resistance = R_INSIDE_M2K_W + np.asarray(floor_m2k_w, dtype=np.float64) + R_OUTSIDE_M2K_W
    equivalent = ground.wall_thickness_m + conductivity * resistance
    wide = np.pi * width
    bare = 2.0 * conductivity / (wide + equivalent) * np.log(wide / equivalent + 1.0)
    insulated = conductivity / (0.457 * width + equivalent)
    return np.asarray(np.where(equivalent < width, bare, insulated))
