"""Scene values that are easy to check by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge.geometry.harmonics import CONVENTION
from edge.publish.compose import Source
from edge.scene import CameraModel, DepthMap, Frame, Lighting, RoomLayout


@pytest.fixture
def frame() -> Frame:
    """A small grey picture of 2026."""
    model = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.5)
    return Frame("living", 42, 1767225600.25, time.monotonic(), np.full((4, 6, 3), 90, np.uint8), model)


@pytest.fixture
def source() -> Source:
    """Where the sample results come from."""
    return Source("dev", "depth", "0123456789abcdef" * 4)


@pytest.fixture
def depth() -> DepthMap:
    """Metric depth from 1 m to 4 m with an unknown corner."""
    values = np.linspace(1.0, 4.0, 240 * 320, dtype=np.float32).reshape(240, 320)
    values[:10, :10] = 0.0
    return DepthMap(values, "z", "metric", aligned_to_layout=1.02)


@pytest.fixture
def layout() -> RoomLayout:
    """A box of 4 m x 5 m x 2.5 m around the camera."""
    columns = 1024
    floor = np.full(columns, -0.5, np.float32)
    floor[:3] = np.nan
    return RoomLayout(
        ceiling_rad=np.full(columns, 0.4, np.float32),
        floor_rad=floor,
        corner_probability=np.linspace(0, 1, columns, dtype=np.float32),
        column_confidence=np.ones(columns, np.float32),
        polygon_m=np.array([[-2.0, -1.0], [2.0, -1.0], [2.0, 4.0], [-2.0, 4.0]]),
        camera_height_m=1.5,
        ceiling_height_m=2.5,
        area_m2=20.0,
        volume_m3=50.0,
        confidence=0.9,
        fit="manhattan",
        fit_reason="corners within 5 degrees of right angles",
        scale="metric",
        extent="room",
    )


@pytest.fixture
def lighting() -> Lighting:
    """Light mostly from the right and above."""
    coefficients = np.zeros((9, 3), np.float32)
    coefficients[0] = (0.8, 0.7, 0.6)
    direction = (float(np.sqrt(0.75)), 0.0, 0.5)
    return Lighting(coefficients, CONVENTION, (0.8, 0.7, 0.6), direction, 0.4)
