"""The room that `edge export` writes: from a saved file, from one picture, or from a broker."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from edge.cameras.gpano import Leveller
from edge.cameras.picture import decoded
from edge.derive.formats.horizonnet import read_horizonnet
from edge.derive.glb import read_room
from edge.derive.model import RoomModel, model_of
from edge.errors import EdgeError, ImageError, explain
from edge.inference.serving import load
from edge.inference.store import ModelStore
from edge.mqtt.home_message import HomeMessage
from edge.mqtt.messages import LayoutMessage
from edge.perception.readers import READERS, Value
from edge.scene import BoolArray, CameraModel, FisheyeCircle, ImageArray, Lighting, RoomLayout, Task
from edge.subscribe.rooms import room_of


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EdgeError(f"{path} cannot be read ({error.strerror}); give a file that is there") from error


def from_file(path: Path, camera_height_m: float | None) -> RoomModel | HomeMessage:
    """A room that was saved: a GLB of ours, a layout message, or HorizonNet's JSON; or a home's message.

    Raises:
        EdgeError: it is none of these.
    """
    data = _bytes(path)
    if data[:4] == b"glTF":
        return read_room(data)
    try:
        said = json.loads(data)
    except ValueError as error:
        raise EdgeError(f"{path} is neither a GLB nor JSON; give a room that edge or HorizonNet wrote") from error
    if isinstance(said, dict) and "uv" in said:
        return read_horizonnet(data, camera_height_m)
    kind = "home" if isinstance(said, dict) and said.get("schema") == "edge.home/1" else "layout"
    try:
        if kind == "home":
            return HomeMessage.model_validate_json(data)
        return room_of(LayoutMessage.model_validate_json(data))
    except ValidationError as error:
        raise EdgeError(
            f"{path} is no message edge.{kind}: {explain(error, 'message')[0]}; give one as published"
        ) from error


def _inferred(store: ModelStore, task: Task, camera: CameraModel, image: ImageArray, seen: BoolArray | None) -> Value:
    stored = store.find(task)
    reader = READERS[task](stored.manifest.part(task), camera, smoothing_s=0.0)
    with load(stored) as backend:
        return reader.read(backend.run(reader.prepare(image, seen=seen)), 0.0)


def _camera(
    projection: str | None, hfov_deg: float | None, camera_height_m: float | None, image_wh: tuple[int, int]
) -> CameraModel:
    """A camera from what was said of it; a picture twice as wide as high is a panorama unless it is said otherwise.

    Raises:
        EdgeError: an ordinary picture without a field of view.
    """
    width, height = image_wh
    kind = projection or ("equirectangular" if width == 2 * height else "perspective")
    if kind == "equirectangular":
        return CameraModel("equirectangular", camera_height_m=camera_height_m)
    if hfov_deg is None:
        raise EdgeError("the lens of this picture is not known; give --hfov-deg, or --projection equirectangular")
    if kind == "fisheye":
        circle = FisheyeCircle(float(np.deg2rad(hfov_deg)))
        return CameraModel("fisheye", fisheye=circle, camera_height_m=camera_height_m)
    return CameraModel("perspective", hfov_rad=float(np.deg2rad(hfov_deg)), camera_height_m=camera_height_m)


def from_picture(
    path: Path, engines: Path, *, projection: str | None, hfov_deg: float | None, camera_height_m: float | None
) -> RoomModel:
    """The room in one picture, with its light where there is a model for it.

    Raises:
        EdgeError: the picture cannot be read, its lens is not known, or there is no model of layouts.
    """
    try:
        data = _bytes(path)
        image, seen = decoded(data), None
        if projection in (None, "equirectangular"):
            image, seen = Leveller().level(image, data)
    except ImageError as error:
        raise EdgeError(f"{path} {error}") from error
    camera = _camera(projection, hfov_deg, camera_height_m, (image.shape[1], image.shape[0]))
    store = ModelStore(engines)
    layout = _inferred(store, "layout", camera, image, seen)
    assert isinstance(layout, RoomLayout)
    light = _inferred(store, "lighting", camera, image, seen) if "lighting" in store.names() else None
    lighting = light if isinstance(light, Lighting) else None
    hidden = None if seen is None else ~seen
    return model_of(layout, camera, image, lighting=lighting, hidden=hidden, about={"camera": path.stem})
