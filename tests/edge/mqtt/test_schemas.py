"""Published schemas: every message fits its own, and the AsyncAPI document hangs together."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from edge.derive.heat_loss.settings import Climate, Settings
from edge.derive.home import PlacedRoom
from edge.mqtt.drift_message import DriftMessage
from edge.mqtt.messages import (
    BridgeEvent,
    BridgeHealth,
    BridgeInfo,
    BridgeProbe,
    BridgeState,
    BrokerHealth,
    CameraInfo,
    CameraState,
    EngineInfo,
    Message,
    Percentiles,
    Response,
    TaskHealth,
    TaskSettings,
    timestamp,
)
from edge.mqtt.schemas import asyncapi, documents, json_schemas, request_schemas
from edge.mqtt.topics import CHANNELS, Kind, Topics
from edge.mqtt.verbs import VERBS, VerbName
from edge.publish.compose import Source, calibrated_lens, depth_message, layout_message, lighting_message, pose
from edge.publish.discovery import CameraDevice, camera_device
from edge.publish.heat_loss import of_layout
from edge.publish.objects import objects_message
from edge.scene import DepthMap, Frame, Intrinsics, Lighting, RoomLayout
from edge.subscribe.homes import home_message
from tests.edge.derive.rooms import model
from tests.edge.things import CHAIR, LOST


@pytest.fixture
def messages(
    frame: Frame, depth: DepthMap, layout: RoomLayout, lighting: Lighting, source: Source
) -> dict[Kind, Message]:
    """One of each message that the daemon sends."""
    now = timestamp(time.time())
    camera = CameraInfo(
        name="a",
        source="replay",
        projection="perspective",
        camera_height_m=None,
        hfov_deg=None,
        lens=calibrated_lens(Intrinsics(640, 480, 500.0, 500.0, 320.0, 240.0, k1=-0.1)),
        pose=pose(frame.model),
        tasks=("depth",),
        settings={"depth": TaskSettings(enabled=True, every_s=1, every_frames=None)},
    )
    device = CameraDevice("a", "replay", "perspective", {"depth": 0.5}, metric=True)
    engine = EngineInfo(task="depth", name="depth", sha256="0" * 64, backend="ort", provenance={"recipe": "x"})
    task = TaskHealth(camera="a", task="depth", rate_hz=2.0, latency_ms=Percentiles(p50=1, p99=2))
    broker = BrokerHealth(
        protocol="5",
        reconnects=0,
        offered=3,
        restored=0,
        confirmed=1,
        written=0,
        published=1,
        published_bytes=2,
        queued=1,
        spooled=0,
        spool_bytes=0,
    )
    return {
        "bridge_state": BridgeState(state="online"),
        "bridge_info": BridgeInfo(
            device="d",
            version="1",
            run="r1",
            started_at=now,
            cameras=(camera,),
            tasks=("depth",),
            engines=(engine,),
            config_schema={},
        ),
        "bridge_health": BridgeHealth(
            device="d",
            at=now,
            uptime_s=1.0,
            tasks=(task,),
            broker=broker,
            dropped={"expired": 1},
            memory_bytes=1,
            temperature_celsius=None,
            degraded=(),
        ),
        "bridge_event": BridgeEvent(device="d", at=now, type="camera_lost", camera="a", message="gone"),
        "bridge_probe": BridgeProbe(),
        "response": Response(status="ok", data={"a": 1}, transaction=7),
        "camera_state": CameraState(device="d", camera="a", state="stalled", since=now, error="no frame for 5 s"),
        "depth": depth_message(frame, depth, source, 0.1, "edge/d/a/depth/image"),
        "layout": layout_message(frame, layout, source, 0.1),
        "lighting": lighting_message(frame, lighting, source, 0.1),
        "drift": DriftMessage(
            device="d",
            camera="a",
            at=now,
            state="ok",
            since=now,
            samples=144,
            baseline_since=now,
            features={"sharpness": {"shift_sigma": -0.8, "slow_sigma": 0, "psi": 0.4, "p": 1e-9, "changed": True}},
            out_of_training=True,
            outside={"sharpness": {"side": "below", "rank": 0.001, "share": 0.4, "p": 1e-5, "remedy": None}},
        ),
        "objects": objects_message("a", [CHAIR, LOST], source, 0.0),
        "heat_loss": of_layout(frame, layout, source, Settings(Climate(-3.0))),
        "discovery": camera_device(Topics("d"), device, verbs=()),
        "home": home_message("flat 3", [PlacedRoom(model()), PlacedRoom(model(), 5.1)]),
    }


def test_schemas_are_schemas_and_messages_fit_them(messages: dict[Kind, Message]) -> None:
    """Each schema is valid 2020-12, each message fits its own, and one unknown field more does not."""
    schemas = json_schemas()
    assert set(schemas) == set(messages) | {"request"}
    for kind, message in messages.items():
        Draft202012Validator.check_schema(schemas[kind])
        validator = Draft202012Validator(schemas[kind])
        body = json.loads(message.encoded())
        validator.validate(body)
        assert not validator.is_valid({**body, "unknown_field": 1})
        required = set(schemas[kind]["required"])
        assert set(body) == required, "what is always sent is promised"


def test_every_field_is_checked(messages: dict[Kind, Message]) -> None:
    """Taking any one field away from a message makes it unfit."""
    schemas = json_schemas()
    for kind, message in messages.items():
        validator = Draft202012Validator(schemas[kind])
        body = json.loads(message.encoded())
        for name in body:
            assert not validator.is_valid({k: v for k, v in body.items() if k != name}), (kind, name)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part]
    return document


def test_every_reference_resolves() -> None:
    """No $ref of the AsyncAPI document or of a schema leads nowhere."""
    for document in documents().values():
        for reference in _references(document):
            assert _resolve(document, reference) is not None


def test_the_document_has_what_asyncapi_3_requires() -> None:
    """Version, info, and for each channel and operation the fields that the specification requires."""
    document = asyncapi(base="site")
    assert document["asyncapi"] == "3.1.0"
    assert {"title", "version"} <= set(document["info"])
    assert {"host", "protocol"} <= set(document["servers"]["broker"])
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = _resolve(document, operation["channel"]["$ref"])
        for message in operation["messages"]:
            prefix = operation["channel"]["$ref"] + "/messages/"
            assert message["$ref"].startswith(prefix), "an operation's messages are a subset of its channel's"
            assert message["$ref"].removeprefix(prefix) in channel["messages"]
    json.dumps(document)


def test_every_topic_has_a_channel_and_an_operation_with_its_quality() -> None:
    """Addresses, parameters, direction, QoS, retention and expiry of the document are those of the topics table."""
    document = asyncapi(base="site")
    operations = {o["channel"]["$ref"].rpartition("/")[2]: o for o in document["operations"].values()}
    by_verb = {f"{kind}_{re.sub('[/-]', '_', verb)}" for kind in ("request", "response") for verb in VERBS}
    plain = {kind: channel for kind, channel in CHANNELS.items() if kind not in ("request", "response")}
    assert set(document["channels"]) == {*plain, *by_verb} == set(operations)
    for kind, channel in plain.items():
        address = document["channels"][kind]["address"]
        below = {"home_assistant": "homeassistant", "base": "site", "device": "site/{device}"}[channel.below]
        assert address == f"{below}/{channel.path}"
        assert {f"{{{p}}}" for p in document["channels"][kind]["parameters"]} == {
            p for p in address.split("/") if "{" in p
        }
        binding = operations[kind]["bindings"]["mqtt"]
        assert (binding["qos"], binding["retain"]) == (channel.qos, channel.retain)
        assert binding.get("messageExpiryInterval") == channel.expiry_s
        assert operations[kind]["action"] == channel.direction == ("receive" if kind == "birth" else "send")


def test_every_request_has_its_channel_its_answers_and_its_schemas() -> None:
    """By verb: the address, an operation that is received and replied to, arguments checked as the daemon does."""
    document, schemas = asyncapi(base="site"), request_schemas()
    assert len(schemas) == 2 * len(VERBS)
    assert get_args(VerbName) == tuple(VERBS)
    for verb in VERBS:
        slug = re.sub("[/-]", "_", verb)
        assert document["channels"][f"request_{slug}"]["address"] == f"site/{{device}}/request/{verb}"
        (asked,) = [o for o in document["operations"].values() if o["channel"]["$ref"].endswith(f"/request_{slug}")]
        assert asked["action"] == "receive"
        assert asked["reply"]["channel"]["$ref"] == f"#/channels/response_{slug}"
        for schema in (schemas[f"request_{slug}"], schemas[f"response_{slug}"]):
            Draft202012Validator.check_schema(schema)
        refused = {"status": "error", "data": {}, "error": "no", "transaction": None}
        Draft202012Validator(schemas[f"response_{slug}"]).validate(refused)
    arguments = Draft202012Validator(schemas["request_set"])
    arguments.validate({"camera": "hall", "task": "depth", "every_s": None, "transaction": "1"})
    for wrong in ({}, {"camera": "hall", "task": "sound"}, {"camera": "hall", "task": "depth", "evry_s": 1}):
        assert not arguments.is_valid(wrong)
