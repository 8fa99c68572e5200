"""What is fed with nonsense: each place where the device package reads what others wrote.

A target is given bytes and raises where a law is broken. Errors that the place promises are no findings.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import yaml
from rich.console import Console

from edge.cameras import jpeg, largest
from edge.cameras.address import AmbiguousAddressError, quoted, shown, without_addresses
from edge.cameras.picture import decoded
from edge.config.sections import Config, load_config
from edge.errors import ConfigError, EngineError, ImageError, ManifestError
from edge.geometry.harmonics import CONVENTION
from edge.inference.manifest import read_manifest_file
from edge.inference.onnx_file import check_whole
from edge.inference.ort import OrtBackend
from edge.mqtt.link import Incoming
from edge.mqtt.messages import BridgeEvent, BridgeState, CameraState, Response
from edge.mqtt.topics import Topics, parse
from edge.publish import compose
from edge.publish.requests import Handler, Requests
from edge.publish.twin import Twin
from edge.scene import CameraModel, DepthMap, Frame, Lighting, RoomLayout
from edge.subscribe.table import json_line, table, text_line
from edge.subscribe.watcher import WatchState, validated
from tests.integration.conftest import DEMO, PANORAMA, PERSPECTIVE, REPOSITORY

_ACTED_ON = {"\x1b", "\x07", "\x9b", "\x9d", "\u202e"}
"""What a terminal acts on instead of showing it."""
SECRET = "hunter2secret"
_TOPICS = Topics("dev")
_VERBS = ("info", "health", "dance")


@dataclass(frozen=True)
class Target:
    """One place, with sound inputs for it."""

    run: Callable[[bytes, Path], None]
    """Given an input, and a folder that it may write to."""
    seeds: Callable[[], list[bytes]]
    kind: str
    """How inputs are made of the seeds: bytes, text or json."""
    share: float
    """Of all inputs."""


# Requests -------------------------------------------------------------------------------------------------------------


class _Answering:
    """A device that answers requests, on its own thread as in the daemon."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, bytes]] = []
        self._came = threading.Event()
        handlers: dict[str, Handler] = {"info": lambda _: {}, "health": lambda asked: {"asked": len(asked)}}
        self.requests = Requests(_TOPICS, handlers, self._answer)
        self.requests.start()

    def _answer(self, topic: str, response: Response, correlation: bytes | None) -> None:
        self.answers.append((topic, response.encoded()))
        self._came.set()

    def ask(self, incoming: Incoming) -> tuple[str, bytes]:
        """The one answer to a request."""
        self.answers.clear()
        self._came.clear()
        self.requests.accept(incoming)
        assert self._came.wait(10), "no answer"
        assert self.requests.alive, "its thread has ended"
        (answer,) = self.answers
        return answer


_answering = cache(_Answering)


def _request(data: bytes, _folder: Path) -> None:
    """Each is answered once, in valid JSON of bounded size, on a topic of the device's responses."""
    verb = _VERBS[len(data) % 3]
    elsewhere = data[:40].decode("utf-8", "replace") if len(data) % 5 == 0 else None
    topic, answer = _answering().ask(Incoming(f"edge/dev/request/{verb}", data, False, elsewhere))
    message = json.loads(answer)
    assert message["status"] in ("ok", "error")
    assert topic.startswith("edge/dev/response/"), topic
    assert not set(topic) & set("+#\0"), topic
    assert len(answer) < 4096, len(answer)


def _request_seeds() -> list[bytes]:
    bodies = [
        {},
        {"transaction": "1"},
        {"transaction": 7, "camera": "attic"},
        {"transaction": None, "a": [{"b": 2}]},
    ]
    return [json.dumps(body).encode() for body in bodies]


# What a subscriber reads ----------------------------------------------------------------------------------------------


@cache
def _published() -> dict[str, bytes]:
    """One of each message."""
    model = CameraModel("perspective", hfov_rad=1.2, camera_height_m=1.5)
    frame = Frame("living", 42, 1767225600.25, time.monotonic(), np.full((4, 6, 3), 90, np.uint8), model)
    source = compose.Source("dev", "depth", "0123456789abcdef" * 4)
    depth = DepthMap(np.linspace(1.0, 4.0, 300, dtype=np.float32).reshape(15, 20), "z", "metric")
    columns = 32
    layout = RoomLayout(
        ceiling_rad=np.full(columns, 0.4, np.float32),
        floor_rad=np.full(columns, -0.5, np.float32),
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
    lighting = Lighting(np.ones((9, 3), np.float32), CONVENTION, (0.8, 0.7, 0.6), (0.866, 0.0, 0.5), 0.4)
    at = "2026-01-31T12:00:00.000000Z"
    event = BridgeEvent(device="dev", at=at, type="camera_error", camera="living", message="it broke", data={"n": 1})
    return {
        "edge/dev/bridge/state": BridgeState(state="online").encoded(),
        "edge/dev/bridge/event": event.encoded(),
        "edge/dev/living/state": CameraState(device="dev", camera="living", state="online", since=at).encoded(),
        "edge/dev/living/depth": compose.depth_message(frame, depth, source, 0.1).encoded(),
        "edge/dev/living/layout": compose.layout_message(frame, layout, source, 0.2).encoded(),
        "edge/dev/living/lighting": compose.lighting_message(frame, lighting, source, 0.1).encoded(),
        "edge/dev/response/info": Response(status="ok", data={"device": "dev"}).encoded(),
        "edge/dev/living/depth/image": compose.depth_picture(frame, depth, source).data,
        "edge/dev/request/info": b"{}",
    }


_console = Console(file=io.StringIO(), width=120, color_system=None)


def _message(data: bytes, _folder: Path) -> None:
    """Checked, kept, and shown as a row, a sentence and a line of JSON without an exception."""
    topics = list(_published())
    seen = WatchState()
    for topic in (topics[len(data) % len(topics)], topics[sum(data[:64]) % len(topics)]):
        received = validated(Incoming(topic, data, len(data) % 2 == 0))
        seen.add(received, 1.0)
        line = json_line(received)
        json.loads(line)
        assert not set(line) & _ACTED_ON, line
        assert text_line(received).isprintable(), text_line(received)
    if len(data) % 16 == 0:
        _console.print(table(seen, 2.0))
        assert isinstance(_console.file, io.StringIO)
        assert not set(_console.file.getvalue()) & _ACTED_ON
        _console.file.seek(0)
        _console.file.truncate()
    twin = Twin(_TOPICS, "run")
    twin.heard(Incoming("edge/dev/bridge/info", data, False))
    twin.heard(Incoming("edge/dev/bridge/state", data, False))


def _message_seeds() -> list[bytes]:
    return [payload for payload in _published().values() if payload.startswith(b"{")]


def _topic(data: bytes, _folder: Path) -> None:
    """A topic names something of ours and is spelled so, or nothing."""
    text = data.decode("utf-8", "replace")
    address = parse(text)
    if address is not None and text.isprintable() and not set(text) & set("+#"):
        assert Topics(address.device).of(address.kind, camera=address.camera, verb=address.verb) == text


def _topic_seeds() -> list[bytes]:
    return [topic.encode() for topic in _published()]


# Files ----------------------------------------------------------------------------------------------------------------


def _configuration(data: bytes, folder: Path) -> None:
    """A configuration, or a message that ends in a remedy and repeats no password."""
    path = folder / "config.yaml"
    path.write_bytes(data)
    try:
        assert isinstance(load_config(path), Config)
    except ConfigError as error:
        assert str(error), "no words"
        assert len(str(error)) < 100_000, len(str(error))


def _configuration_seeds() -> list[bytes]:
    engines = {"engines": str(REPOSITORY / "engines")}
    rtsp = {"type": "rtsp", "url": f"rtsp://user:{SECRET}@10.0.0.9/live"}
    many = [{**PANORAMA, "tasks": ["layout"]}, {**PERSPECTIVE, "source": rtsp}]
    broker = {"host": "b", "port": 8883, "username": "u", "password": SECRET, "tls": {}}
    tasks = {"depth": {"every_s": 0.5}, "layout": {"every_frames": 3, "fit": "general"}}
    configurations = [
        {"device": {"name": "dev"}, "cameras": [PANORAMA], "inference": engines},
        {"device": {"name": "dev"}, "cameras": many, "inference": engines, "mqtt": broker, "tasks": tasks},
    ]
    return [yaml.safe_dump(one, sort_keys=False).encode() for one in configurations]


def _manifest(data: bytes, folder: Path) -> None:
    """A manifest, or an error that names the file."""
    path = folder / "manifest.json"
    path.write_bytes(data)
    try:
        read_manifest_file(path)
    except ManifestError as error:
        assert str(path) in str(error)


def _manifest_seeds() -> list[bytes]:
    return [(REPOSITORY / "engines" / noun / "manifest.json").read_bytes() for noun in ("layout", "lighting")]


def _onnx(data: bytes, folder: Path) -> None:
    """Whole in itself, or refused."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ManifestError):
        check_whole(path)


@cache
def _small_model() -> bytes:
    """A network of two operators."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 3, 8, 16]
    weights = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["y"]), helper.make_node("Relu", ["y"], ["depth"])],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, 8, 16])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _onnx_seeds() -> list[bytes]:
    return [_small_model()]


@cache
def _served_manifest() -> object:
    return read_manifest_file(REPOSITORY / "engines" / "depth" / "manifest.json")


def _network(data: bytes, folder: Path) -> None:
    """Loaded by ONNX Runtime and as its manifest says, or refused by an error of ours; the process goes on."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    with contextlib.suppress(EngineError):
        OrtBackend(path, _served_manifest(), threads=1).close()  # type: ignore[arg-type]


# Pictures -------------------------------------------------------------------------------------------------------------


def _picture(data: bytes, _folder: Path) -> None:
    """A picture of three channels and 8 bits, no larger than may be declared, or refused."""
    jpeg.walk(data)
    with contextlib.suppress(ImageError):
        image = decoded(data)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert min(image.shape[:2]) >= 16
        assert image.shape[0] * image.shape[1] <= largest.most_pixels()


def _picture_seeds() -> list[bytes]:
    picture = cv2.imread(str(next((DEMO / "perspective").glob("*.jpg"))))
    assert picture is not None
    small = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA)
    grey16 = (small[..., 0].astype(np.uint16)) << 6
    jpegs = [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]]
    coded = [cv2.imencode(".jpg", small, how)[1].tobytes() for how in jpegs]
    others = [cv2.imencode(ending, small)[1].tobytes() for ending in (".png", ".webp", ".tif", ".bmp", ".gif", ".jp2")]
    return [*coded, *others, cv2.imencode(".png", grey16)[1].tobytes()]


# Addresses ------------------------------------------------------------------------------------------------------------


def _address(data: bytes, _folder: Path) -> None:
    """What is shown of an address has no part of the password that was put before its host."""
    text = data.decode("utf-8", "replace")
    without_addresses(text)
    shown(text)
    with contextlib.suppress(AmbiguousAddressError):
        quoted(text)
    user = "".join(c for c in text if c.isprintable() and c not in " /?#@\\[]%")[:30]
    assert SECRET not in shown(f"rtsp://{user}:{SECRET}@10.0.0.9:554/{text}")


def _address_seeds() -> list[bytes]:
    addresses = (
        *("rtsp://user:pass@10.0.0.9/live", "http://[::1]:80/a?b=c#d", "rtsps://u:p%40@cam.local:322/x/y"),
        *("http://a:b@c@d/e", "RTSP:///x", "rtsp://h/user=admin&password=x", "ftp:/x"),
    )
    return [address.encode() for address in addresses]


TARGETS: dict[str, Target] = {
    "requests": Target(_request, _request_seeds, "json", 0.25),
    "messages": Target(_message, _message_seeds, "json", 0.15),
    "topics": Target(_topic, _topic_seeds, "bytes", 0.1),
    "configurations": Target(_configuration, _configuration_seeds, "text", 0.03),
    "manifests": Target(_manifest, _manifest_seeds, "json", 0.1),
    "onnx files": Target(_onnx, _onnx_seeds, "bytes", 0.12),
    "networks": Target(_network, _onnx_seeds, "bytes", 0.01),
    "pictures": Target(_picture, _picture_seeds, "bytes", 0.14),
    "addresses": Target(_address, _address_seeds, "bytes", 0.1),
}


def inputs_of(name: str, seed: int) -> Iterator[bytes]:
    """Inputs for a target without end; the same for the same seed."""
    import random

    from tests.fuzz.mutation import mutated

    target, chance = TARGETS[name], random.Random(f"{name} {seed}")
    seeds = target.seeds()
    while True:
        yield mutated(seeds, chance, target.kind)
