"""Colours: sRGB bytes and linear light, and the colour of light as a temperature."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Linear RGB of Rec. 709's primaries and D65 white to CIE 1931 XYZ (IEC 61966-2-1, sRGB)."""
LUMINANCE = XYZ_FROM_RGB[1]
"""Rec. 709 luminance of linear R, G, B."""
COLDEST_K, HOTTEST_K = 1000.0, 15000.0
"""Where the formula of the Planckian locus holds."""
FARTHEST = 0.05
"""Distance from the Planckian locus in CIE 1960 (u, v) beyond which no temperature is defined (CIE 15:2004)."""


def planckian_uv(temperature_k: npt.ArrayLike) -> Array:
    """(..., 2) CIE 1960 (u, v) of a black body: Krystek, Color Research & Application 10 (1985), 38-40.

    Within 9e-5 of the locus from 1000 K to 15000 K.
    """
    t = np.asarray(temperature_k, dtype=np.float64)
    u = (0.860117757 + 1.54118254e-4 * t + 1.28641212e-7 * t**2) / (1 + 8.42420235e-4 * t + 7.08145163e-7 * t**2)
    v = (0.317398726 + 4.22806245e-5 * t + 4.20481691e-8 * t**2) / (1 - 2.89741816e-5 * t + 1.61456053e-7 * t**2)
    return np.stack([u, v], axis=-1)


_TABLE_K = 1e6 / np.linspace(1e6 / HOTTEST_K, 1e6 / COLDEST_K, 16384)  # even in mireds, as the eye tells them apart
_TABLE_UV = planckian_uv(_TABLE_K)


def uv_from_xyz(xyz: npt.ArrayLike) -> Array:
    """CIE 1960 (u, v) of CIE 1931 XYZ."""
    x, y, z = np.asarray(xyz, dtype=np.float64)
    return np.asarray(np.array([4 * x, 6 * y]) / (x + 15 * y + 3 * z))


def correlated_colour_temperature_k(rgb: npt.ArrayLike) -> float | None:
    """Temperature of the black body whose colour is nearest to linear `rgb` in CIE 1960 (u, v).

    None where it is not defined: no light, a colour farther than `FARTHEST` from the locus, or outside 1000..15000 K.
    """
    xyz = XYZ_FROM_RGB @ np.asarray(rgb, dtype=np.float64)
    if not np.isfinite(xyz).all() or xyz.min() <= 0:
        return None
    distances = np.linalg.norm(_TABLE_UV - uv_from_xyz(xyz), axis=-1)
    nearest = int(np.argmin(distances))
    if distances[nearest] > FARTHEST or nearest in (0, len(_TABLE_K) - 1):
        return None
    return float(_TABLE_K[nearest])


def decode_srgb(encoded: npt.ArrayLike) -> Array:
    """Linear light of sRGB values 0..1 (IEC 61966-2-1)."""
    c = np.asarray(encoded, dtype=np.float64)
    return np.asarray(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))


def encode_srgb(light: npt.ArrayLike) -> Array:
    """SRGB values 0..1 of linear light (IEC 61966-2-1); what is outside 0..1 is clipped."""
    c = np.clip(np.asarray(light, dtype=np.float64), 0, 1)
    return np.asarray(np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055))


def linear(srgb: npt.NDArray[np.uint8]) -> Array:
    """Linear 0..1 of sRGB bytes."""
    return decode_srgb(srgb / 255)


def srgb(light: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """SRGB bytes of linear 0..1."""
    return np.asarray(np.rint(encode_srgb(light) * 255), dtype=np.uint8)
