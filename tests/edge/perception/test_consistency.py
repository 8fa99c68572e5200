"""Rules that need no label: what agrees is left alone, and each contradiction is found by its own rule alone."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.geometry.panorama import direction_from_angles
from edge.geometry.view import depth_directions
from edge.perception.alignment import shell_range
from edge.perception.consistency import Contradiction, Seen, contradictions
from edge.scene import CameraModel, DepthMap, Frame, Lighting, RoomLayout
from tests.painted import painted_room

PANORAMA = CameraModel("equirectangular", camera_height_m=1.5)
WH = (256, 128)


@pytest.fixture
def seen(layout: RoomLayout, lighting: Lighting) -> Seen:
    """A room of which everything that is inferred is true; its light is a bright spot ahead, on the right, above."""
    image = painted_room(layout.polygon_m, 1.5, 2.5, WH) // 2
    towards = direction_from_angles(0.6, 0.4)
    image[np.degrees(np.arccos(depth_directions(PANORAMA, WH, WH)[0] @ towards)) < 6] = 255
    frame = Frame("hall", 1, 1767225600.0, time.monotonic(), image, PANORAMA)
    metres = shell_range(layout, depth_directions(PANORAMA, WH, WH)[0]).astype(np.float32)
    light = replace(lighting, dominant_direction=tuple(towards), dominant_strength=0.6)
    return Seen(frame, {"layout": layout, "depth": DepthMap(metres, "range", "metric"), "lighting": light})


def changed(seen: Seen, **values: object) -> Seen:
    """The same with other answers."""
    return replace(seen, values={**seen.values, **values})  # type: ignore[dict-item]


def only(found: list[Contradiction]) -> str:
    """The one rule that was broken."""
    (contradiction,) = found
    assert contradiction.text
    return contradiction.rule


def mirrored(layout: RoomLayout) -> RoomLayout:
    """What a network that errs nowhere says of the mirrored picture."""
    return replace(layout, polygon_m=layout.polygon_m[::-1] * (-1.0, 1.0))


def test_what_agrees_is_not_doubted(seen: Seen, layout: RoomLayout) -> None:
    """All rules at once, with the same ten minutes ago and the true layout of the mirror image."""
    assert contradictions(seen, seen, mirrored(layout)) == []


def test_a_ceiling_that_no_home_has(seen: Seen, layout: RoomLayout) -> None:
    """Below 2 m or above 4.5 m, of a whole room in metres alone."""
    for height_m in (1.9, 4.6):
        room = replace(layout, ceiling_height_m=height_m)
        assert only(contradictions(Seen(seen.frame, {"layout": room}))) == "ceiling_height"
        assert contradictions(Seen(seen.frame, {"layout": replace(room, scale="relative")})) == []
        assert contradictions(Seen(seen.frame, {"layout": replace(room, extent="visible")})) == []


def test_depth_that_is_off_the_room(seen: Seen, layout: RoomLayout) -> None:
    """20 % too far is off walls and floor, and the floor too low; with furniture on a third of the floor it is not."""
    depth = seen.values["depth"]
    assert isinstance(depth, DepthMap)
    far = replace(depth, depth=depth.depth * np.float32(1.2))
    assert {c.rule for c in contradictions(changed(seen, depth=far))} == {"depth_off_room", "depth_off_floor"}
    furnished = depth.depth.copy()
    furnished[70:, : WH[0] // 3] *= 0.6
    assert contradictions(changed(seen, depth=replace(depth, depth=furnished))) == []
    low = depth.depth.copy()
    low[100:] *= 1.15
    assert only(contradictions(changed(seen, depth=replace(depth, depth=low)))) == "depth_off_floor"


def test_a_room_that_changes_while_its_picture_does_not(seen: Seen, layout: RoomLayout) -> None:
    """An overlap below 0.8; not if the picture changed too."""
    other = Seen(seen.frame, {"layout": replace(layout, polygon_m=layout.polygon_m * (0.75, 1.0))})
    assert only(contradictions(changed(seen), other)) == "unsteady"
    noise = np.random.default_rng(0).integers(0, 256, seen.frame.image.shape).astype(np.uint8)
    elsewhere = replace(other, frame=replace(seen.frame, image=noise))
    assert contradictions(seen, elsewhere) == []


def test_a_mirrored_picture_that_gives_another_room(seen: Seen, layout: RoomLayout) -> None:
    """The layout of the mirror image must be the mirror image of the layout."""
    found = contradictions(seen, None, replace(mirrored(layout), polygon_m=mirrored(layout).polygon_m * (1.0, 0.7)))
    assert only(found) == "mirrored"


def test_light_from_where_it_is_dark(seen: Seen) -> None:
    """More than 60 degrees off what is brightest; light without a direction is not asked."""
    light = seen.values["lighting"]
    assert isinstance(light, Lighting)
    away = replace(light, dominant_direction=tuple(direction_from_angles(2.4, 0.3)))
    assert only(contradictions(changed(seen, lighting=away))) == "light_off_picture"
    assert contradictions(changed(seen, lighting=replace(away, dominant_strength=0.1))) == []


def test_a_camera_that_hangs_other_than_it_is_said_to(seen: Seen) -> None:
    """Edges of cupboards say where up is: five degrees off the configuration; not one, not in a blurred picture."""
    image, (h, w) = seen.frame.image.copy(), WH[::-1]
    image = cv2.resize(image, (4 * w, 4 * h), interpolation=cv2.INTER_NEAREST)
    for x in range(30, 4 * w, 60):
        image[200:320, x : x + 24] = 20
    level = replace(seen.frame, image=image)
    assert contradictions(Seen(level, {})) == []
    for off in ({"pitch_rad": np.deg2rad(1.0)}, {"roll_rad": np.deg2rad(-1.0)}):
        assert contradictions(Seen(replace(level, model=replace(PANORAMA, **off)), {})) == []
    for off in ({"pitch_rad": np.deg2rad(5.0)}, {"roll_rad": np.deg2rad(-5.0)}):
        tilted = replace(level, model=replace(PANORAMA, **off))
        (found,) = contradictions(Seen(tilted, {}))
        assert (found.rule, found.limit) == ("gravity", 3.0)
        assert found.value == pytest.approx(5.0, abs=0.3)
        assert "pitch_deg 0.0" in found.text.replace("-0.0", "0.0")
        assert contradictions(Seen(replace(tilted, image=cv2.GaussianBlur(image, (0, 0), 12)), {})) == []
        assert contradictions(Seen(replace(tilted, seen=np.ones((4 * h, 4 * w), np.bool_)), {})) == []
