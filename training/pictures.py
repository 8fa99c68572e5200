"""Pictures of what the engines really give, for the README: `edge-train pictures`.

Everything goes through the device's own readers, on the demo clips, which are our own renders.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from edge.inference.options import InferenceOptions
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.perception.object_view import Box
from edge.perception.objects import ObjectReader, look_at, reconstruct
from edge.perception.readers import Value, reader_of
from edge.scene import CameraModel, DepthMap, Frame, ImageArray, Lighting, RoomLayout, Task
from training.data.sets.pictures import read_picture
from training.drawing import coloured_depth, drawn_layout, drawn_mesh, floor_plan, lit_sphere

_THINGS_IN = 10
"""Number of the perspective clip's picture that things are shown of."""
_THINGS: tuple[Box, ...] = ((0.30, 0.45, 0.53, 0.67), (0.55, 0.47, 0.80, 0.65))
"""An armchair and a sofa there."""


def infer(engines: Path, task: Task, image: ImageArray, camera: CameraModel) -> Value:
    """What an engine says of one picture, through the device's own reader."""
    stored = ModelStore(engines).find(task)
    reader = reader_of(task, stored.manifest, camera)
    with load(stored, InferenceOptions(precision="fp32")) as backend:  # the same on every machine
        return reader.read(backend.run(reader.prepare(image)), 0.0)


def _clip(folder: Path, number: int = 0) -> tuple[ImageArray, CameraModel]:
    """A picture of a clip and the camera it was rendered with."""
    found = sorted(folder.glob("frame-*.jpg"))
    if len(found) <= number or not (folder / "camera.json").is_file():
        raise DataError(f"no clip in {folder}; give --clips the folder where `edge-train clip` made both")
    lens = json.loads((folder / "camera.json").read_text(encoding="utf-8"))
    camera = CameraModel(
        lens["projection"],
        hfov_rad=np.deg2rad(lens["hfov_deg"]) if "hfov_deg" in lens else None,
        camera_height_m=lens["camera_height_m"],
        pitch_rad=np.deg2rad(lens.get("pitch_deg", 0.0)),
        roll_rad=np.deg2rad(lens.get("roll_deg", 0.0)),
    )
    return read_picture(found[number]), camera


def _beside(*pictures: ImageArray) -> ImageArray:
    """Pictures of equal height in a row."""
    height = pictures[0].shape[0]
    scaled = [cv2.resize(p, (round(p.shape[1] * height / p.shape[0]), height)) for p in pictures]
    return np.asarray(np.concatenate(scaled, axis=1), dtype=np.uint8)


def things_of(engines: Path, picture: ImageArray, camera: CameraModel) -> ImageArray:
    """The picture with a box around each thing, and beside it every thing's mesh from three sides."""
    stored = ModelStore(engines).find("objects")
    marked, rows = picture.copy(), []
    frame = Frame("clip", 0, 0.0, 0.0, picture, camera)
    height, width = picture.shape[:2]
    with load(stored, InferenceOptions(precision="fp32")) as backend:
        for box in _THINGS:
            view, mask = look_at(frame, box=box)
            found = reconstruct(frame, view, mask, ObjectReader(stored.manifest), backend.run, name="thing")
            if found.mesh is None:
                raise DataError(
                    f"{stored.onnx.parent}: no mesh of the clip's thing at {box}: {found.note}; learn longer"
                )
            x0, y0, x1, y1 = (round(v * s) for v, s in zip(found.box, (width, height) * 2, strict=True))
            cv2.rectangle(marked, (x0, y0), (x1, y1), (255, 212, 59), 2)
            side_px = height // len(_THINGS)
            rows.append(np.concatenate([drawn_mesh(found.mesh, t, side_px) for t in (-0.6, 0.6, np.pi - 0.6)], axis=1))
    return _beside(marked, np.concatenate(rows))


def draw(engines: Path, clips: Path, out: Path) -> list[Path]:
    """Write depth.jpg, layout.jpg, lighting.jpg and objects.jpg; returns their paths.

    Raises:
        DataError: the clips are not there, or a thing in them is unlike anything learnt.
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
        "lighting.jpg": _beside(wide, lit_sphere(light.coefficients)),
        "objects.jpg": things_of(engines, *_clip(clips / "perspective", _THINGS_IN)),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        cv2.imwrite(str(out / name), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return [out / name for name in pictures]
