"""A subscriber: receives what devices publish, checks it against the schemas and keeps what it says of each camera."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from edge.errors import PublishError, explain
from edge.mqtt.endpoint import RETRY_S, STEADY_S, Endpoint
from edge.mqtt.link import Incoming, Link
from edge.mqtt.messages import (
    MESSAGES,
    BridgeEvent,
    BridgeState,
    CameraState,
    DepthMessage,
    LayoutMessage,
    LightingMessage,
    Message,
    Request,
)
from edge.mqtt.topics import CHANNELS, GLB, JPEG, PNG, Address, everything, homes, parse
from edge.processes import backoff

Result = DepthMessage | LayoutMessage | LightingMessage

RATE_WINDOW_S = 10.0
WAITING = 1000
"""Messages kept for who reads them; the oldest are thrown away first."""
_EVENTS_KEPT = 3
_SIGNATURES = {PNG: b"\x89PNG\r\n\x1a\n", JPEG: b"\xff\xd8\xff", GLB: b"glTF"}


@dataclass(frozen=True, slots=True)
class Received:
    """A message that arrived, checked. `error` says why it is not what its schema says."""

    topic: str
    payload: bytes
    address: Address | None
    message: Message | Request | None
    error: str | None = None
    retained: bool = False


def validated(incoming: Incoming, base: str = "edge") -> Received:
    """Check a message against the schema of its topic; topics that are not ours are passed through unread."""
    address = parse(incoming.topic, base)
    message: Message | Request | None = None
    error: str | None = None
    model = MESSAGES.get(address.kind) if address is not None else None
    if model is not None:
        try:
            message = model.model_validate_json(incoming.payload or b"{}")
        except ValidationError as problem:
            error = explain(problem, "payload")[0]
    elif address is not None:
        content_type = CHANNELS[address.kind].content_type
        if not incoming.payload.startswith(_SIGNATURES[content_type]):
            error = f"payload: not {content_type}"
    return Received(incoming.topic, incoming.payload, address, message, error, incoming.retained)


@dataclass(slots=True)
class Row:
    """What is known of one task of one camera: its last result, and when results arrived."""

    last: Result
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=4096))

    def rate_hz(self, now_s: float) -> float:
        """Arrivals per second over the last ten seconds, or over the time since the first if that is shorter."""
        recent = [t for t in tuple(self.arrivals_s) if now_s - t <= RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        span_s = recent[-1] - recent[0]
        return (len(recent) - 1) / span_s if span_s > 0 else 0.0


@dataclass(slots=True)
class WatchState:
    """What devices said last; one thread feeds it with `add`, others may read it meanwhile."""

    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    """By device, camera and task."""
    cameras: dict[tuple[str, str], str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    events: deque[BridgeEvent] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    received: int = 0
    invalid: int = 0
    last_invalid: str | None = None
    connection_error: str | None = None
    ever_connected: bool = False

    def add(self, message: Received, now_s: float) -> None:
        """Take in one message that arrived at `now_s` (monotonic)."""
        self.received += 1
        address, content = message.address, message.message
        if message.error is not None:
            self.invalid += 1
            self.last_invalid = f"{message.topic}: {message.error}"
        if address is None or message.error is not None:
            return
        camera = address.camera or ""
        if isinstance(content, CameraState):
            self.cameras[address.device, camera] = content.state
        elif isinstance(content, BridgeState):
            self.devices[address.device] = content.state
        elif isinstance(content, BridgeEvent):
            self.events.append(content)
        elif isinstance(content, Result):
            row = self.rows.setdefault((address.device, camera, address.kind), Row(content))
            row.last = content
            if not message.retained:
                row.arrivals_s.append(now_s)


class Watcher:
    """Subscribes to every device under a base topic, or to one, and keeps subscribed whatever the broker does.

    `on_message` is called on the watcher's own thread, in the order of arrival.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        base: str = "edge",
        device: str | None = None,
        on_message: Callable[[Received], None] | None = None,
        with_homes: bool = False,
    ) -> None:
        """`with_homes`: also every home, which belongs to no device."""
        self.state = WatchState()
        self.missed = 0
        """Messages thrown away because they were not read fast enough."""
        self._base, self._on_message = base, on_message
        subscriptions = [f"{base}/{device}/#" if device else everything(base)]
        if with_homes and device:
            subscriptions.append(homes(base))
        self._arrived: queue.Queue[Incoming] = queue.Queue(WAITING)
        self._stopping, self._lost = threading.Event(), threading.Event()
        self._ready = threading.Event()
        self._link = Link(
            endpoint,
            f"edge-watch-{uuid.uuid4().hex[:12]}",
            subscriptions=subscriptions,
            on_message=self._accept,
            on_change=self._lost.set,
        )
        self._thread = threading.Thread(target=self._receive, name="edge-watch", daemon=True)
        self._connecting = threading.Thread(target=self._keep_connected, name="edge-watch-connect", daemon=True)

    def start(self) -> None:
        """Begin to connect and to read."""
        self._thread.start()
        self._connecting.start()

    def wait_connected(self, timeout_s: float) -> bool:
        """Whether it is subscribed, waiting up to `timeout_s` for it."""
        return self._ready.wait(timeout_s)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Disconnect and end."""
        self._stopping.set()
        self._lost.set()
        for thread in (self._connecting, self._thread):
            if thread.is_alive():
                thread.join(timeout_s)

    def _accept(self, incoming: Incoming) -> None:
        while True:
            try:
                self._arrived.put_nowait(incoming)
            except queue.Full:
                self._discard_oldest()
            else:
                return

    def _discard_oldest(self) -> None:
        try:
            self._arrived.get_nowait()
        except queue.Empty:
            return
        self.missed += 1

    def _keep_connected(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            failures = 0 if self._connect() >= STEADY_S else failures + 1
            self._stopping.wait(backoff(max(failures - 1, 0), *RETRY_S))
        self._link.close()

    def _connect(self) -> float:
        """Connect once, until the connection is lost or the watcher stops; how long it lasted, s."""
        self._lost.clear()
        try:
            self._link.open()
        except PublishError as error:
            self.state.connection_error = str(error)
            return 0.0
        since_s = time.monotonic()
        self.state.connection_error, self.state.ever_connected = None, True
        self._ready.set()
        while self._link.up and not self._stopping.is_set():
            self._lost.wait(1.0)
        self._ready.clear()
        self.state.connection_error = self._link.loss
        return time.monotonic() - since_s

    def _receive(self) -> None:
        while not self._stopping.is_set():
            try:
                incoming = self._arrived.get(timeout=0.1)
            except queue.Empty:
                continue
            message = validated(incoming, self._base)
            self.state.add(message, time.monotonic())
            if self._on_message is not None:
                self._on_message(message)
