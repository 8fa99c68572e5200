"""Numbers that say what was inferred of a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from edge.geometry.panorama import rays
from edge.perception.alignment import shell_range
from edge.perception.result_features import OF_TASKS, result_features
from edge.scene import CameraModel, DepthMap, Frame, Lighting, RoomLayout, Task

TURNED = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
SQUARE = np.array([[2, -2], [2, 2], [-2, 2], [-2, -2]], float)


def test_every_task_has_its_features(frame: Frame, layout: RoomLayout, depth: DepthMap, lighting: Lighting) -> None:
    """What is followed of a value is what its task says is followed, finite also where nothing is seen."""
    blind = np.full_like(layout.floor_rad, np.nan)
    values = (
        ("layout", layout),
        ("layout", replace(layout, floor_rad=blind, ceiling_rad=blind)),
        ("depth", depth),
        ("depth", replace(depth, depth=np.zeros_like(depth.depth))),
        ("lighting", lighting),
        ("lighting", replace(lighting, coefficients=np.zeros((9, 3), np.float32), ambient=(0.0, 0.0, 0.0))),
    )
    for task, value in values:
        found = result_features(frame, {cast(Task, task): value})
        assert set(found) == set(OF_TASKS[cast(Task, task)])
        assert np.isfinite(list(found.values())).all()


def test_depth_is_held_against_the_room(frame: Frame, layout: RoomLayout) -> None:
    """Depth on the room's shell: nothing off it; half as far everywhere: the shell is twice as large, and half off."""
    panorama = replace(frame, model=CameraModel("equirectangular", camera_height_m=layout.camera_height_m))
    panorama = replace(panorama, image=np.zeros((64, 128, 3), np.uint8))
    shell = shell_range(layout, rays(128, 64)).astype(np.float32)
    for share, off in ((1.0, 0.0), (0.5, 0.5)):
        depth = DepthMap(shell * np.float32(share), "range", "metric")
        found = result_features(panorama, {"layout": layout, "depth": depth})
        assert found["depth_scale"] == pytest.approx(-np.log(share), abs=0.01)
        assert found["depth_off_room"] == pytest.approx(off, abs=0.01)
    relative = replace(depth, scale="relative", metric_unit_m=None) if hasattr(depth, "metric_unit_m") else depth
    alone = result_features(panorama, {"depth": relative})
    assert (alone["depth_scale"], alone["depth_off_room"]) == (0.0, 0.0)


def test_a_room_is_as_skew_as_its_walls(frame: Frame, layout: RoomLayout) -> None:
    """Right angles, turned anyhow: 0. One of four walls of a square 0.1 rad off: the others share it."""
    for polygon in (SQUARE, SQUARE @ TURNED.T):
        found = result_features(frame, {"layout": replace(layout, polygon_m=polygon)})
        assert found["layout_skew"] == pytest.approx(0.0, abs=1e-9)
    bent = SQUARE + [[0, 0], [0, 0.4], [0, 0], [0, 0]]
    assert 0.01 < result_features(frame, {"layout": replace(layout, polygon_m=bent)})["layout_skew"] < 0.1


def test_a_rough_boundary_is_told_from_a_smooth_one(frame: Frame, layout: RoomLayout) -> None:
    """Ten times the noise, ten times the roughness."""
    noise = np.random.default_rng(0).normal(0, 1e-3, layout.floor_rad.shape).astype(np.float32)
    rough = [
        result_features(frame, {"layout": replace(layout, floor_rad=k * noise, ceiling_rad=k * noise)}) for k in (1, 10)
    ]
    assert rough[1]["layout_roughness"] - rough[0]["layout_roughness"] == pytest.approx(np.log(10), abs=0.01)


def test_light_has_a_colour_and_a_contrast(frame: Frame, lighting: Lighting) -> None:
    """Grey is neither warm nor cold, and light from everywhere alike has no contrast; brighter changes neither."""
    even = np.zeros((9, 3), np.float32)
    even[0] = 0.5
    flat = result_features(frame, {"lighting": replace(lighting, coefficients=even, ambient=(0.5, 0.5, 0.5))})
    assert (flat["light_warmth"], flat["light_contrast"]) == (0.0, 0.0)
    even[6] = 0.1
    both = [
        result_features(frame, {"lighting": replace(lighting, coefficients=k * even, ambient=(0.6, 0.5, 0.3))})
        for k in (1, 3)
    ]
    assert both[0]["light_contrast"] == pytest.approx(0.2) == pytest.approx(both[1]["light_contrast"])
    assert both[0]["light_warmth"] > 0.5
