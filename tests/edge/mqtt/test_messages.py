"""Messages: what they say is what was measured, and what cannot be is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import PublishError
from edge.geometry.harmonics import COEFFICIENT_NAMES
from edge.geometry.pinhole import rays_from_pixels
from edge.geometry.rigid import rotation_room_camera
from edge.mqtt.messages import timestamp
from edge.publish.compose import (
    Source,
    depth_message,
    depth_picture,
    encode_depth_png16,
    layout_message,
    lighting_message,
)
from edge.scene import CameraModel, DepthMap, Frame, Intrinsics, Lighting, OpeningInView, RoomLayout


def _json(message: Any) -> Any:
    return json.loads(message.encoded())


def test_a_result_says_where_it_comes_from(frame: Frame, depth: DepthMap, source: Source) -> None:
    """Schema, device, camera, frame, capture time, latency, model and degradation stand on every result."""
    body = _json(depth_message(frame, depth, replace(source, degraded=("cpu fallback",)), 0.125))
    header = {
        k: body[k] for k in ("schema", "device", "camera", "frame", "captured_at", "latency_ms", "model", "degraded")
    }
    assert header == {
        "schema": "edge.depth/1",
        "device": "dev",
        "camera": "living",
        "frame": 42,
        "captured_at": "2026-01-01T00:00:00.250000Z",
        "latency_ms": 125.0,
        "model": {"name": "depth", "sha256": "0123456789ab"},
        "degraded": ["cpu fallback"],
    }


@pytest.mark.parametrize("seconds", [0.0, 1767225600.0, 1767225600.123456])
def test_timestamps_are_rfc3339_utc_microseconds(seconds: float) -> None:
    """A timestamp reads back as the moment it was made from."""
    text = timestamp(seconds)
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert read.timestamp() == pytest.approx(seconds, abs=1e-6)


def test_depth_statistics_ignore_unknown_pixels(frame: Frame, source: Source) -> None:
    """Zero, negative, infinite and missing depth count for nothing but the valid fraction."""
    values = np.array([[0.0, -1.0, np.inf, np.nan], [1.0, 2.0, 3.0, 6.0]], np.float32)
    body = _json(depth_message(frame, DepthMap(values, "z", "metric"), source, 0.0))
    assert body["valid_fraction"] == 0.5
    m = body["metric"]
    assert (m["min_m"], m["max_m"], m["mean_m"], m["median_m"]) == (1.0, 6.0, 3.0, 2.5)
    assert 1.0 <= m["p05_m"] <= m["median_m"] <= m["p95_m"] <= 6.0


def test_sampled_quantiles_stay_close_to_those_of_all_pixels(frame: Frame, source: Source) -> None:
    """Large maps are sampled for their quantiles; a smooth one loses less than a centimetre by it."""
    rng = np.random.default_rng(1)
    values = rng.uniform(0.5, 8.0, (1024, 2048)).astype(np.float32)
    metric = depth_message(frame, DepthMap(values, "range", "metric"), source, 0.0).metric
    assert metric is not None
    assert metric.median_m == pytest.approx(float(np.median(values)), abs=0.1)
    assert metric.min_m == pytest.approx(float(values.min()), abs=1e-4)
    assert metric.max_m == pytest.approx(float(values.max()), abs=1e-4)


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_keys(v) for v in value.values()))
    return set().union(*(_keys(v) for v in value)) if isinstance(value, list) else set()


def test_nothing_relative_is_labelled_metres(frame: Frame, depth: DepthMap, layout: RoomLayout, source: Source) -> None:
    """A relative message has no field in metres, and its picture does not claim millimetres."""
    relative = replace(depth, scale="relative")
    bodies = [_json(depth_message(frame, relative, source, 0.0, "t"))]
    bodies.append(_json(layout_message(frame, replace(layout, scale="relative"), source, 0.0)))
    for body in bodies:
        assert body["scale"] == "relative"
        assert body["metric"] is None
        body.pop("pose", None)  # where the camera hangs is configured, in metres
        assert not [k for k in _keys(body) if k.endswith(("_m", "_m2", "_m3", "_mm"))]
    assert bodies[0]["image"]["unit"] == "relative"
    assert depth_picture(frame, relative, source).properties["unit"] == "relative"


def test_a_map_without_valid_pixels_is_still_told(frame: Frame, source: Source) -> None:
    """Nothing seen is a result too: no statistics, valid fraction zero."""
    body = _json(depth_message(frame, DepthMap(np.zeros((2, 2), np.float32), "z", "metric"), source, 0.0))
    assert (body["valid_fraction"], body["metric"], body["relative"]) == (0.0, None, None)


def _decoded(png: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_depth_picture_is_exact_in_millimetres() -> None:
    """Every whole millimetre up to 65.535 m survives the picture; farther, negative and missing depth becomes 0."""
    mm = np.arange(65536, dtype=np.float64).reshape(256, 256)
    decoded = _decoded(encode_depth_png16((mm / 1000).astype(np.float32)))
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, mm.astype(np.uint16))
    odd = np.array([[70.0, -1.0, np.nan, np.inf, 65.5356, 0.0004, 1.2344, 1.2346]], np.float32)
    decoded = _decoded(encode_depth_png16(odd))
    assert decoded.tolist() == [[0, 0, 0, 0, 0, 0, 1234, 1235]]


def test_a_relative_picture_keeps_proportions(frame: Frame, depth: DepthMap, source: Source) -> None:
    """Counts times the stated value per count give the relative depth back to one count."""
    relative = DepthMap(depth.depth * 1000, "z", "relative")
    picture = depth_picture(frame, relative, source)
    step = float(picture.properties["value_per_count"])
    message = depth_message(frame, relative, source, 0.0, "t")
    assert message.image is not None
    assert message.image.value_per_count == step
    decoded = _decoded(picture.data)
    np.testing.assert_allclose(decoded * step, relative.depth, atol=step)


def test_a_depth_map_of_the_wrong_shape_is_refused() -> None:
    """Something that is no picture gives an error of ours, not the codec's."""
    with pytest.raises(PublishError, match="height, width"):
        encode_depth_png16(np.zeros((0, 4), np.float32))


def test_walls_face_inwards_and_close_the_room(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Each wall's plane holds its ends, its unit normal points to the inside, and lengths add up to the perimeter."""
    room = layout_message(frame, layout, source, 0.0).metric
    assert room is not None
    assert sum(w.length_m for w in room.walls) == pytest.approx(2 * (4 + 5))
    for wall in room.walls:
        nx, ny, nz, d = wall.plane
        assert math.hypot(nx, ny, nz) == pytest.approx(1.0)
        for x, y in (wall.start_m, wall.end_m):
            assert nx * x + ny * y + d == pytest.approx(0.0, abs=1e-6)
        assert d > 0  # the camera, at the origin, is inside


def test_lines_of_sight_are_no_walls(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """The two edges that close a visible part at the camera are not published as walls."""
    wedge = np.array([[0.0, 0.0], [1.5, 3.0], [-1.5, 3.0]])
    visible = replace(layout, polygon_m=wedge, area_m2=4.5, extent="visible")
    room = layout_message(frame, visible, source, 0.0).metric
    assert room is not None
    assert [w.length_m for w in room.walls] == [3.0]


def test_columns_that_are_not_seen_are_null(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """The raw boundary has a value per column, null where the camera does not look, and reads back to 0.1 mrad."""
    boundary = _json(layout_message(frame, layout, source, 0.0))["boundary"]
    assert boundary["floor_rad"][:4] == [None, None, None, -0.5]
    assert {len(v) for v in boundary.values()} == {1024}
    np.testing.assert_allclose(boundary["corner_probability"], layout.corner_probability, atol=5.1e-5)


@pytest.mark.parametrize(
    "change",
    [{"ceiling_height_m": -2.0}, {"area_m2": float("nan")}, {"confidence": 1.5}, {"polygon_m": np.zeros((2, 2))}],
)
def test_impossible_rooms_are_refused(frame: Frame, layout: RoomLayout, source: Source, change: Any) -> None:
    """A negative height, a missing area, a confidence over one or two corners are never published."""
    with pytest.raises(PublishError, match="not published"):
        layout_message(frame, replace(layout, **change), source, 0.0)


def test_light_direction_is_told_in_degrees(frame: Frame, lighting: Lighting, source: Source) -> None:
    """Light from the right and half up is at azimuth +90, elevation 30 degrees; ambient is its luminance."""
    body = _json(lighting_message(frame, lighting, source, 0.0))
    assert body["names"] == list(COEFFICIENT_NAMES)
    assert body["dominant"]["azimuth_deg"] == pytest.approx(90.0)
    assert body["dominant"]["elevation_deg"] == pytest.approx(30.0)
    assert body["ambient"]["level"] == pytest.approx(0.2126 * 0.8 + 0.7152 * 0.7 + 0.0722 * 0.6)
    np.testing.assert_allclose(body["coefficients"], lighting.coefficients, atol=1e-6)


def test_negative_light_is_refused(frame: Frame, lighting: Lighting, source: Source) -> None:
    """A mean light below zero does not exist and is not published."""
    dark = lighting.coefficients.copy()
    dark[0, 1] = -0.1
    with pytest.raises(PublishError, match="L00"):
        lighting_message(frame, replace(lighting, coefficients=dark), source, 0.0)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (40.0, -15.0, 5.0)])
def test_a_depth_message_is_enough_to_put_it_into_the_room(
    frame: Frame, source: Source, angles: tuple[float, float, float]
) -> None:
    """From the message alone: with lens and pose, the depth of a flat floor is the floor, at height 0 everywhere."""
    yaw, pitch, roll = np.deg2rad(angles)
    lens = Intrinsics(640, 480, 500.0, 510.0, 300.0, 250.0, k1=-0.12, p1=0.001)
    camera = CameraModel("perspective", lens, camera_height_m=1.7, yaw_rad=yaw, pitch_rad=pitch - 0.6, roll_rad=roll)
    width, height = 160, 120
    rays = rays_from_pixels(lens.resized(width, height)) @ rotation_room_camera(yaw, pitch - 0.6, roll).T
    depth = np.where(rays[..., 2] < -0.05, -1.7 / np.minimum(rays[..., 2], -0.05), 0).astype(np.float32)
    image = np.zeros((480, 640, 3), np.uint8)
    body = _json(depth_message(replace(frame, model=camera, image=image), DepthMap(depth, "z", "metric"), source, 0.0))
    k, pose = body["lens"], body["pose"]
    matrix = np.array([[k["fx_px"], 0, k["cx_px"]], [0, k["fy_px"], k["cy_px"]], [0, 0, 1]])
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 1, 2)
    flat = cv2.undistortPoints(pixels, matrix, np.array([k[name] for name in ("k1", "k2", "p1", "p2", "k3")]))
    points = np.concatenate([flat[:, 0], np.ones((len(flat), 1))], 1) * depth.reshape(-1, 1)
    room = points @ np.array(pose["rotation"]).T + [0, 0, pose["height_m"]]
    seen = (depth.ravel() > 0) & (depth.ravel() < 10)
    assert seen.sum() > 1000
    assert np.abs(room[seen, 2]).max() < 2e-3


def test_a_panorama_has_a_pose_and_no_lens(frame: Frame, depth: DepthMap, source: Source) -> None:
    """Its pixels are directions already; the middle of a level one looks along the room's y axis."""
    body = _json(depth_message(replace(frame, model=CameraModel("equirectangular")), depth, source, 0.0))
    assert body["lens"] is None
    assert body["pose"] == {"rotation": [[1, 0, 0], [0, 0, 1], [0, -1, 0]], "height_m": None}


def test_a_configured_door_stands_with_the_openings(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """With its heights, in the wall that is seen at its bearing; walls say how sure the layout is of them."""
    seen = replace(frame, model=replace(frame.model, openings=(OpeningInView("door", -0.1, 0.1, 0.0, 2.0),)))
    said = _json(layout_message(seen, layout, source, 0.0))
    (door,) = (o for o in said["openings"] if o["source"] == "configured")
    assert (door["kind"], door["sill_m"], door["height_m"], door["confidence"]) == ("door", 0.0, 2.0, 1.0)
    assert (door["left_deg"], door["right_deg"]) == pytest.approx((-5.7, 5.7), abs=0.06)
    assert {type(w["confidence"]) for w in said["metric"]["walls"]} <= {float, type(None)}
    assert _json(layout_message(frame, replace(layout, openings=None), source, 0.0))["openings"] is None
