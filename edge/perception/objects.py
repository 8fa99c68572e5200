"""Objects: what was asked about in a picture -> its mask, its shape by the network, and how it stands in the room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.derive.objects import yaw_of
from edge.derive.surface_nets import mesh_of
from edge.errors import GeometryError, ObjectError
from edge.geometry.colour import linear, srgb
from edge.geometry.view import depth_directions
from edge.inference.base import Arrays
from edge.inference.manifest import Manifest, ObjectGrid
from edge.perception import object_view as looking
from edge.perception.object_pose import best_pose, placed
from edge.perception.object_view import Box, ObjectView
from edge.perception.preprocess import tensor_from_image
from edge.scene import BoolArray, DepthMap, FoundObject, Frame, ObjectMesh, Outline

Infer = Callable[[npt.NDArray[np.float32]], Arrays]
"""The network's answer to (1, 4, H, W)."""

LEAST_CONFIDENCE = 0.5
UNLIKE = "unlike anything learnt: its mesh does not look like it"
_CUT_OFF = "only a part of it is seen: it reaches the edge of the picture"
_LEAST_DEPTHS = 12


class ObjectReader:
    """What a model of objects is given and answers."""

    def __init__(self, manifest: Manifest) -> None:
        """`manifest`: of an object model."""
        assert isinstance(manifest.output, ObjectGrid)
        self._spec, self._output = manifest.input, manifest.output

    def prepare(self, picture: npt.NDArray[np.uint8], mask: BoolArray) -> npt.NDArray[np.float32]:
        """(1, 4, H, W) input of what the mask shows.

        Raises:
            ObjectError: the mask shows nothing of use.
        """
        image, inside = looking.cut_out(picture, mask, self._spec.width_px)
        return tensor_from_image(image, self._spec, mask=inside)[None]

    def read(self, outputs: Arrays) -> ObjectMesh:
        """The mesh of the answer.

        Raises:
            ObjectError: the network sees no object.
        """
        occupancy, colour = outputs[self._output.occupancy][0, 0], outputs[self._output.colour][0]
        try:
            return mesh_of(occupancy, colour, level=self._output.level, extent=self._output.extent)
        except GeometryError as error:
            raise ObjectError(f"{UNLIKE} ({error})") from error


def look_at(frame: Frame, *, box: Box | None = None, polygon: Outline | None = None) -> tuple[ObjectView, BoolArray]:
    """The view of what was asked about, and its mask: by GrabCut in a box, or the polygon itself.

    Raises:
        ObjectError: nothing there can be told apart.
    """
    outline = polygon if polygon is not None else looking.outline_of(box or (0.0, 0.0, 1.0, 1.0))
    view = looking.view_of(frame, outline)
    return view, view.asked if polygon is not None else looking.grab_cut(view)


def reconstruct(
    frame: Frame,
    view: ObjectView,
    mask: BoolArray,
    reader: ObjectReader,
    infer: Infer,
    *,
    name: str,
    label: str | None = None,
    depth: DepthMap | None = None,
) -> FoundObject:
    """The object of a mask.

    Args:
        frame: the picture.
        view: what was asked about in it.
        mask: of the thing in the view.
        reader: of the model.
        infer: the model's answer.
        name: what it is called from now on.
        label: what the asker calls it.
        depth: of the same picture.

    Raises:
        ObjectError: the mask shows nothing of use.
        EngineError: the network does not run.
    """
    box, seen_at = looking.box_of(view, mask), frame.captured_at
    if looking.touches_border(view, mask):
        return FoundObject(name, label, box, 0.0, _CUT_OFF, seen_at)
    tensor = reader.prepare(view.picture, mask)
    try:
        mesh = reader.read(infer(tensor))
    except ObjectError as error:
        return FoundObject(name, label, box, 0.0, str(error), seen_at)
    mesh = as_seen(mesh, view.picture, mask)
    pose = best_pose(mesh, mask, view.rotation, view.half_tan)
    if pose.agreement < LEAST_CONFIDENCE:
        return FoundObject(name, label, box, pose.agreement, UNLIKE, seen_at)
    other = None if pose.other_turn_rad is None else yaw_of(pose.other_turn_rad)
    along_m = _along_m(frame, view, mask, depth)
    if isinstance(along_m, str):
        return FoundObject(name, label, box, pose.agreement, along_m, seen_at, mesh, other_yaw_rad=other)
    size_m, place, why = placed(pose, mesh, view.rotation, along_m, frame.model.camera_height_m)
    return FoundObject(name, label, box, pose.agreement, why, seen_at, mesh, size_m, place, other)


def as_seen(mesh: ObjectMesh, picture: npt.NDArray[np.uint8], mask: BoolArray) -> ObjectMesh:
    """The mesh in the colour of the picture: a network tells better where a thing is lighter than of what colour it is.

    Args:
        mesh: its colours are multiplied, in linear light and by channel.
        picture: (H, W, 3) sRGB.
        mask: (H, W); the mean of what it shows, its rim left out, becomes the mean of the mesh.
    """
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
    wanted = linear(picture[inner if inner.any() else mask]).mean(axis=0)
    told = linear(mesh.colours)
    return replace(mesh, colours=srgb(told * (wanted / np.maximum(told.mean(axis=0), 1e-4))))


def _along_m(frame: Frame, view: ObjectView, mask: BoolArray, depth: DepthMap | None) -> float | str:
    """Median distance along the view's axis of what the mask shows, m; or why that is not known."""
    if depth is None or depth.scale != "metric":
        return "it has neither size nor place: there is no depth in metres; add depth to this camera's tasks"
    height, width = depth.depth.shape
    image_wh = frame.image.shape[1], frame.image.shape[0]
    directions, per_depth = depth_directions(frame.model, image_wh, (width, height))
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)
    ranges = depth.depth * per_depth
    flat = directions.reshape(-1, 3)
    found = looking.distances(flat, view, inner if inner.any() else mask, np.asarray(ranges).reshape(-1))
    if len(found) < _LEAST_DEPTHS:
        return "it has neither size nor place: too little depth is known inside its mask"
    return float(np.median(found))
