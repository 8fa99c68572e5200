"""A camera carried through a rendered room: frames with exact depth and pose, to prove learning from footage with.

A folder holds one `walk-00000.h5` a walk:

    image           (N, h, w, 3) uint8    one exposure for the whole walk, lamps as they are
    depth_m         (N, h, w)    float16  z-depth
    T_room_camera   (N, 4, 4)    float64  metres; camera axes x right, y down, z forward
    intrinsics      (4,)         float32  fx fy cx cy px
    right           (N, h, w, 3) uint8    the picture of a second camera `baseline_m` to the right, if there is one
    attributes      room, seed, baseline_m
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from edge.errors import DataError
from edge.geometry.rigid import rotation_room_camera, transform
from training.arrays import Array
from training.data.synthetic.assets import Catalog, read_catalog
from training.data.synthetic.cameras import free_point
from training.data.synthetic.description import Room, View, rectangle
from training.data.synthetic.rendered import exposure_scale, intrinsics, picture
from training.data.synthetic.rooms import describe
from training.data.synthetic.stage import build
from training.data.synthetic.tracer import Camera, PerspectiveCamera, Shot, Tracer

STEP_M = 0.05
CLEAR_M = 0.3
"""Least distance of the way from walls and from what is as high as the camera."""
_EXPOSURE = 0.2
_TRIES = 400


def _free(room: Room, height_m: float) -> BaseGeometry:
    """Where a camera of that height can be carried."""
    high = [
        rectangle(p.position_m[:2], p.size_m[0], p.size_m[1], p.turn_rad).buffer(CLEAR_M)
        for p in room.pieces
        if p.position_m[2] < height_m + 0.3 and p.position_m[2] + p.size_m[2] > height_m - 0.3
    ]
    return shapely.Polygon(room.polygon).buffer(-CLEAR_M).difference(shapely.unary_union(high))


def _way(rng: np.random.Generator, free: BaseGeometry, length_m: float) -> Array | None:
    """A gently bent line of that length over free floor, (100, 2); None where no try found one."""
    for _ in range(_TRIES):
        start, heading = free_point(rng, free), rng.uniform(-np.pi, np.pi)
        bend = rng.uniform(-0.6, 0.6)
        s = np.linspace(0, length_m, 100)
        angle = heading + bend * s / length_m
        steps = np.diff(s, prepend=0)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        line = start + np.cumsum(steps, axis=0)
        if free.contains(shapely.LineString(line)):
            return np.asarray(line)
    return None


def walk_views(room: Room, frames: int, seed: int) -> list[View] | None:
    """Cameras of a walk, a step of 5 cm apart, looking about; None where the room has no space for it."""
    rng = np.random.default_rng([seed, room.seed])
    height_m = float(rng.uniform(1.2, min(1.7, room.height_m - 0.4)))
    free = _free(room, height_m)
    line = None if free.is_empty else _way(rng, free, STEP_M * frames)
    if line is None:
        return None
    middle = np.asarray(shapely.Polygon(room.polygon).centroid.coords[0])
    share = np.linspace(0, 1, frames)
    xy = np.stack([np.interp(share, np.linspace(0, 1, 100), line[:, k]) for k in (0, 1)], axis=1)
    there = middle - xy[frames // 2]
    aim = float(np.arctan2(there[0], there[1]))
    yaw = aim + np.radians(rng.uniform(10, 25)) * np.sin(2 * np.pi * (share + rng.random()))
    pitch = np.radians(rng.uniform(-14, 0) + 3 * np.sin(2 * np.pi * (1.3 * share + rng.random())))
    roll = np.radians(np.sin(2 * np.pi * (1.7 * share + rng.random())))
    bob_m = 0.01 * np.sin(2 * np.pi * (frames * STEP_M / 0.7) * share)
    hfov_rad = float(np.radians(rng.uniform(58, 78)))
    return [
        View((float(x), float(y), height_m + float(b)), float(a), float(p), float(r), hfov_rad, _EXPOSURE)
        for (x, y), a, p, r, b in zip(xy, yaw, pitch, roll, bob_m, strict=True)
    ]


def pose_of(view: View) -> Array:
    """(4, 4) room from camera."""
    return transform(rotation_room_camera(view.yaw_rad, view.pitch_rad, view.roll_rad), view.position_m)


def _beside(view: View, baseline_m: float) -> View:
    right = rotation_room_camera(view.yaw_rad, view.pitch_rad, view.roll_rad)[:, 0] * baseline_m
    x, y, z = (float(a) for a in np.asarray(view.position_m) + right)
    return replace(view, position_m=(x, y, z))


def _shot(tracer: Tracer, room: Room, catalog: Catalog, views: list[View], size_px: tuple[int, int],
          samples: int) -> list[Shot]:  # fmt: skip
    """All views of a room; a few in each launch, which bounds the renderer's memory. 0 samples: in flat light."""
    scene = tracer.scene(room, build(room, catalog))
    middle = np.asarray(shapely.Polygon(room.polygon).representative_point().coords[0])
    lamp_m = np.array([*middle, room.height_m - 0.1], np.float32)
    shots: list[Shot] = []
    for first in range(0, len(views), 8):
        cameras: list[Camera] = [PerspectiveCamera(v, *size_px) for v in views[first : first + 8]]
        if samples:
            shots += tracer.shoot(scene, cameras, [samples] * len(cameras), room.seed + first)
        else:
            shots += tracer.flat(scene, cameras, lamp_m)
    return shots


def _write(path: Path, room: Room, seed: int, views: list[View], shots: list[list[Shot]], baseline_m: float) -> None:
    left = shots[0]
    h, w = left[0].distance_m.shape
    scale = exposure_scale(np.stack([s.radiance for s in left]), _EXPOSURE)
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    with h5py.File(temporary, "w") as file:
        packed = {"compression": "lzf", "shuffle": True}
        file.create_dataset("image", data=np.stack([picture(s.radiance, scale) for s in left]), **packed)
        file.create_dataset("depth_m", data=np.stack([s.distance_m for s in left]).astype(np.float16), **packed)
        file.create_dataset("T_room_camera", data=np.stack([pose_of(v) for v in views]))
        file.create_dataset("intrinsics", data=np.array(intrinsics(views[0], w, h), np.float32))
        for right in shots[1:]:
            file.create_dataset("right", data=np.stack([picture(s.radiance, scale) for s in right]), **packed)
        file.attrs.update({"room": room.index, "seed": seed, "baseline_m": baseline_m})
    os.replace(temporary, path)


def synthesize_walks(
    out: Path, walks: int, seed: int = 1, assets: Path | None = None, *, frames: int = 40, baseline_m: float = 0.0,
    size_px: tuple[int, int] = (256, 192), samples: int = 32, threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Render walks 0..walks-1 of a series into a folder, each through another room; what is there is kept.

    Args:
        out: folder, made if need be.
        walks: how many.
        seed: another seed, other rooms and ways.
        assets: folder of models, textures and skies; None makes simple ones.
        frames: of each walk.
        baseline_m: of a second camera to the right; 0 = none.
        size_px: width and height.
        samples: paths a pixel; 0 = surfaces in flat light, without shadows and reflections, in seconds a walk.
        threads: of the renderer.
        progress: called with (walks finished, walks in all).

    Raises:
        DataError: counts are not positive, or the assets or the renderer cannot be used.
    """
    if min(walks, frames, *size_px) < 1 or min(samples, baseline_m) < 0:
        raise DataError("walks, frames and sizes must be positive, samples and baseline not negative; correct them")
    out.mkdir(parents=True, exist_ok=True)
    catalog = read_catalog(assets)
    tracer: Tracer | None = None
    made: list[Path] = []
    index = 0
    while len(made) < walks:
        path = out / f"walk-{len(made):05d}.h5"
        room = describe(seed, index, catalog, views=0)
        index += 1
        views = walk_views(room, frames, seed)
        if views is None:
            continue
        if not path.is_file():
            tracer = tracer or Tracer(catalog, threads, samples)
            beside = [_beside(v, baseline_m) for v in views] if baseline_m > 0 else []
            found = _shot(tracer, room, catalog, views + beside, size_px, samples)
            shots = [found[i : i + frames] for i in range(0, len(found), frames)]
            _write(path, room, seed, views, shots, baseline_m)
        made.append(path)
        if progress:
            progress(len(made), walks)
    return made
