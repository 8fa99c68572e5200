"""Pictures of what the engines really give, for the README: `edge-train pictures`.

Everything goes through the device's own readers, on the demo clips, which are our own renders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.harmonics import irradiance_over_pi
from edge.geometry.panorama import pixel_from_angles
from edge.inference.store import ModelStore, load
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.perception.lighting import LightingReader
from edge.scene import CameraModel, DepthMap, ImageArray, Lighting, RoomLayout

_PLAN_PX = 384
_LINE = {"ceiling": (80, 200, 255), "floor": (255, 170, 60), "corner": (255, 80, 160)}
Value = DepthMap | RoomLayout | Lighting


def coloured_depth(
    depth: npt.NDArray[np.float32], near_m: float | None = None, far_m: float | None = None
) -> ImageArray:
    """(H, W, 3) RGB, near red to far blue, on a logarithmic scale between the 1st and 99th percentile unless given."""
    low, high = np.percentile(depth[depth > 0], (1, 99))
    a, b = np.log(near_m or low), np.log(far_m or high)
    level = np.clip((b - np.log(np.maximum(depth, 1e-3))) / max(b - a, 1e-6), 0, 1)
    colours = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.ascontiguousarray(colours[..., ::-1])


def drawn_layout(panorama: ImageArray, layout: RoomLayout) -> ImageArray:
    """The panorama with the network's boundary and the fitted polygon's corners as vertical lines."""
    out: ImageArray = panorama.copy()
    height, width = out.shape[:2]
    lon = ((np.arange(len(layout.floor_rad)) + 0.5) / len(layout.floor_rad) - 0.5) * 2 * np.pi
    for name, latitude in (("ceiling", layout.ceiling_rad), ("floor", layout.floor_rad)):
        seen = np.isfinite(latitude)
        x, y = pixel_from_angles(lon[seen], latitude[seen], width, height)
        for px, py in zip(x, y, strict=True):
            cv2.circle(out, (round(px), round(py)), max(1, width // 512), _LINE[name], -1, cv2.LINE_AA)
    for corner in layout.polygon_m:
        distance = float(np.hypot(*corner))
        if distance < 0.05:
            continue  # a perspective camera's outline is closed at the camera itself
        up = np.arctan2(layout.ceiling_height_m - layout.camera_height_m, distance)
        down = -np.arctan2(layout.camera_height_m, distance)
        x, y = pixel_from_angles(np.arctan2(corner[0], corner[1]), np.array([up, down]), width, height)
        cv2.line(
            out,
            (round(float(x)), round(float(y[0]))),
            (round(float(x)), round(float(y[1]))),
            _LINE["corner"],
            2,
            cv2.LINE_AA,
        )
    return out


def floor_plan(layout: RoomLayout, size_px: int = _PLAN_PX) -> ImageArray:
    """The floor polygon seen from above, camera in the middle of its cross, a metre grid below, forward up."""
    out: ImageArray = np.full((size_px, size_px, 3), 250, np.uint8)
    reach = float(np.abs(layout.polygon_m).max()) * 1.15

    def at(point: npt.ArrayLike) -> tuple[int, int]:
        x, y = np.asarray(point, float)
        return round((x / reach + 1) * size_px / 2), round((1 - y / reach) * size_px / 2)

    for metre in range(-int(reach), int(reach) + 1):
        cv2.line(out, at((metre, -reach)), at((metre, reach)), (225, 225, 225), 1)
        cv2.line(out, at((-reach, metre)), at((reach, metre)), (225, 225, 225), 1)
    corners = np.array([at(p) for p in layout.polygon_m], np.int32)
    cv2.fillPoly(out, [corners], (226, 214, 196), cv2.LINE_AA)
    cv2.polylines(out, [corners], True, (60, 60, 60), 3, cv2.LINE_AA)
    cv2.drawMarker(out, at((0, 0)), (255, 80, 160), cv2.MARKER_CROSS, 18, 3)
    unit = "m" if layout.scale == "metric" else "camera heights"
    text = f"{layout.area_m2:.1f} {unit}2, {layout.ceiling_height_m:.2f} {unit} high, {layout.fit}"
    cv2.putText(out, text, (10, size_px - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return out


def lit_sphere(lighting: Lighting, size_px: int = _PLAN_PX) -> ImageArray:
    """A white matte sphere in the room's light, seen from the camera looking forward."""
    ys, xs = np.mgrid[1 : -1 : size_px * 1j, -1 : 1 : size_px * 1j] * 1.08
    inside = xs**2 + ys**2 < 1
    towards = np.sqrt(np.clip(1 - xs**2 - ys**2, 0, 1))
    normals = np.stack([xs, -towards, ys], axis=-1)  # the side that faces the camera points backwards
    light = np.clip(irradiance_over_pi(lighting.coefficients, normals), 0, None)
    level = 0.75 / max(float(np.percentile(light[inside].mean(-1), 95)), 1e-6)
    shade = np.clip(light * level, 0, 1) ** (1 / 2.2)
    return np.asarray(np.where(inside[..., None], shade * 255, 245), dtype=np.uint8)


def infer(engines: Path, task: Literal["depth", "layout", "lighting"], image: ImageArray, camera: CameraModel) -> Value:
    """What an engine says of one picture, through the device's own reader."""
    stored = ModelStore(engines).find(task)
    reader: DepthReader | LayoutReader | LightingReader
    if task == "depth":
        reader = DepthReader(stored.manifest, camera, smoothing_s=0)
    elif task == "layout":
        reader = LayoutReader(stored.manifest, camera, smoothing_s=0, fit="auto")
    else:
        reader = LightingReader(stored.manifest, camera, smoothing_s=0)
    with load(stored) as backend:
        return reader.read(backend.run(reader.prepare(image)), 0.0)


def _clip(folder: Path) -> tuple[ImageArray, CameraModel]:
    """The first picture of a clip and the camera it was rendered with."""
    found = sorted(folder.glob("frame-*.jpg"))
    picture = cv2.imread(str(found[0])) if found else None
    if picture is None or not (folder / "camera.json").is_file():
        raise DataError(f"no clip in {folder}; give --clips the folder where `edge-train clip` made both")
    said = json.loads((folder / "camera.json").read_text(encoding="utf-8"))
    camera = CameraModel(
        said["projection"],
        hfov_rad=np.deg2rad(said["hfov_deg"]) if "hfov_deg" in said else None,
        camera_height_m=said["camera_height_m"],
        pitch_rad=np.deg2rad(said.get("pitch_deg", 0.0)),
        roll_rad=np.deg2rad(said.get("roll_deg", 0.0)),
    )
    return np.ascontiguousarray(picture[..., ::-1]), camera


def _beside(*pictures: ImageArray) -> ImageArray:
    """Pictures of equal height in a row."""
    height = pictures[0].shape[0]
    scaled = [cv2.resize(p, (round(p.shape[1] * height / p.shape[0]), height)) for p in pictures]
    return np.asarray(np.concatenate(scaled, axis=1), dtype=np.uint8)


def draw(engines: Path, clips: Path, out: Path) -> list[Path]:
    """Write depth.jpg, layout.jpg and lighting.jpg; returns their paths.

    Raises:
        DataError: the clips are not there.
        EngineError: an engine is not there.
    """
    (wide, panorama), (narrow, perspective) = _clip(clips / "panorama"), _clip(clips / "perspective")
    near, around = infer(engines, "depth", narrow, perspective), infer(engines, "depth", wide, panorama)
    room, light = infer(engines, "layout", wide, panorama), infer(engines, "lighting", wide, panorama)
    assert isinstance(near, DepthMap) and isinstance(around, DepthMap)
    assert isinstance(room, RoomLayout) and isinstance(light, Lighting)
    pictures = {
        "depth.jpg": _beside(narrow, coloured_depth(near.depth), coloured_depth(around.depth)),
        "layout.jpg": _beside(drawn_layout(wide, room), floor_plan(room)),
        "lighting.jpg": _beside(wide, lit_sphere(light)),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        cv2.imwrite(str(out / name), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return [out / name for name in pictures]
