"""Whatever a vendor's library raises reaches the caller as one of ours, with what to do and with the vendor's as cause.

The classes are read from the libraries, so that one which a new version brings is tried too.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnxruntime
import paho.mqtt
import paho.mqtt.client
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state

from edge.cameras.base import CsiSpec, ReplaySpec, RtspSpec, Source, V4l2Spec
from edge.cameras.csi import CsiSource
from edge.cameras.replay import ReplaySource
from edge.cameras.rtsp import RtspSource
from edge.cameras.v4l2 import V4l2Source
from edge.errors import CameraError, EdgeError, EngineError, PublishError
from edge.inference.manifest import read_manifest
from edge.inference.ort import OrtBackend
from edge.mqtt.endpoint import Endpoint, TlsOptions
from edge.mqtt.link import Link, Metadata
from tests.edge.inference.conftest import SIZE, model_folder

__all__ = ["model_folder"]

Kind = type[Exception]
SAID = "the vendor's own words"


def raised_by(module: ModuleType) -> set[Kind]:
    """Exceptions that a module has under any name."""
    classes = (found for _, found in inspect.getmembers(module, inspect.isclass))
    return {found for found in classes if issubclass(found, Exception)}


def subclasses(kind: Kind) -> Iterator[Kind]:
    """A class and all that derive from it in the same library."""
    yield kind
    for other in kind.__subclasses__():
        if other.__module__ == kind.__module__:
            yield from subclasses(other)


def paho_kinds() -> list[Kind]:
    """All of paho's, and what it lets through of the system's: of sockets, names and TLS, and of wrong values."""
    names = [m.name for m in pkgutil.walk_packages(paho.mqtt.__path__, "paho.mqtt.")]
    own = {kind for name in names for kind in raised_by(importlib.import_module(name))}
    of_system = {*subclasses(OSError), *raised_by(ssl), socket.gaierror, socket.herror, TimeoutError}
    of_system = {kind for kind in of_system if issubclass(kind, OSError)}
    assert {"MQTTException", "WebsocketConnectionError"} <= {kind.__name__ for kind in own}
    return ordered({*own, *of_system, ValueError, UnicodeError})


def ordered(kinds: set[Kind]) -> list[Kind]:
    """By name, for tests that run in the same order everywhere."""
    return sorted(kinds, key=lambda kind: (kind.__module__, kind.__name__))


PAHO = paho_kinds()
OPENCV = ordered(raised_by(cv2))
ONNXRUNTIME = ordered(raised_by(onnxruntime_pybind11_state)) + [RuntimeError]


def raising(kind: Kind) -> Callable[..., Any]:
    """A call of the vendor's that fails."""

    def fail(*_: Any, **__: Any) -> Any:
        raise kind(SAID)

    return fail


def check(error: EdgeError, kind: Kind) -> None:
    """It has the vendor's as its cause, and ends in something to do that is not the vendor's."""
    assert type(error.__cause__) is kind
    remedy = re.split(r"[;.:)] ", str(error))[-1]
    assert len(remedy.split()) > 1, f"no remedy in {error}"
    assert SAID not in remedy


@pytest.mark.parametrize("kind", PAHO)
@pytest.mark.parametrize("call", ["connect", "tls_set"])
def test_paho_when_opening(monkeypatch: pytest.MonkeyPatch, kind: Kind, call: str) -> None:
    """A connection that fails in any way is a PublishError."""
    monkeypatch.setattr(paho.mqtt.client.Client, call, raising(kind))
    link = Link(Endpoint("broker.invalid", tls=TlsOptions()), "edge")
    with pytest.raises(PublishError) as caught:
        link.open()
    check(caught.value, kind)


@pytest.mark.parametrize("kind", PAHO)
def test_paho_when_sending(monkeypatch: pytest.MonkeyPatch, mosquitto: Any, kind: Kind) -> None:
    """A message that cannot be sent for any reason is a PublishError; the connection can be closed after it."""
    link = Link(Endpoint("127.0.0.1", mosquitto().port), "edge")
    link.open()
    monkeypatch.setattr(paho.mqtt.client.Client, "publish", raising(kind))
    try:
        with pytest.raises(PublishError) as caught:
            link.send("edge/dev/a", b"1", qos=1, retain=False, metadata=Metadata("application/json"))
        check(caught.value, kind)
    finally:
        link.close()


@pytest.mark.parametrize(
    "metadata", [Metadata(expiry_s=-1), Metadata(expiry_s=2**32), Metadata(user={"note": "a" * 70_000})]
)
def test_metadata_that_mqtt_cannot_carry(mosquitto: Any, metadata: Metadata) -> None:
    """A number or a text beyond what a packet holds is a PublishError too, by paho itself."""
    link = Link(Endpoint("127.0.0.1", mosquitto().port), "edge")
    link.open()
    try:
        with pytest.raises(PublishError) as caught:
            link.send("edge/dev/a", b"1", qos=1, retain=False, metadata=metadata)
        assert caught.value.__cause__ is not None
    finally:
        link.close()


LIVE = ("VideoCapture", "isOpened", "grab", "retrieve")
SOURCES: dict[str, tuple[Callable[[Path], Source], tuple[str, ...]]] = {
    "rtsp": (lambda _: RtspSource(RtspSpec("rtsp://127.0.0.1/a")), LIVE),
    "csi": (lambda _: CsiSource(CsiSpec()), LIVE),
    "v4l2": (lambda _: V4l2Source(V4l2Spec("/dev/null", 640, 480)), (*LIVE, "set", "get")),
    "replay": (lambda file: ReplaySource(ReplaySpec(file)), ("VideoCapture", "open", "get", "grab", "retrieve")),
}
"""Each kind of source, and which of OpenCV's calls it makes."""


class Capture:
    """A VideoCapture that fails in one of its calls."""

    def __init__(self, failing: str, kind: Kind) -> None:
        self._failing, self._kind = failing, kind

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name == self._failing:
            return raising(self._kind)
        return lambda *_: (True, np.zeros((48, 64, 3), np.uint8)) if name == "retrieve" else 1


@pytest.mark.parametrize("kind", OPENCV)
@pytest.mark.parametrize(("name", "failing"), [(name, call) for name, (_, calls) in SOURCES.items() for call in calls])
def test_opencv_in_a_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: Kind, name: str, failing: str
) -> None:
    """Whichever call on a camera or file fails, opening or reading it is a CameraError."""
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"0" * 100)
    source = SOURCES[name][0](file)
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "GStreamer: YES")
    capture = raising(kind) if failing == "VideoCapture" else lambda *_: Capture(failing, kind)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    with pytest.raises(CameraError) as caught:
        source.open()
        source.read()
    check(caught.value, kind)
    source.close()


@pytest.mark.parametrize("kind", OPENCV)
def test_opencv_when_a_picture_is_converted(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """A picture that OpenCV cannot turn into RGB costs the source, with a message that says which."""
    source = RtspSource(RtspSpec("rtsp://127.0.0.1/a"))
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Capture("", kind))
    source.open()
    monkeypatch.setattr(cv2, "cvtColor", raising(kind))
    with pytest.raises(CameraError, match="rtsp://") as caught:
        source.read()
    check(caught.value, kind)


@pytest.mark.parametrize("kind", ONNXRUNTIME)
def test_onnxruntime_when_loading(
    monkeypatch: pytest.MonkeyPatch, model_folder: Callable[..., Path], kind: Kind
) -> None:
    """A model that cannot be loaded for any reason is an EngineError that names the file."""
    folder = model_folder()
    monkeypatch.setattr(onnxruntime, "InferenceSession", raising(kind))
    with pytest.raises(EngineError, match="model.onnx") as caught:
        OrtBackend(folder / "model.onnx", read_manifest(folder))
    check(caught.value, kind)


@pytest.mark.parametrize("kind", ONNXRUNTIME)
def test_onnxruntime_when_running(
    monkeypatch: pytest.MonkeyPatch, model_folder: Callable[..., Path], kind: Kind
) -> None:
    """An inference that fails in any way is an EngineError that names the file."""
    folder = model_folder()
    with OrtBackend(folder / "model.onnx", read_manifest(folder)) as backend:
        monkeypatch.setattr(onnxruntime.InferenceSession, "run", raising(kind))
        with pytest.raises(EngineError, match="model.onnx") as caught:
            backend.run(np.zeros((1, 3, SIZE[1], SIZE[0]), np.float32))
    check(caught.value, kind)
