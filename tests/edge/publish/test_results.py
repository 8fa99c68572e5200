"""Which messages a value becomes."""

from __future__ import annotations

from dataclasses import replace

from edge.mqtt.topics import Topics
from edge.publish.compose import Source
from edge.publish.results import ResultMessages
from edge.scene import DepthMap, Frame, Lighting, RoomLayout

TOPICS = Topics("dev")


def kinds(messages: ResultMessages, value: DepthMap | RoomLayout | Lighting, frame: Frame, source: Source) -> list[str]:
    """On which kinds of topic the value is said; each message is made, so that it can be."""
    planned = messages.of(value, frame, source, 0.1)
    assert all(make() for _, make in planned)
    return [kind for kind, _ in planned]


def test_the_depth_picture_goes_out_if_it_is_wanted(frame: Frame, depth: DepthMap, source: Source) -> None:
    """Statistics always; the picture, and its address in the statistics, only when configured."""
    assert kinds(ResultMessages(TOPICS), depth, frame, source) == ["depth", "depth_image"]
    assert kinds(ResultMessages(TOPICS, depth_image=False), depth, frame, source) == ["depth"]


def test_the_room_goes_out_when_it_changed(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """First with the first layout, then when a corner or the ceiling moved by a centimetre, for each camera apart."""
    messages = ResultMessages(TOPICS)
    assert kinds(messages, layout, frame, source) == ["layout", "room"]
    assert kinds(messages, layout, frame, source) == ["layout"]
    assert kinds(messages, layout, replace(frame, camera="hall"), source) == ["layout", "room"]
    higher = replace(layout, ceiling_height_m=layout.ceiling_height_m + 0.02)
    assert kinds(messages, higher, frame, source) == ["layout", "room"]


def test_light_is_one_message(frame: Frame, lighting: Lighting, source: Source) -> None:
    """The coefficients with what most people want to know of them."""
    assert kinds(ResultMessages(TOPICS), lighting, frame, source) == ["lighting"]
