"""The room's model on its topic: what it holds, when it is another, and how large it may be."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from edge.derive.glb import read_room
from edge.publish.compose import Source
from edge.publish.rooms import SceneOptions, room_model, same_room
from edge.scene import Frame, Lighting, RoomLayout


def test_the_room_model_is_the_published_room(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """The GLB holds a closed room of the layout's height and floor, y up, and its properties say the unit."""
    sent = room_model(frame, layout, source)
    room = trimesh.load(io.BytesIO(sent.data), file_type="glb")
    low, high = room.bounds
    assert high[1] - low[1] == pytest.approx(layout.ceiling_height_m)
    assert [low[0], -high[2]] == pytest.approx(layout.polygon_m.min(axis=0))
    assert (sent.properties["unit"], sent.properties["extent"]) == ("m", layout.extent)


def test_a_room_is_another_from_a_centimetre_on(layout: RoomLayout) -> None:
    """Jitter below 1 cm is the same room; a wall or a ceiling that moved, one corner more, or another unit is not."""
    jitter = np.random.default_rng(0).uniform(-0.009, 0.009, layout.polygon_m.shape)
    pushed = layout.polygon_m + np.eye(*layout.polygon_m.shape) * 0.02
    assert same_room(layout, replace(layout, polygon_m=layout.polygon_m + jitter))
    assert not same_room(None, layout)
    assert not same_room(layout, replace(layout, polygon_m=pushed))
    assert not same_room(layout, replace(layout, ceiling_height_m=layout.ceiling_height_m + 0.02))
    assert not same_room(layout, replace(layout, polygon_m=np.vstack([layout.polygon_m, layout.polygon_m[:1]])))
    assert not same_room(layout, replace(layout, scale="relative"))


def test_the_picture_and_the_light_travel_with_the_room(
    frame: Frame, layout: RoomLayout, lighting: Lighting, source: Source
) -> None:
    """The texture is of the frame that the layout was inferred from, unless it is switched off."""
    whole = read_room(room_model(frame, layout, source, lighting).data)
    assert whole.texture is not None
    assert whole.lighting is not None
    assert (whole.about["camera"], whole.about["frame"]) == (frame.camera, frame.sequence)
    assert read_room(room_model(frame, layout, source, None, SceneOptions(texture=False)).data).texture is None


def test_the_file_stays_below_its_bound(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Also with a picture that JPEG cannot compress."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    seen = replace(frame, image=noise, model=replace(frame.model, projection="equirectangular"))
    assert len(room_model(seen, layout, source, None, SceneOptions(max_bytes=100_000)).data) <= 100_000


def test_what_a_privacy_mask_covers_counts_as_not_seen(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """The lower half of a masked panorama: nothing of the floor was seen, all of the ceiling was."""
    lower = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
    masked = replace(frame.model, projection="equirectangular", masks=(lower,))
    seen = replace(frame, image=np.zeros((128, 256, 3), np.uint8), model=masked)
    texture = read_room(room_model(seen, replace(layout, extent="room"), source).data).texture
    assert texture is not None
    assert texture.seen_fraction["floor"] == 0.0
    assert texture.seen_fraction["ceiling"] > 0.9
