"""Pictures for people: what a camera sees, and a depth map in colours; and when the next one of a camera is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from edge.errors import PublishError
from edge.publish.compose import Binary, Source, user_properties
from edge.scene import DepthMap, Frame, ImageArray

_VIEW_RANGE_M = (0.5, 10.0)
"""What the colours of a metric depth map span, so that a colour means the same distance in every picture."""
_VIEW_QUALITY = 85


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How a camera's picture is published."""

    width_px: int = 640
    """At most; a smaller picture is left as it is."""
    quality: int = 75
    """Of JPEG, 1..100."""
    every_s: float = 10.0


def jpeg(image: ImageArray, quality: int) -> bytes:
    """An RGB picture as JPEG.

    Raises:
        PublishError: it is no picture.
    """
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not ok:
        raise PublishError(f"a picture of shape {image.shape} cannot be encoded; a picture is (height, width, 3)")
    return bytes(data)


def small(image: ImageArray, width_px: int) -> ImageArray:
    """The picture, not wider than `width_px`."""
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    wh = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(image, wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def camera_picture(frame: Frame, device: str, options: PictureOptions) -> Callable[[], Binary]:
    """What makes the camera's picture as JPEG; the frame is let go of at once, a small picture waits in its place."""
    image = small(frame.image, options.width_px)
    said = user_properties("edge.picture/1", frame, device)
    return lambda: Binary(jpeg(image, options.quality), said)


def depth_view(frame: Frame, depth: DepthMap, source: Source) -> Binary:
    """A depth map in colours, as JPEG: red is near, blue is far, black is unknown.

    Metres have fixed colours, on a logarithmic scale from 0.5 m to 10 m; a relative map spans what it has.
    """
    d = depth.depth
    known = np.isfinite(d) & (d > 0)
    near, far = _VIEW_RANGE_M
    if depth.scale == "relative" and known.any():
        near, far = (float(v) for v in np.quantile(d[known], (0.02, 0.98)))
    log_d = np.log(np.where(known, d, near))
    share = (log_d - np.log(near)) / max(float(np.log(far / near)), 1e-6)
    grey = np.rint(np.clip(1.0 - share, 0.0, 1.0) * 255.0).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colours[~known] = 0
    said = {"kind": depth.kind, "scale": depth.scale}
    return Binary(
        jpeg(np.asarray(colours, dtype=np.uint8), _VIEW_QUALITY),
        user_properties("edge.depth_view/1", frame, source.device) | said,
    )


class _Camera(Protocol):
    name: str

    def latest(self, after_sequence: int) -> Frame | None: ...


@dataclass
class CameraPictures:
    """Which camera's picture is due; for one thread."""

    device: str
    options: Mapping[str, PictureOptions]
    """By camera; others have none published."""
    clock: Callable[[], float] = time.monotonic
    _next_s: dict[str, float] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)

    def ask(self, camera: str) -> None:
        """Have the camera's next picture due at once; callable from any thread."""
        self._next_s.pop(camera, None)

    def due(self, camera: _Camera) -> Callable[[], Binary] | None:
        """What makes the camera's picture, if it is time for one and there is a new one."""
        options, now_s = self.options.get(camera.name), self.clock()
        if options is None or now_s < self._next_s.get(camera.name, now_s):
            return None
        frame = camera.latest(self._last.get(camera.name, 0))
        if frame is None:
            return None
        self._last[camera.name] = frame.sequence
        self._next_s[camera.name] = now_s + options.every_s
        return camera_picture(frame, self.device, options)
