"""Demonstration clips: a fixed camera in a furnished room while its lamps are slowly turned up and down.

Light adds up, so the room is traced twice, once by its lamps and once by its windows, and every frame is a weighted
sum of the two, exposed alike, with a little sensor noise.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely

from edge.errors import DataError
from edge.geometry.polygon import area_m2, wall_distances
from training.data.synthetic.assets import Catalog, read_catalog
from training.data.synthetic.description import Room, View, rectangle
from training.data.synthetic.rendered import exposure_scale, picture
from training.data.synthetic.rooms import describe
from training.data.synthetic.stage import Stage, build
from training.data.synthetic.tracer import Camera, PanoramaCamera, PerspectiveCamera, Tracer

JPEG_QUALITY = 88
FRAME_RATE_HZ = 5.0
LAMP_SWING = (0.25, 1.0)
"""Least and greatest share of the lamps' full power."""
NOISE = 0.006
"""Standard deviation of the sensor noise, as a share of full scale."""


def _worth_showing(room: Room, stage: Stage) -> bool:
    lamps = sum(g.lamp for g in stage.glows)
    kinds = {p.kind for p in room.pieces}
    return (
        16 < area_m2(room.polygon) < 34 and 2.4 < room.height_m < 3.0 and 1 <= lamps < len(stage.glows)
        and len(room.pieces) >= 9 and len(kinds) >= 6 and room.exposure > 0
    )  # fmt: skip


def clip_room(seed: int, catalog: Catalog) -> Room:
    """The first living room of the series that is neither bare nor cramped and has both windows and lit lamps.

    Raises:
        DataError: no such room is among the first thousand.
    """
    for index in range(1000):
        room = describe(seed, index, catalog, views=0, style="living")
        if _worth_showing(room, build(room, catalog)):
            return room
    raise DataError(f"no room of series {seed} is fit for a clip; give another --seed")


def corner_view(room: Room, hfov_deg: float = 75.0, pitch_deg: float = -8.0, height_m: float = 1.6) -> View:
    """A camera near a corner of the room, clear of furniture, that looks across its greatest length."""
    outline = shapely.Polygon(room.polygon)
    standing = [rectangle(p.position_m[:2], p.size_m[0] + 0.5, p.size_m[1] + 0.5, p.turn_rad) for p in room.pieces
                if p.size_m[2] > 0.3 and p.position_m[2] < height_m]  # fmt: skip
    middle = np.array(outline.centroid.coords[0])
    best: tuple[float, View] | None = None
    for x, y in np.asarray(outline.buffer(-0.45, join_style="mitre").exterior.coords)[:-1]:
        if any(s.contains(shapely.Point(x, y)) for s in standing):
            continue
        aim = float(np.arctan2(middle[0] - x, middle[1] - y))
        fan = aim + np.radians(np.linspace(-hfov_deg / 2, hfov_deg / 2, 15))
        reach = float(wall_distances(room.polygon - [x, y], fan).mean())
        if best is None or reach > best[0]:
            view = View((float(x), float(y), height_m), aim, float(np.radians(pitch_deg)), 0.0,
                        float(np.radians(hfov_deg)), 0.2)  # fmt: skip
            best = (reach, view)
    if best is None:
        raise DataError("furniture stands in every corner of the room; give another --seed")
    return best[1]


def _camera(kind: str, room: Room, size_px: tuple[int, int]) -> tuple[Camera, dict[str, Any]]:
    if kind == "panorama":
        about = {"projection": "equirectangular", "camera_height_m": room.camera_height_m, "polygon_m": room.polygon_m}
        return PanoramaCamera(room.camera_height_m, size_px[0]), about
    view = corner_view(room)
    c, s = np.cos(view.yaw_rad), np.sin(view.yaw_rad)
    polygon = (room.polygon - np.asarray(view.position_m[:2])) @ np.array([[c, s], [-s, c]])
    about = {
        "projection": "perspective", "camera_height_m": view.position_m[2],
        "hfov_deg": float(np.degrees(view.hfov_rad)), "pitch_deg": float(np.degrees(view.pitch_rad)), "roll_deg": 0.0,
        "polygon_m": polygon.tolist(),
    }  # fmt: skip
    return PerspectiveCamera(view, *size_px), about


def render_clip(
    out_dir: Path, kind: str = "panorama", seed: int = 1, frames: int = 30, assets: Path | None = None, *,
    size_px: tuple[int, int] | None = None, samples: int = 64, threads: int = 1,
) -> Path:  # fmt: skip
    """Write a clip as `frame-000.jpg` and on, with `camera.json` beside them; both kinds of a seed show one room.

    Args:
        out_dir: folder, made if need be.
        kind: `panorama` or `perspective`.
        seed: of the room.
        frames: how many; the lamps go through one full swing, so that the clip loops.
        assets: folder of models, textures and skies; its pictures are not used.
        size_px: width and height; 768x384 and 640x480 if not given.
        samples: paths a pixel and light group.
        threads: of the renderer.

    Raises:
        DataError: the kind is unknown, a file cannot be written, or no room is fit.
    """
    if kind not in ("panorama", "perspective"):
        raise DataError(f"no clip of kind {kind!r}; give panorama or perspective")
    size = size_px or ((768, 384) if kind == "panorama" else (640, 480))
    catalog = read_catalog(assets, pictures=False)
    room = clip_room(seed, catalog)
    stage = build(room, catalog)
    camera, about = _camera(kind, room, size)
    tracer = Tracer(catalog, threads, samples)
    by_lamps = replace(stage, glows=[g for g in stage.glows if g.lamp], beams=[])
    by_windows = replace(stage, glows=[g for g in stage.glows if not g.lamp])
    parts = [
        tracer.shoot(tracer.scene(room, lit), [camera], [samples], room.seed + k)[0].radiance
        for k, lit in enumerate((by_lamps, by_windows))
    ]
    scale = exposure_scale(parts[0] * np.float32(0.7) + parts[1], 0.2)
    out_dir.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    low, high = LAMP_SWING
    for i in range(frames):
        level = low + (high - low) * (0.5 + 0.5 * np.cos(2 * np.pi * i / frames))
        image = picture(parts[0] * np.float32(level) + parts[1], scale)
        noisy = np.clip(image + rng.normal(0, 255 * NOISE, image.shape), 0, 255).astype(np.uint8)
        path = out_dir / f"frame-{i:03d}.jpg"
        if not cv2.imwrite(str(path), noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise DataError(f"cannot write {path}; is the disk full or the folder read-only?")
    about |= {"width_px": size[0], "height_px": size[1], "rate_hz": FRAME_RATE_HZ, "ceiling_height_m": room.height_m,
              "seed": seed, "room": room.index}  # fmt: skip
    (out_dir / "camera.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return out_dir
