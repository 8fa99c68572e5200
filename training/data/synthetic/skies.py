"""Daylight outdoors as panoramas of radiance: sun, sky, clouds, a skyline and the ground, each lit by what is above.

Sun and clear sky are Mitsuba's `sunsky` (Hosek & Wilkie 2012; Wilkie et al. 2021), so how much stronger the sun is than
the sky follows the haze. Clouds, buildings and ground are noise, shaded by Lambert's law. They teach how much light a
clipped sun may hold, which no clipped picture tells and few photographed environments show.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.panorama import longitudes, rays, solid_angles
from training.data.synthetic.tracer import mitsuba_started

Radiance = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
_SUN_HALF_ANGLE_RAD = np.radians(0.5358 / 2)
_TINT = 0.08


def _noise(rng: np.random.Generator, height_px: int, width_px: int, cells: int, octaves: int = 5) -> Array:
    """Fractal noise (H, W) about 0..1 that has no seam in longitude."""
    out, weight = np.zeros((height_px, width_px)), 0.0
    for octave in range(octaves):
        rows, columns = max(2, cells * 2**octave // 2), cells * 2**octave
        grid = rng.random((rows, columns)).astype(np.float32)
        around = np.concatenate([grid, grid, grid], axis=1)
        big = cv2.resize(around, (3 * width_px, height_px), interpolation=cv2.INTER_CUBIC)[:, width_px : 2 * width_px]
        out += big * 0.5**octave
        weight += 0.5**octave
    spread: Array = (out / weight - 0.5) * 2.2 + 0.5
    return spread.clip(0, 1)


def clear_sky(sun: Array, turbidity: float, albedo: float, directions: Array) -> tuple[Array, Array]:
    """Radiance of the sky (N, 3) along unit directions (N, 3; 0 below the horizon), and irradiance (3,) facing the sun.

    Args:
        sun: unit direction to it, above the horizon.
        turbidity: haze, 1 (mountain air) to 10 (mist).
        albedo: of the ground, which lights the sky too.
        directions: unit vectors in the room frame.
    """
    mi, _ = mitsuba_started(1)
    common = {"sun_direction": mi.ScalarVector3f(*sun), "turbidity": turbidity, "albedo": albedo}
    interaction = mi.SurfaceInteraction3f()

    def along(d: Array, sun_scale: float) -> Array:
        emitter = mi.load_dict({"type": "sunsky", "sun_scale": sun_scale, **common})
        interaction.wi = -mi.Vector3f(*np.ascontiguousarray(d.T, dtype=np.float32))
        return np.asarray(np.array(emitter.eval(interaction), dtype=np.float64).T)

    sky = along(directions, 0.0)
    disc = np.maximum(along(sun[None], 1.0)[0] - along(sun[None], 0.0)[0], 0)
    return np.maximum(sky, 0), disc * np.pi * np.sin(_SUN_HALF_ANGLE_RAD) ** 2


def _direction(azimuth_rad: float, elevation_rad: float) -> Array:
    c = np.cos(elevation_rad)
    return np.array([c * np.sin(azimuth_rad), c * np.cos(azimuth_rad), np.sin(elevation_rad)])


def _colour(rng: np.random.Generator, low: float, high: float) -> Array:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high))) * (1 + rng.uniform(-_TINT, _TINT, 3) * 3))


def daylight(rng: np.random.Generator, width_px: int = 256, height_px: int = 128) -> Radiance:
    """(H, W, 3) linear radiance of a random place outdoors by day."""
    azimuth = rng.uniform(-np.pi, np.pi)
    sun = _direction(azimuth, np.radians(np.clip(90 * rng.beta(1.4, 2.2), 1.5, 80)))
    d = rays(width_px, height_px)
    flat, sun_light = clear_sky(sun, float(rng.uniform(1.5, 9)), float(rng.uniform(0.05, 0.5)), d.reshape(-1, 3))
    sky = flat.reshape(height_px, width_px, 3)
    sky, through = _clouded(rng, sky, sun_light, d, sun)
    area = solid_angles(width_px, height_px)[..., None]
    up = np.maximum(d[..., 2:], 0)
    sky_light = (sky * area * up).sum(axis=(0, 1))
    direct = sun_light * through
    out = _land(rng, sky, sky_light, direct, sun, d)
    return np.asarray(_with_sun(rng, out, direct, sun, d, area).clip(min=0), dtype=np.float32)


def _clouded(rng: np.random.Generator, sky: Array, sun_light: Array, d: Array, sun: Array) -> tuple[Array, float]:
    """The sky behind its clouds, and the share of the sun that they let through."""
    kind = rng.random()
    if kind < 0.25:
        return sky, 1.0
    h, w = sky.shape[:2]
    cover = rng.uniform(0.85, 1.0) if kind > 0.8 else rng.uniform(0.1, 0.7)
    field = _noise(rng, h, w, int(rng.integers(3, 7)))
    dense = np.clip((field - (1 - cover)) * rng.uniform(2, 6), 0, 1)[..., None] * (d[..., 2:] > 0)
    near = np.maximum(d @ sun, 0)[..., None]
    level = (sun_light * max(float(sun[2]), 0.05) + sky.mean(axis=(0, 1)) * 2 * np.pi) / np.pi
    glow = level * rng.uniform(0.25, 0.7) * (0.6 + rng.uniform(0.2, 1.5) * near ** rng.uniform(4, 24))
    shaded = glow * (0.6 + 0.6 * _noise(rng, h, w, 6)[..., None])
    if kind > 0.8:
        through = float(rng.random() < 0.3) * rng.uniform(0.0, 0.1)
    else:
        through = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.05, 0.9))
    return sky * (1 - dense) + shaded * dense, through


def _land(rng: np.random.Generator, sky: Array, sky_light: Array, direct: Array, sun: Array, d: Array) -> Array:
    """Skyline and ground before the sky."""
    h, w = sky.shape[:2]
    in_shade = rng.random() < 0.3
    floor = _noise(rng, h, w, 8)[..., None] * rng.uniform(0.3, 1.2) + 0.5
    lit = sky_light + (0.15 if in_shade else 1.0) * direct * max(float(sun[2]), 0.0)
    out = np.where(d[..., 2:] > 0, sky, _colour(rng, 0.04, 0.45) * floor * lit / np.pi)
    for _ in range(int(rng.integers(0, 3))):
        heights = np.radians(rng.uniform(2, 35)) * _noise(rng, 4, w, int(rng.integers(2, 8)), 3)[1] ** rng.uniform(1, 3)
        latitude = np.arcsin(d[..., 2].clip(-1, 1))
        before = (latitude < heights[None]) & (latitude > -np.radians(rng.uniform(2, 20)))
        lon = longitudes(w)
        facing = -(np.sin(lon) * sun[0] + np.cos(lon) * sun[1])  # a wall looks back at the camera
        light = 0.5 * sky_light + 0.5 * lit * 0.2 + direct * np.maximum(facing, 0)[:, None] * (0.2 if in_shade else 1.0)
        texture = 0.5 + _noise(rng, h, w, 16)[..., None]
        out = np.where(before[..., None], _colour(rng, 0.03, 0.5) * texture * light[None] / np.pi, out)
    return out


def _with_sun(rng: np.random.Generator, out: Array, direct: Array, sun: Array, d: Array, area: Array) -> Array:
    """The sun's light put where the sun stands (or left out where it stands behind something), with some glare."""
    near = d @ sun
    at = np.unravel_index(int(np.argmax(near)), near.shape)
    behind = rng.random() < 0.12
    if behind:
        return out
    width = np.radians(rng.uniform(0.8, 2.5))
    spread = np.exp(-((np.arccos(near.clip(-1, 1)) / width) ** 2))
    spread[at] = max(float(spread[at]), 1e-3)
    return np.asarray(out + direct * spread[..., None] / (spread[..., None] * area).sum())


def write_daylight(
    out: Path, count: int, seed: int, width_px: int = 256, *, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """`count` places as outdoor__daylight_<seed>_<number>.hdr; each by its own number, those already there are kept.

    Raises:
        DataError: a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = out / f"outdoor__daylight_{seed}_{i:05d}.hdr"
        if not path.exists():
            radiance = daylight(np.random.default_rng([seed, i]), width_px, width_px // 2)
            done, packed = cv2.imencode(".hdr", np.ascontiguousarray(radiance[..., ::-1]))
            if not done:
                raise DataError(f"{path}: OpenCV cannot encode .hdr; install opencv-python-headless from PyPI")
            part = path.with_suffix(".part")
            part.write_bytes(packed.tobytes())
            part.replace(path)
        progress(i + 1, count)
