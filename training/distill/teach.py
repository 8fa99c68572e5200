"""What a trained model of ours, or any with a manifest, says of a picture and of turns and mirror images of it.

Pictures go through the device's own readers, so a teacher says what it would publish. Where its answers differ from
view to view, it does not know: their spread is the label's confidence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import DataError
from edge.geometry.harmonics import rotate_yaw
from edge.geometry.view import lens
from edge.inference.base import Backend
from edge.inference.manifest import Manifest
from edge.perception.canvas import CanvasMap
from edge.perception.depth import DepthReader
from edge.perception.layout import LayoutReader
from edge.perception.lighting import LightingReader
from edge.scene import BoolArray, CameraModel, DepthMap, ImageArray
from training.arrays import Floats
from training.data.samples.pseudo_samples import MIRROR_SIGN
from training.data.sets.pseudo import PseudoDepth, PseudoLayout, PseudoLighting, at_columns
from training.data.vary.panoramic import edge_weights
from training.export.proof.runners import open_model

CANVAS_WH = (1024, 512)
_TURNS = 4
_SPREAD_RAD = np.deg2rad(2.0)
"""Spread of an edge over views at which its weight falls to 1/e."""
_SPREAD_LOG = 0.1
"""Spread of depth (log) over views beyond which a pixel is taken as unknown."""


class View(NamedTuple):
    """A picture as one of several a teacher is asked about: mirrored, then turned to the right by a share of a turn."""

    image: ImageArray
    camera: CameraModel
    mirrored: bool
    turned: float

    def back(self, labels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Labels (..., W) of this view, as of the picture itself."""
        unturned = np.roll(labels, -round(self.turned * labels.shape[-1]), axis=-1)
        return unturned[..., ::-1] if self.mirrored else unturned


def views(image: ImageArray, camera: CameraModel, turns: int = _TURNS) -> Iterator[View]:
    """The picture and its mirror image; of a panorama also as the camera sees it turned."""
    whole = camera.projection == "equirectangular"
    for mirrored in (False, True):
        picture = image[:, ::-1] if mirrored else image
        mount = dataclasses.replace(camera, yaw_rad=-camera.yaw_rad, roll_rad=-camera.roll_rad) if mirrored else camera
        for turn in range(turns if whole else 1):
            columns = image.shape[1] * turn // turns
            turned = np.ascontiguousarray(np.roll(picture, columns, axis=1))
            yield View(turned, mount, mirrored, columns / image.shape[1])


def on_canvas(image: ImageArray, camera: CameraModel) -> tuple[ImageArray, BoolArray]:
    """A picture laid into a panorama of 1024 x 512, and where it is seen."""
    return CanvasMap(camera, (image.shape[1], image.shape[0]), *CANVAS_WH).apply(image)


def _nearest(depth_m: Floats, width_px: int, height_px: int) -> Floats:
    out = cv2.resize(depth_m, (width_px, height_px), interpolation=cv2.INTER_NEAREST)
    return np.asarray(out, dtype=np.float32)


class Teacher:
    """A trained model of one noun that labels pictures, seen in several views."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Open a checkpoint or a model folder.

        Raises:
            DataError: it is neither, or answers for several nouns at once.
            EngineError: the model cannot be loaded.
        """
        self.path = path
        self._manifest: Manifest
        self._backend: Backend
        self._manifest, self._backend = open_model(path, threads=threads)
        if self._manifest.task not in ("depth", "layout", "lighting"):
            raise DataError(f"{path}: a teacher is a model of one noun, not of {self._manifest.task}; give another")

    @property
    def noun(self) -> str:
        """What it labels: layout, depth or lighting."""
        return str(self._manifest.task)

    def label(self, image: ImageArray, camera: CameraModel) -> PseudoLayout | PseudoDepth | PseudoLighting:
        """What it answers, averaged over all views; columns on which they disagree weigh less.

        Raises:
            GeometryError: the camera's lens is not known, or sees too little for a layout.
        """
        if self.noun == "layout":
            return self._layout(image, camera)
        return self._depth(image, camera) if self.noun == "depth" else self._lighting(image, camera)

    def _layout(self, image: ImageArray, camera: CameraModel) -> PseudoLayout:
        canvas, mask = on_canvas(image, camera)
        edges, corners = [], []
        for view in views(image, camera):
            reader = LayoutReader(self._manifest, view.camera, smoothing_s=0.0, fit="raw")
            found = reader.read(self._backend.run(reader.prepare(view.image)), 0.0)
            lines = -np.stack([found.ceiling_rad, found.floor_rad]).astype(np.float64)
            edges.append(at_columns(view.back(lines), CANVAS_WH[0]))
            corners.append(at_columns(view.back(found.corner_probability[None].astype(np.float64)), CANVAS_WH[0]))
        stack = np.stack(edges)
        known = np.isfinite(stack).all(axis=0)
        filled = np.where(known, stack, np.array([-0.5, 0.5])[:, None])
        mean, spread = filled.mean(axis=0).astype(np.float32), filled.std(axis=0)
        in_view = edge_weights(mean, None if mask.all() else mask) == 1
        weight = (np.exp(-spread / _SPREAD_RAD) * known * in_view).astype(np.float32)
        corner = np.mean(corners, axis=0).astype(np.float32)
        return PseudoLayout(canvas, mean, weight, corner, weight.max(axis=0, keepdims=True), mask)

    def _depth(self, image: ImageArray, camera: CameraModel) -> PseudoDepth:
        if camera.projection != "perspective":
            raise DataError(f"{self.path}: depth is labelled on perspective pictures; give them, with --hfov-deg")
        h, w = image.shape[:2]
        k = lens(camera, w, h)
        focal_px = np.array([k.fx_px, k.fy_px], np.float32)
        logs, known = [], []
        for view in views(image, camera):
            reader = DepthReader(self._manifest, view.camera, smoothing_s=0.0)
            found: DepthMap = reader.read(self._backend.run(reader.prepare(view.image)), 0.0)
            if found.scale != "metric":
                raise DataError(f"{self.path}: its depth is relative; give a teacher that answers in metres")
            depth = view.back(found.depth.astype(np.float64))
            logs.append(np.log(np.maximum(depth, 1e-3)))
            known.append(depth > 0)
        agreed = np.all(known, axis=0) & (np.std(logs, axis=0) < _SPREAD_LOG)
        depth_m = np.where(agreed, np.exp(np.mean(logs, axis=0)), 0).astype(np.float32)
        return PseudoDepth(image, _nearest(depth_m, w, h), focal_px)

    def _lighting(self, image: ImageArray, camera: CameraModel) -> PseudoLighting:
        canvas, mask = on_canvas(image, camera)
        total = np.zeros((9, 3))
        taken = list(views(image, camera))
        for view in taken:
            reader = LightingReader(self._manifest, view.camera, smoothing_s=0.0)
            light = np.asarray(reader.read(self._backend.run(reader.prepare(view.image)), 0.0).coefficients, np.float64)
            back = np.asarray(rotate_yaw(light, -2 * np.pi * view.turned))
            total += back * MIRROR_SIGN if view.mirrored else back
        return PseudoLighting(canvas, (total / len(taken)).astype(np.float32), mask)

    def close(self) -> None:
        """Free the model; no labels after that."""
        self._backend.close()
