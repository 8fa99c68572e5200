"""Messages from scene values: rounding, statistics, walls, and the depth picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from edge.derive.mesh import outline
from edge.derive.model import wall_confidences
from edge.derive.openings import openings_of
from edge.errors import GeometryError, PublishError, explain
from edge.geometry.colour import LUMINANCE, correlated_colour_temperature_k
from edge.geometry.harmonics import COEFFICIENT_NAMES
from edge.geometry.view import fisheye, lens, rotation
from edge.mqtt.lens import CalibratedFisheye, CalibratedLens, FisheyeLens, Lens, Pose
from edge.mqtt.messages import (
    Ambient,
    Boundary,
    DepthImage,
    DepthMessage,
    DominantLight,
    LayoutMessage,
    LightingMessage,
    MetricDepth,
    MetricRoom,
    Model,
    OpeningInWall,
    RelativeDepth,
    RelativeRoom,
    timestamp,
)
from edge.mqtt.values import MAX_COLUMNS, Part
from edge.scene import CameraModel, DepthMap, Fisheye, FisheyeCircle, Frame, Intrinsics, Lighting, RoomLayout

M = TypeVar("M", bound=Part)

_COUNTS = 65535
_MM_PER_M = 1000.0
_PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    # OpenCV before 4.12 tries every filter on every row.
    *((cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB) if hasattr(cv2, "IMWRITE_PNG_FILTER") else ()),
)
"""Fastest: on depth, more effort costs several times the time for a tenth of the size."""
_QUANTILE_SAMPLES = 16384


@dataclass(frozen=True, slots=True)
class Source:
    """Who made a result: the device and the model, and why it is worse than configured, if it is."""

    device: str
    model: str
    sha256: str
    """At least the first 12 digits of the ONNX file's SHA-256."""
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """A payload that is not JSON (a picture, a model), and what MQTT 5 says about it in user properties."""

    data: bytes
    properties: dict[str, str]


def checked(model: type[M], /, **values: Any) -> M:
    """A part of a message.

    Raises:
        PublishError: the values are not those that it may have.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise PublishError(
            f"{model.__name__} not published: {explain(error, 'message')[0]}; the model's output is not plausible, "
            "run `edge check`"
        ) from error


def _header(frame: Frame, source: Source, latency_s: float) -> dict[str, Any]:
    return {
        "device": source.device,
        "camera": frame.camera,
        "frame": frame.sequence,
        "captured_at": timestamp(frame.captured_at),
        "latency_ms": round(max(latency_s, 0.0) * 1000.0, 3),
        "model": Model(name=source.model, sha256=source.sha256[:12]),
        "degraded": source.degraded,
    }


def _floats(values: npt.ArrayLike, digits: int = 4) -> tuple[Any, ...]:
    return tuple(np.asarray(values, dtype=np.float64).round(digits).tolist())


# Lens and pose --------------------------------------------------------------------------------------------------------


def pose(camera: CameraModel) -> Pose:
    """How the camera hangs in the room."""
    rows = tuple(_floats(row, 9) for row in rotation(camera))
    return checked(Pose, rotation=rows, height_m=camera.camera_height_m)


def _lens_values(k: Intrinsics) -> dict[str, float]:
    lengths = {name: round(float(getattr(k, name)), 4) for name in ("fx_px", "fy_px", "cx_px", "cy_px")}
    return lengths | {name: float(getattr(k, name)) for name in ("k1", "k2", "p1", "p2", "k3")}


def calibrated_lens(k: Intrinsics | None) -> CalibratedLens | None:
    """A lens in px of the picture size it was calibrated at; None where none is configured."""
    if k is None:
        return None
    return checked(CalibratedLens, width_px=k.width_px, height_px=k.height_px, **_lens_values(k))


def _fisheye_values(k: Fisheye) -> dict[str, float]:
    lengths = {name: round(float(getattr(k, name)), 4) for name in ("fx_px", "fy_px", "cx_px", "cy_px")}
    others = {name: float(getattr(k, name)) for name in ("k1", "k2", "k3", "k4")}
    return lengths | others | {"fov_deg": round(float(np.degrees(k.fov_rad)), 6)}


def calibrated_fisheye(k: Fisheye | FisheyeCircle | None) -> CalibratedFisheye | None:
    """A fisheye lens in px of the picture size it was calibrated at; None where it is not calibrated."""
    if not isinstance(k, Fisheye):
        return None
    return checked(CalibratedFisheye, width_px=k.width_px, height_px=k.height_px, **_fisheye_values(k))


def _lens_of(frame: Frame, width_px: int, height_px: int) -> dict[str, Lens | FisheyeLens | None]:
    """The camera's lens in px of its picture stretched to another size; of a panorama none."""
    height, width = frame.image.shape[:2]
    found: dict[str, Lens | FisheyeLens | None] = {"lens": None, "fisheye": None}
    if frame.model.projection == "perspective":
        k = lens(frame.model, width, height).resized(width_px, height_px)
        found["lens"] = checked(Lens, **_lens_values(k))
    elif frame.model.projection == "fisheye":
        around = fisheye(frame.model, width, height).resized(width_px, height_px)
        found["fisheye"] = checked(FisheyeLens, **_fisheye_values(around))
    return found


# Depth ----------------------------------------------------------------------------------------------------------------


def _value_per_count(depth: DepthMap) -> float:
    """Depth of one count of the picture: a millimetre, or what makes the farthest relative value fit 16 bits."""
    if depth.scale == "metric":
        return 1.0 / _MM_PER_M
    farthest = float(np.nanmax(depth.depth, initial=0.0, where=np.isfinite(depth.depth)))
    return farthest / _COUNTS if farthest > 0 else 1.0


def _depth_statistics(valid: npt.NDArray[np.float32]) -> dict[str, float]:
    step = max(1, valid.size // _QUANTILE_SAMPLES)  # quantiles need no more samples than that; min and max do
    p05, median, p95 = np.quantile(valid[::step], (0.05, 0.5, 0.95))
    values = {"min": valid.min(), "max": valid.max(), "mean": valid.mean(dtype=np.float64)}
    values |= {"median": median, "p05": p05, "p95": p95}
    return {k: round(float(v), 4) for k, v in values.items()}


def depth_message(
    frame: Frame, depth: DepthMap, source: Source, latency_s: float, image_topic: str | None = None
) -> DepthMessage:
    """Statistics over the valid pixels of `depth`; `image_topic` None means that no picture is published.

    Raises:
        PublishError: the values are not those of a depth map.
    """
    d = depth.depth
    valid = d[np.isfinite(d) & (d > 0)]
    metric: MetricDepth | None = None
    relative: RelativeDepth | None = None
    if valid.size and depth.scale == "metric":
        metric = checked(MetricDepth, **{f"{k}_m": v for k, v in _depth_statistics(valid).items()})
    elif valid.size:
        relative = checked(RelativeDepth, **_depth_statistics(valid))
    unit: Literal["mm", "relative"] = "mm" if depth.scale == "metric" else "relative"
    image = DepthImage(topic=image_topic, unit=unit, value_per_count=_value_per_count(depth)) if image_topic else None
    return checked(
        DepthMessage,
        **_header(frame, source, latency_s),
        kind=depth.kind,
        scale=depth.scale,
        width_px=d.shape[1],
        height_px=d.shape[0],
        valid_fraction=round(valid.size / max(d.size, 1), 4),
        metric=metric,
        relative=relative,
        aligned_to_layout=depth.aligned_to_layout,
        expected_error=None if depth.expected_error is None else round(depth.expected_error, 4),
        image=image,
        **_lens_of(frame, d.shape[1], d.shape[0]),
        pose=pose(frame.model),
    )


def encode_depth_png16(depth: npt.NDArray[np.float32], value_per_count: float = 1.0 / _MM_PER_M) -> bytes:
    """Depth as a 16-bit grey PNG, by default in millimetres; unknown, non-finite and too far (> 65535 counts) are 0.

    Raises:
        PublishError: the array is no picture.
    """
    counts = depth * np.float32(1.0 / value_per_count)
    counts = np.where((counts >= 0.5) & (counts < _COUNTS + 0.5), counts + np.float32(0.5), np.float32(0))
    try:
        ok, data = cv2.imencode(".png", counts.astype(np.uint16), _PNG_OPTIONS)
    except cv2.error as error:
        raise PublishError(f"depth of shape {depth.shape} cannot be encoded; a depth map is (height, width)") from error
    if not ok:
        raise PublishError(f"depth of shape {depth.shape} cannot be encoded; a depth map is (height, width)")
    return bytes(data)


def user_properties(schema: str, frame: Frame, device: str) -> dict[str, str]:
    """What MQTT 5 carries beside a payload that is not JSON."""
    return {
        "schema": schema,
        "device": device,
        "camera": frame.camera,
        "frame": str(frame.sequence),
        "captured_at": timestamp(frame.captured_at),
    }


def depth_picture(frame: Frame, depth: DepthMap, source: Source) -> Binary:
    """The depth map as PNG, with the properties that MQTT 5 carries beside it."""
    value_per_count = _value_per_count(depth)
    unit = "mm" if depth.scale == "metric" else "relative"
    properties = {"kind": depth.kind, "scale": depth.scale, "unit": unit, "value_per_count": repr(value_per_count)}
    return Binary(
        encode_depth_png16(depth.depth, value_per_count),
        user_properties("edge.depth_image/1", frame, source.device) | properties,
    )


# Layout ---------------------------------------------------------------------------------------------------------------


def _walls(layout: RoomLayout, unit: str = "") -> tuple[dict[str, Any], ...]:
    """The polygon's edges as walls with inward normals; lines of sight that only close a partial view are left out.

    `unit`: what the names of lengths end in.
    """
    walls: list[dict[str, Any]] = []
    try:
        sides = [edge for edge in outline(layout.polygon_m, layout.extent) if not edge.cut]
    except GeometryError as error:
        raise PublishError(f"LayoutMessage not published: {error}; run `edge check`") from error
    for edge, confidence in zip(sides, wall_confidences(layout), strict=True):
        plane = (*_floats(edge.inwards, 6), 0.0, round(-float(edge.inwards @ edge.start), 4))
        ends = {f"start{unit}": _floats(edge.start), f"end{unit}": _floats(edge.end)}
        walls.append(ends | {f"length{unit}": round(edge.length, 4), "plane": plane, "confidence": confidence})
    return tuple(walls)


def _polygon(layout: RoomLayout) -> tuple[tuple[float, ...], ...]:
    return tuple(_floats(corner) for corner in layout.polygon_m)


def _metric_room(layout: RoomLayout) -> MetricRoom:
    return checked(
        MetricRoom,
        ceiling_height_m=round(layout.ceiling_height_m, 4),
        camera_height_m=round(layout.camera_height_m, 4),
        area_m2=round(layout.area_m2, 4),
        volume_m3=round(layout.volume_m3, 4),
        polygon_m=_polygon(layout),
        walls=_walls(layout, "_m"),
    )


def _relative_room(layout: RoomLayout) -> RelativeRoom:
    return checked(
        RelativeRoom,
        ceiling_height=round(layout.ceiling_height_m, 4),
        area=round(layout.area_m2, 4),
        volume=round(layout.volume_m3, 4),
        polygon=_polygon(layout),
        walls=_walls(layout),
    )


def _boundary(layout: RoomLayout) -> Boundary:
    width = len(layout.ceiling_rad)
    if width > MAX_COLUMNS:
        raise PublishError(f"a layout of {width} columns is too wide to publish; {MAX_COLUMNS} is the most")

    def seen(values: npt.NDArray[np.float32]) -> tuple[float | None, ...]:
        rounded = np.asarray(values, dtype=np.float64).round(4).astype(object)
        rounded[~np.isfinite(values)] = None
        return tuple(rounded.tolist())

    return checked(
        Boundary,
        ceiling_rad=seen(layout.ceiling_rad),
        floor_rad=seen(layout.floor_rad),
        corner_probability=_floats(layout.corner_probability),
        confidence=_floats(layout.column_confidence),
    )


def layout_message(frame: Frame, layout: RoomLayout, source: Source, latency_s: float) -> LayoutMessage:
    """The fitted room beside the raw boundary.

    Raises:
        PublishError: the values are not those of a room.
    """
    metric = layout.scale == "metric"
    return checked(
        LayoutMessage,
        **_header(frame, source, latency_s),
        scale=layout.scale,
        extent=layout.extent,
        fit=layout.fit,
        fit_reason=layout.fit_reason,
        confidence=round(layout.confidence, 4),
        corners=len(layout.polygon_m),
        metric=_metric_room(layout) if metric else None,
        relative=None if metric else _relative_room(layout),
        boundary=_boundary(layout),
        openings=_openings(frame, layout),
    )


def _openings(frame: Frame, layout: RoomLayout) -> tuple[OpeningInWall, ...] | None:
    """What is configured and what the model found; None where it does not look for any and none is configured."""
    if layout.openings is None and not frame.model.openings:
        return None
    metric = layout.scale == "metric"
    said = [
        checked(
            OpeningInWall,
            kind=o.kind,
            left_deg=round(float(np.degrees(o.left_rad)), 1),
            right_deg=round(float(np.degrees(o.right_rad)), 1),
            wall=o.wall,
            width_m=max(round(o.width, 2), 0.01) if metric else None,
            sill_m=None if o.sill is None else round(o.sill, 4),
            height_m=None if o.height is None else round(o.height, 4),
            confidence=round(o.confidence, 3),
            source=o.source,
        )
        for o in openings_of(layout, frame.model.openings)
    ]
    return tuple(sorted(said, key=lambda o: o.left_deg))


# Lighting -------------------------------------------------------------------------------------------------------------


def lighting_message(frame: Frame, lighting: Lighting, source: Source, latency_s: float) -> LightingMessage:
    """The coefficients, with what most people want to know of them.

    Raises:
        PublishError: the values are not those of a light.
    """
    temperature_k = correlated_colour_temperature_k(lighting.ambient)
    direction = np.asarray(lighting.dominant_direction, dtype=np.float64)
    x, y, z = direction / max(float(np.linalg.norm(direction)), 1e-12)
    return checked(
        LightingMessage,
        **_header(frame, source, latency_s),
        convention=lighting.convention,
        names=COEFFICIENT_NAMES,
        coefficients=tuple(_floats(row, 6) for row in lighting.coefficients),
        ambient=checked(
            Ambient,
            rgb=_floats(lighting.ambient, 6),
            level=round(float(np.dot(lighting.ambient, LUMINANCE)), 6),
            colour_temperature_k=None if temperature_k is None else round(temperature_k, 1),
        ),
        dominant=checked(
            DominantLight,
            direction=_floats((x, y, z), 6),
            azimuth_deg=round(float(np.degrees(np.arctan2(x, y))), 3),
            elevation_deg=round(float(np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))), 3),
            strength=round(lighting.dominant_strength, 4),
        ),
    )


# Any -------------------------------------------------------------------------------------------------------------


def message_of(
    value: DepthMap | RoomLayout | Lighting, frame: Frame, source: Source, latency_s: float, image_topic: str | None
) -> DepthMessage | LayoutMessage | LightingMessage:
    """The message of any value; `image_topic`: where a depth map's picture is.

    Raises:
        PublishError: the values are not plausible.
    """
    if isinstance(value, DepthMap):
        return depth_message(frame, value, source, latency_s, image_topic)
    if isinstance(value, RoomLayout):
        return layout_message(frame, value, source, latency_s)
    return lighting_message(frame, value, source, latency_s)
