"""Order-2 spherical harmonics for lighting, in the convention of filament's cmgen ("pre-scaled irradiance").

Nine coefficients per channel, order L00, L1-1, L10, L11, L2-2, L2-1, L20, L21, L22, in the room frame's axes (x right,
y forward, z up). *Pre-scaled irradiance* means that irradiance / pi and the basis constants are folded in, so that the
light on a surface with normal n is the plain polynomial

    E(n)/pi = c0 + c1 y + c2 z + c3 x + c4 xy + c5 yz + c6 (3z^2 - 1) + c7 zx + c8 (x^2 - y^2)

and a uniform white environment of radiance 1 gives c0 = 1, all else 0. The scale factors follow Ramamoorthi & Hanrahan,
"An Efficient Representation for Irradiance Environment Maps" (2001), as google/filament's `CubemapSH.cpp` folds them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.errors import GeometryError
from edge.geometry.colour import LUMINANCE
from edge.geometry.panorama import rays, solid_angles

CONVENTION = "filament_prescaled_irradiance"
COEFFICIENT_NAMES = ("L00", "L1-1", "L10", "L11", "L2-2", "L2-1", "L20", "L21", "L22")

_PI = np.pi
# Orthonormal real basis constants K, in the order above: Y_i = K_i * polynomial_i.
_BASIS = np.array(
    [0.5 * np.sqrt(1 / _PI)]
    + [np.sqrt(3 / (4 * _PI))] * 3
    + [0.5 * np.sqrt(15 / _PI)] * 2
    + [0.25 * np.sqrt(5 / _PI), 0.5 * np.sqrt(15 / _PI), 0.25 * np.sqrt(15 / _PI)]
)
# Cosine-lobe factors A_l / pi: 1, 2/3, 1/4 (Ramamoorthi & Hanrahan, eq. 8).
_LOBE = np.array([1.0] + [2 / 3] * 3 + [0.25] * 5)
# From the integral of radiance times polynomial to pre-scaled irradiance, and from orthonormal radiance SH to it.
_FROM_INTEGRAL = _BASIS**2 * _LOBE
_FROM_RADIANCE = _BASIS * _LOBE
# Unit directions that determine an order-2 function, for rotations by resampling.
_PROBES = rays(16, 8).reshape(-1, 3).astype(np.float64)

Coefficients = npt.NDArray[np.float64]


def polynomials(directions: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The nine polynomials of the module docstring at unit `directions` (..., 3) -> (..., 9)."""
    d = np.asarray(directions, dtype=np.float64)
    x, y, z = d[..., 0], d[..., 1], d[..., 2]
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, z * x, x * x - y * y], axis=-1)


def _checked(coefficients: npt.ArrayLike) -> Coefficients:
    c = np.asarray(coefficients, dtype=np.float64)
    if c.ndim != 2 or c.shape[0] != 9:
        raise GeometryError(f"spherical harmonics must be (9, channels), got {c.shape}; reshape 27 values to (9, 3)")
    return c


def projection_weights(width_px: int, height_px: int) -> npt.NDArray[np.float64]:
    """(9, H, W) weights W so that sum(W * radiance) over a panorama is its pre-scaled irradiance.

    Normalised on the grid: a uniform panorama gives exactly c0 = 1.
    """
    omega = solid_angles(width_px, height_px)
    basis = np.moveaxis(polynomials(rays(width_px, height_px)), -1, 0)
    basis[6] -= (basis[6] * omega).sum() / omega.sum()  # the grid's own rounding of the mean of 3z^2 - 1
    weights = basis * (omega * (4 * _PI / omega.sum())) * _FROM_INTEGRAL[:, None, None]
    return np.asarray(weights)


def project_panorama(radiance: npt.ArrayLike) -> Coefficients:
    """Pre-scaled irradiance (9, C) of a linear-radiance panorama (H, W, C)."""
    image = np.asarray(radiance, dtype=np.float64)
    if image.ndim != 3 or image.shape[1] != 2 * image.shape[0]:
        raise GeometryError(f"an equirectangular panorama is (H, 2H, C), got {image.shape}")
    weights = projection_weights(image.shape[1], image.shape[0])
    return np.asarray(np.tensordot(weights, image, axes=([1, 2], [0, 1])))


def irradiance_over_pi(coefficients: npt.ArrayLike, normals: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Irradiance / pi on surfaces facing `normals` (..., 3) -> (..., C)."""
    return np.asarray(polynomials(normals) @ _checked(coefficients))


def radiance_from_prescaled(coefficients: npt.ArrayLike) -> Coefficients:
    """Orthonormal radiance SH (three.js LightProbe, ARCore) from pre-scaled irradiance; same order and axes."""
    return np.asarray(_checked(coefficients) / _FROM_RADIANCE[:, None])


def prescaled_from_radiance(coefficients: npt.ArrayLike) -> Coefficients:
    """Pre-scaled irradiance from orthonormal radiance SH; the inverse of `radiance_from_prescaled`."""
    return np.asarray(_checked(coefficients) * _FROM_RADIANCE[:, None])


def rotation_matrix(rotation: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(9, 9) matrix M with M @ coefficients = the coefficients of the environment turned by `rotation` (3, 3)."""
    r = np.asarray(rotation, dtype=np.float64)
    if r.shape != (3, 3):
        raise GeometryError(f"a rotation is (3, 3), got {r.shape}")
    source = polynomials(_PROBES @ r)  # value of the turned function at n is the old one at R^T n
    return np.asarray(np.linalg.lstsq(polynomials(_PROBES), source, rcond=None)[0])


def rotate(coefficients: npt.ArrayLike, rotation: npt.ArrayLike) -> Coefficients:
    """Coefficients (9, C) of the environment turned by `rotation` (3, 3): light from d then comes from R d."""
    return np.asarray(rotation_matrix(rotation) @ _checked(coefficients))


def rotate_yaw(coefficients: npt.ArrayLike, yaw_rad: float) -> Coefficients:
    """Coefficients of the environment turned about the vertical; positive moves light to the right (+y towards +x)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return rotate(coefficients, [[c, s, 0], [-s, c, 0], [0, 0, 1]])


def dominant_direction(coefficients: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], float]:
    """Unit direction of the strongest light from the order-1 terms of luminance, and its strength in 0..1.

    Strength is |order-1 irradiance| over the most that a non-negative environment of the same ambient level can have
    (a single point light gives 1). Without any direction the vector is straight up and the strength 0.
    """
    luminance = _checked(coefficients) @ LUMINANCE
    vector = luminance[[3, 1, 2]]
    length = float(np.linalg.norm(vector))
    if length < 1e-9 or luminance[0] <= 0:
        return np.array([0.0, 0.0, 1.0]), 0.0
    return vector / length, min(1.0, length / (2.0 * float(luminance[0])))
