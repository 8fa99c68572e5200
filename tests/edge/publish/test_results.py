"""Which messages a value becomes."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.derive.heat_loss.presets import PRESETS
from edge.derive.heat_loss.settings import Border, Climate, Setback, Settings, WallStretch
from edge.mqtt.heat_loss_message import HeatLossMessage
from edge.mqtt.messages import BridgeEvent
from edge.mqtt.schemas import json_schema
from edge.mqtt.topics import Topics
from edge.publish.compose import Source
from edge.publish.heat_loss import of_layout
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


# Heat losses ----------------------------------------------------------------------------------------------------------

BORDERS = Settings(Climate(-3.0, degree_days_k_day=2200.0), walls=(WallStretch(-60, 60, Border("outside")),))


def test_a_heat_loss_goes_out_with_its_room(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Of the cameras that have it configured, and when the room changed: not with every layout."""
    messages = ResultMessages(TOPICS, heat_losses={frame.camera: BORDERS})
    assert kinds(messages, layout, frame, source) == ["layout", "room", "heat_loss"]
    assert kinds(messages, layout, frame, source) == ["layout"]
    assert kinds(messages, layout, replace(frame, camera="hall"), source) == ["layout", "room"]


def test_every_number_of_a_heat_loss_can_be_computed_again(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """From the message alone, also with a ventilation unit, a setback, a year's energy and other homes next door."""
    for preset in PRESETS:
        home = Settings(
            Climate(-3.0, 9.0, degree_days_k_day=2200.0, scop=3.2),
            preset=preset,
            walls=(WallStretch(-60, 60, Border("outside")), WallStretch(60, 180, Border("neighbour"))),
            mechanical_m3_h=30.0,
            heat_recovery=0.8,
            setback=Setback(2, 2),
        )
        made = of_layout(frame, layout, source, home)
        used, difference_k = made.inputs, made.inside_c - made.outside_c
        assert used is not None
        air_w = made.air_heat_wh_m3k * difference_k
        mechanical_w = air_w * used.mechanical_m3_h * (1 - used.heat_recovery)
        assert made.ventilation_w == pytest.approx(air_w * used.infiltration_m3_h + mechanical_w, abs=0.05)
        air_m3_h = used.infiltration_m3_h + used.mechanical_m3_h
        assert made.air_changes_per_h == pytest.approx(air_m3_h / made.volume_m3, abs=1e-3)
        assert made.reheat_w == pytest.approx(used.reheat_w_m2 * made.area_m2, abs=0.05)
        counted = {"outside", "unheated", "ground"} | ({"neighbour"} if used.building_counts_neighbours else set())
        of_building = sum(e.loss_w for e in made.elements if e.to in counted)
        assert made.building.transmission_w == pytest.approx(of_building, abs=0.05)
        shared_w = used.building_air_share * air_w * used.infiltration_m3_h + mechanical_w
        assert made.building.ventilation_w == pytest.approx(shared_w, abs=0.05)
        w_k = (made.building.transmission_w + made.building.ventilation_w) / difference_k
        assert used.degree_days_k_day is not None and used.scop is not None
        assert made.annual_kwh == pytest.approx(w_k * used.degree_days_k_day * 24 / 1000, abs=0.2)
        assert made.annual_electricity_kwh == pytest.approx(
            w_k * used.degree_days_k_day * 24 / 1000 / used.scop, abs=0.2
        )
        assert {"camera_height", "layout_x", "air_changes", "mean_outside"} <= set(used.sigma)
        assert (used.camera_height_m, used.built) == (pytest.approx(layout.camera_height_m), 1970)


def test_a_heat_loss_is_all_it_was_computed_from(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """The message's own values give its sums again: elements, air, range, what is assumed."""
    planned = ResultMessages(TOPICS, heat_losses={frame.camera: BORDERS}).of(layout, frame, source, 0.1)
    made = dict(planned)["heat_loss"]()
    assert isinstance(made, HeatLossMessage)
    for e in made.elements:
        assert e.loss_w == pytest.approx(e.area_m2 * (e.u_w_m2k + e.thermal_bridge_w_m2k) * e.difference_k, abs=0.1)
    assert sum(e.loss_w for e in made.elements) == pytest.approx(made.transmission_w, abs=0.01)
    air_w = made.air_heat_wh_m3k * made.air_changes_per_h * made.volume_m3 * (made.inside_c - made.outside_c)
    assert made.ventilation_w == pytest.approx(air_w, rel=1e-3)
    assert made.sum_w == pytest.approx(made.transmission_w + made.ventilation_w + made.reheat_w, abs=0.01)
    assert made.total_w.p05 < made.sum_w < made.total_w.p95
    assert sum(i.share for i in made.largest) == pytest.approx(1.0, abs=0.01)
    assert (made.device, made.camera, made.layout_frame) == (source.device, frame.camera, frame.sequence)
    assert made.assumptions
    assert "not a certified calculation" in made.disclaimer
    Draft202012Validator(json_schema("heat_loss")).validate(json.loads(made.encoded()))


@pytest.mark.parametrize(
    ("change", "said"), [({"scale": "relative"}, "camera_height_m"), ({"extent": "visible"}, "part")]
)
def test_why_there_is_none_is_told_once(
    frame: Frame, layout: RoomLayout, source: Source, change: dict[str, Any], said: str
) -> None:
    """No part of a room and nothing relative has a heat loss: an event says why, again after it was there."""
    messages = ResultMessages(TOPICS, heat_losses={frame.camera: BORDERS})
    other = replace(layout, **change)
    planned = messages.of(other, frame, source, 0.1)
    event = dict(planned)["bridge_event"]()
    assert isinstance(event, BridgeEvent)
    assert (event.type, event.camera) == ("heat_loss_unavailable", frame.camera)
    assert said in event.message
    higher = replace(other, ceiling_height_m=layout.ceiling_height_m + 0.5)
    assert kinds(messages, higher, frame, source) == ["layout", "room"]
    assert kinds(messages, layout, frame, source) == ["layout", "room", "heat_loss"]
    assert kinds(messages, other, frame, source) == ["layout", "room", "bridge_event"]


def test_why_there_is_none_is_told_at_each_change_of_the_reason(
    frame: Frame, layout: RoomLayout, source: Source
) -> None:
    """One reason, another, and the first again are three events, each with its own words; the same one twice is one."""
    messages = ResultMessages(TOPICS, heat_losses={frame.camera: BORDERS})
    relative, partly = replace(layout, scale="relative"), replace(layout, extent="visible")
    said = []
    for number, room in enumerate((relative, relative, partly, partly, relative)):
        changed = replace(room, ceiling_height_m=room.ceiling_height_m + 0.1 * number)
        made = [make() for kind, make in messages.of(changed, frame, source, 0.1) if kind == "bridge_event"]
        said += [event.message for event in made if isinstance(event, BridgeEvent)]
    assert ["camera_height_m" in message for message in said] == [True, False, True]


def test_a_loss_that_no_home_has_is_told_once(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Beside the message: an event says what to check, when it begins and when it comes back, not with each room."""
    colder = replace(BORDERS, climate=replace(BORDERS.climate, outside_c=-60.0), air_changes_per_h=9.0)
    messages = ResultMessages(TOPICS, heat_losses={frame.camera: colder})
    planned = dict(messages.of(layout, frame, source, 0.1))
    event = planned["bridge_event"]()
    assert isinstance(event, BridgeEvent)
    assert event.type == "heat_loss_implausible"
    assert re.search(
        r"\d{3}0? W for each m² of floor, homes have 10 to 200; check the section heat_loss", event.message
    )
    assert not planned["heat_loss"]().plausible  # type: ignore[union-attr]
    higher = replace(layout, ceiling_height_m=layout.ceiling_height_m + 0.5)
    assert kinds(messages, higher, frame, source) == ["layout", "room", "heat_loss"]
    hidden = replace(layout, extent="visible")
    assert kinds(messages, hidden, frame, source) == ["layout", "room", "bridge_event"]
    assert kinds(messages, layout, frame, source) == ["layout", "room", "heat_loss", "bridge_event"]


def test_a_heat_loss_is_fast(frame: Frame, layout: RoomLayout, source: Source) -> None:
    """Made and encoded in less than 20 ms of the publishing thread's own time."""
    make = dict(ResultMessages(TOPICS, heat_losses={frame.camera: BORDERS}).of(layout, frame, source, 0.1))["heat_loss"]

    def encode() -> float:
        begun_s = time.thread_time()
        message = make()
        assert isinstance(message, HeatLossMessage)
        message.encoded()
        return time.thread_time() - begun_s

    encode()
    assert sorted(encode() for _ in range(9))[4] < 0.020
