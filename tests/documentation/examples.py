"""An example of every message, made by the code that makes the daemon's.

`python -m tests.documentation.examples` writes them into docs/messages.md and docs/requests.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

import edge
from edge.derive.heat_loss.settings import Border, Climate, Settings, WallStretch
from edge.derive.home import PlacedRoom
from edge.mqtt.drift_message import DriftFeature, DriftMessage, OutsideFeature, TrainingRooms
from edge.mqtt.info_message import ReviewInfo
from edge.mqtt.machine_message import MachineHealth
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
)
from edge.mqtt.topics import CHANNELS, JSON, Kind, Topics
from edge.mqtt.verbs import (
    VERBS,
    BuildAnswer,
    CameraAnswer,
    FlagAnswer,
    InstallAnswer,
    ObjectsAnswer,
    Picture,
    Pong,
    ReloadAnswer,
    RollbackAnswer,
    SetAnswer,
    Snapshot,
)
from edge.publish.compose import Source, depth_message, depth_picture, layout_message, lighting_message, pose
from edge.publish.discovery import CameraDevice, camera_device
from edge.publish.heat_loss import of_layout
from edge.publish.objects import object_part, objects_message, objects_model
from edge.publish.pictures import PictureOptions, camera_picture, depth_view
from edge.publish.rooms import room_model
from edge.scene import DepthMap, Frame
from edge.subscribe.homes import home_message
from tests.documentation.pages import REPOSITORY
from tests.edge.derive.homes import room
from tests.edge.derive.rooms import LIGHT, PANORAMA, layout
from tests.edge.things import CHAIR

AT, AT_S = "2026-11-28T10:09:20.682558Z", 1795860560.682558
SHA = "1be7893376e2" + "0" * 52
TOPICS = Topics("edge-demo")
HALL = "hall"
WIDTH = 120
BEGIN, END = "<!-- examples: python -m tests.documentation.examples -->", "<!-- end of examples -->"
FRAME = Frame(HALL, 57, AT_S, 0.0, np.full((256, 512, 3), 120, np.uint8), PANORAMA)
ROOM = layout(columns=8)
THING = replace(CHAIR, name="object-1", seen_at=FRAME.captured_at)
DEPTH = DepthMap(np.linspace(0.8, 4.2, 64 * 128, dtype=np.float32).reshape(64, 128), "range", "metric", 1.02)
SOURCE = Source("edge-demo", "layout", SHA)
HOME = Settings(Climate(-3.0), built=1930, walls=(WallStretch(-45, 120, Border("outside")),))
VERSION = "0.3.0"
"""Instead of this checkout's, which a release changes."""


def of_cameras() -> dict[Kind, Message]:
    """What is said of one camera."""
    device = CameraDevice(HALL, "rtsp", "equirectangular", {"layout": 2.0}, metric=True)
    return {
        "camera_state": CameraState(
            device="edge-demo", camera=HALL, state="stalled", since=AT, error="it sent no picture for 10 s"
        ),
        "depth": depth_message(
            FRAME, DEPTH, Source("edge-demo", "depth", SHA), 0.1204, TOPICS.of("depth_image", camera=HALL)
        ),
        "layout": layout_message(FRAME, ROOM, SOURCE, 0.506447),
        "lighting": lighting_message(FRAME, LIGHT, Source("edge-demo", "lighting", SHA), 0.0311),
        "heat_loss": of_layout(FRAME, ROOM, SOURCE, HOME),
        "drift": DriftMessage(
            device="edge-demo",
            camera=HALL,
            at=AT,
            state="drifting",
            since=AT,
            samples=144,
            baseline_since="2026-11-01T08:00:00.000000Z",
            features={"sharpness": DriftFeature(shift_sigma=-1.8, slow_sigma=2.1, psi=0.4, p=1e-6, changed=True)},
            out_of_training=True,
            outside={
                "sharpness": OutsideFeature(side="below", rank=0.001, share=0.4, p=2e-4, remedy="clean the lens; focus")
            },
            together=("sharpness", "edges"),
            known=TrainingRooms(rooms=300, between_rooms=True, p=4e-5),
        ),
        "objects": objects_message(HALL, [THING], Source("edge-demo", "objects", SHA), FRAME.captured_at),
        "discovery": camera_device(TOPICS, device, verbs=()),
    }


def of_the_device() -> dict[Kind, Message]:
    """What is said of the daemon, and of a home."""
    health = MachineHealth(
        model="NVIDIA Jetson AGX Orin",
        temperatures_celsius={"cpu-thermal": 51.5},
        throttling=(),
        overcurrent_events=0,
        power_mode="MODE_30W",
        gpu_load=0.42,
        memory_total_bytes=32880000000,
        memory_available_bytes=21530000000,
        slowdown=1,
    )
    broker = BrokerHealth(
        protocol="5", reconnects=0, offered=1205, restored=0, confirmed=210, written=994, published=1204,
        published_bytes=48211034, queued=1, spooled=0, spool_bytes=0,
    )  # fmt: skip
    camera = CameraInfo(
        name=HALL, source="rtsp", projection="equirectangular", camera_height_m=1.3, hfov_deg=None, lens=None,
        pose=pose(PANORAMA), tasks=("layout",),
        settings={"layout": TaskSettings(enabled=True, every_s=2.0, every_frames=None)},
    )  # fmt: skip
    provenance = {"recipe": "training/recipes/layout_edge.yaml", "commit": "5d0f0e5", "data": [], "metrics": []}
    here, there = room("hall", 4, 3, ((1, 1.5, 0.9),)), room("living", 5, 3, ((3, 1.5, 0.9),))
    return {
        "bridge_state": BridgeState(state="online"),
        "bridge_info": BridgeInfo(
            device="edge-demo",
            version=VERSION,
            run="a41c09",
            started_at=AT,
            cameras=(camera,),
            tasks=("layout",),
            engines=(
                EngineInfo(task="layout", name="layout", sha256=SHA, backend="ort-cpu fp32", provenance=provenance),
            ),
            review=ReviewInfo(people="removed", automatic=True, by_request=True, most_days=90),
            config_schema=None,
        ),
        "bridge_health": BridgeHealth(
            device="edge-demo",
            at=AT,
            uptime_s=600.0,
            tasks=(TaskHealth(camera=HALL, task="layout", rate_hz=0.5, latency_ms=Percentiles(p50=480.1, p99=702.6)),),
            broker=broker,
            dropped={"superseded": 12, "inference too slow": 3, "stale": 0},
            memory_bytes=412000000,
            temperature_celsius=51.5,
            machine=health,
            degraded=("layout: the CPU serves, a GPU lies idle; `edge check` says why",),
        ),
        "bridge_event": BridgeEvent(
            device="edge-demo", at=AT, type="camera_state", camera=HALL, message="hall is stalled: no picture for 10 s"
        ),
        "bridge_probe": BridgeProbe(),
        "home": home_message("flat", [PlacedRoom(here), PlacedRoom(there, 4.6)], saved_at_s=AT_S),
    }


def messages() -> dict[Kind, Message]:
    """One of every kind that carries JSON, but requests and their answers."""
    return of_the_device() | of_cameras()


def properties() -> dict[Kind, dict[str, str]]:
    """What MQTT 5 says beside each payload that is no JSON."""
    source = Source("edge-demo", "depth", SHA)
    return {
        "depth_image": depth_picture(FRAME, DEPTH, source).properties,
        "depth_view": depth_view(FRAME, DEPTH, source).properties,
        "picture": camera_picture(FRAME, "edge-demo", PictureOptions())().properties,
        "room": room_model(FRAME, ROOM, SOURCE, LIGHT).properties,
        "objects_model": objects_model(HALL, [THING], SOURCE, FRAME.captured_at).properties,
    }


def asked_and_answered() -> dict[str, tuple[dict[str, Any], Response]]:
    """Of every verb a request and its answer."""
    told = of_the_device()
    setting = TaskSettings(enabled=True, every_s=2.0, every_frames=None, overridden=("every_s",))
    jpeg = Picture(width_px=960, height_px=480, data="/9j/4AAQSkZJRgABAQ==")
    lit = lighting_message(FRAME, LIGHT, Source("edge-demo", "lighting", SHA), 0.0311)
    found: dict[str, tuple[dict[str, Any], Any]] = {
        "ping": ({}, Pong(device="edge-demo", version=VERSION, at=AT, uptime_s=600.0)),
        "info": ({}, told["bridge_info"]),
        "health": ({}, told["bridge_health"]),
        "snapshot": (
            {"camera": HALL, "width_px": 960},
            Snapshot(camera=HALL, frame=57, captured_at=AT, picture=jpeg, lighting=lit),
        ),
        "set": (
            {"camera": HALL, "task": "depth", "every_s": 2},
            SetAnswer(camera=HALL, task="depth", settings=setting),
        ),
        "reload": ({}, ReloadAnswer(applied=("tasks.depth.every_s",), restart_required=("inference.threads",))),
        "restart-camera": ({"camera": HALL}, CameraAnswer(camera=HALL)),
        "engine/build": ({"engine": "depth", "precision": "fp16"}, BuildAnswer(engine="depth")),
        "engine/rollback": (
            {"engine": "depth"},
            RollbackAnswer(engine="depth", message="depth: the plan before it serves from the next start on"),
        ),
        "engine/install": ({"url": "https://models.example/depth-2.tar", "sha256": "5f" * 32}, InstallAnswer()),
        "flag": (
            {"camera": HALL, "note": "the ceiling is wrong"},
            FlagAnswer(camera=HALL, frame=57, entry="20261128T100920-hall"),
        ),
        "baseline": ({"camera": HALL}, CameraAnswer(camera=HALL)),
        "objects": (
            {"camera": HALL, "box": [0.1, 0.2, 0.3, 0.4], "class": "chair"},
            ObjectsAnswer(camera=HALL, object=object_part(THING), count=1),
        ),
    }
    return {
        verb: (
            VERBS[verb].arguments(**asked).model_dump(mode="json", exclude_unset=True, by_alias=True)
            | {"transaction": "7"},
            Response(status="ok", data=answer.model_dump(mode="json", by_alias=True), transaction="7"),
        )
        for verb, (asked, answer) in found.items()
    }


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON that is easy to read and not long: what fits a line is on one, numbers fill lines."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + before + len(flat) + 1 <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return flat
    deeper = indent + 2
    if isinstance(value, dict):
        items = []
        for key, member in value.items():
            name = f"{json.dumps(key)}: "
            items.append(name + pretty(member, deeper, len(name)))
    else:
        items = [pretty(member, deeper) for member in value]
    lines = [""]
    for i, item in enumerate(items):
        item += "," if i + 1 < len(items) else ""
        if "\n" not in item and "\n" not in lines[-1] and deeper + len(lines[-1]) + 1 + len(item) <= WIDTH:
            lines[-1] += (" " if lines[-1] else "") + item
        else:
            lines.append(item)
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    inner = f"\n{' ' * deeper}".join(line for line in lines if line)
    return f"{opening}\n{' ' * deeper}{inner}\n{' ' * indent}{closing}"


def topic_of(kind: Kind) -> str:
    """As it is called in the pages."""
    channel = CHANNELS[kind]
    path = channel.path.replace("{", "<").replace("}", ">")
    return {"base": f"<base>/{path}", "home_assistant": f"<discovery_prefix>/{path}"}.get(channel.below, path)


def _fenced(*bodies: Any) -> str:
    return "```json\n" + "\n".join(pretty(body) for body in bodies) + "\n```\n"


def body(message: Message) -> dict[str, Any]:
    """As it stands on its topic."""
    text = message.encoded().decode().replace(f'"{edge.__version__}"', f'"{VERSION}"')
    found: dict[str, Any] = json.loads(text)
    return found


def of_messages() -> str:
    """The part of docs/messages.md."""
    said, beside, parts = messages(), properties(), []
    for kind, channel in CHANNELS.items():
        if kind in ("request", "response"):
            continue
        kept = "retained" if channel.retain else "not retained"
        way = "" if channel.direction == "send" else "Received. "
        parts.append(
            f"### `{topic_of(kind)}`\n\n{way}{channel.summary} QoS {channel.qos}, {kept}, {channel.content_type}.\n"
        )
        if channel.content_type == JSON:
            parts.append(_fenced(body(said[kind])))
        elif kind in beside:
            parts.append("With MQTT 5, beside it:\n")
            parts.append(_fenced(beside[kind]))
        else:
            parts.append("```text\nonline\n```\n")
    return "\n".join(parts)


def of_requests() -> str:
    """The part of docs/requests.md; what is as on a topic is not repeated."""
    parts = []
    for verb, (asked, response) in asked_and_answered().items():
        answer = body(response)
        as_on = {"info": "bridge/info", "health": "bridge/health"}.get(verb)
        parts.append(f"### `{verb}`\n\n{VERBS[verb].summary}\n")
        if as_on:
            parts[-1] = parts[-1][:-1] + f" `data` is as on [`{as_on}`](messages.md).\n"
            answer["data"] = {}
            parts.append(_fenced(asked))
        else:
            parts.append(_fenced(asked, answer))
    return "\n".join(parts)


def with_examples(page: str, examples: str) -> str:
    """A page with its part between the marks written anew."""
    start, stop = page.index(BEGIN) + len(BEGIN), page.index(END)
    return f"{page[:start]}\n\n{examples}\n{page[stop:]}"


PARTS = {"docs/messages.md": of_messages, "docs/requests.md": of_requests}


def write(names: Iterable[str] = PARTS) -> None:
    """Write them into their pages."""
    for name in names:
        path = REPOSITORY / name
        path.write_text(with_examples(path.read_text(encoding="utf-8"), PARTS[name]()), encoding="utf-8")


if __name__ == "__main__":
    write()
