"""What a subscriber sees: a real subscription, checked against the schemas, as a live table, as lines or as JSON."""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.errors import PublishError
from edge.mqtt.link import Endpoint, Incoming, Link
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
from edge.mqtt.topics import CHANNELS, GLB, PNG, Address, everything, parse

_log = logging.getLogger(__name__)

View = Literal["table", "lines", "json"]

RATE_WINDOW_S = 10.0
_WAITING = 1000
_REFRESH_S = 0.25
_RETRY_S = 2.0
_EVENTS_SHOWN = 3
_SIGNATURES = {PNG: b"\x89PNG\r\n\x1a\n", GLB: b"glTF"}
_STATE_STYLES = {"online": "green", "stalled": "yellow", "frozen": "yellow", "offline": "red"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that arrived, with what it turned out to be. `error` says why it is not what its schema says."""

    topic: str
    payload: bytes
    address: Address | None
    message: Message | Request | None
    error: str | None = None
    retained: bool = False


def read(incoming: Incoming, base: str = "edge") -> Seen:
    """Check a message against the schema of its topic; topics that are not ours are passed through unread."""
    address = parse(incoming.topic, base)
    message: Message | Request | None = None
    error: str | None = None
    model = MESSAGES.get(address.kind) if address is not None else None
    if model is not None:
        try:
            message = model.model_validate_json(incoming.payload or b"{}")
        except ValidationError as problem:
            first = problem.errors()[0]
            error = f"{'.'.join(str(p) for p in first['loc']) or 'payload'}: {first['msg']}"
    elif address is not None:
        content_type = CHANNELS[address.kind].content_type
        if not incoming.payload.startswith(_SIGNATURES[content_type]):
            error = f"payload: not {content_type}"
    return Seen(incoming.topic, incoming.payload, address, message, error, incoming.retained)


def summary(message: Message | Request | None) -> str:
    """The values of a message that matter to a person, in one short line."""
    if isinstance(message, DepthMessage):
        return _depth_summary(message)
    if isinstance(message, LayoutMessage):
        return _layout_summary(message)
    if isinstance(message, LightingMessage):
        d = message.dominant
        side = "right" if d.azimuth_deg >= 0 else "left"
        height = "up" if d.elevation_deg >= 0 else "down"
        return (
            f"ambient {message.ambient.level:.2f}, light from {abs(d.azimuth_deg):.0f}° {side}, "
            f"{abs(d.elevation_deg):.0f}° {height}, strength {d.strength:.2f}"
        )
    if isinstance(message, CameraState):
        return message.state + (f" ({message.error})" if message.error else "")
    if isinstance(message, BridgeState):
        return message.state
    if isinstance(message, BridgeEvent):
        return f"{message.type}: {message.message}"
    return ""


def _depth_summary(message: DepthMessage) -> str:
    kind = "range" if message.kind == "range" else "depth"
    if message.metric is not None:
        m = message.metric
        return f"median {kind} {m.median_m:.2f} m ({m.p05_m:.2f} to {m.p95_m:.2f} m), metric"
    if message.relative is not None:
        r = message.relative
        return f"median {kind} {r.median:.2f} ({r.p05:.2f} to {r.p95:.2f}), relative"
    return f"no valid {kind}"


def _layout_summary(message: LayoutMessage) -> str:
    how = f"{message.corners} corners, {message.fit} fit, {message.extent}"
    if message.metric is not None:
        m = message.metric
        return f"area {m.area_m2:.1f} m², height {m.ceiling_height_m:.2f} m, {how}"
    if message.relative is not None:
        r = message.relative
        return f"area {r.area:.2f}, height {r.ceiling_height:.2f} (in camera heights), {how}"
    return how


@dataclass(slots=True)
class Row:
    """What is known of one task of one camera."""

    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
    latency_ms: float | None = None
    text: str = ""
    degraded: bool = False

    def rate_hz(self, now_s: float) -> float:
        """Arrivals per second over the last ten seconds, or over the time since the first if that is shorter."""
        recent = [t for t in tuple(self.arrivals_s) if now_s - t <= RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0
        span_s = recent[-1] - recent[0]
        return (len(recent) - 1) / span_s if span_s > 0 else 0.0


@dataclass(slots=True)
class WatchState:
    """All that the live table shows; one thread feeds it with `add`, others may show it meanwhile."""

    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    """By device, camera and task."""
    cameras: dict[tuple[str, str], str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_EVENTS_SHOWN))
    received: int = 0
    invalid: int = 0
    last_invalid: str | None = None
    connection_error: str | None = None
    ever_connected: bool = False

    def add(self, seen: Seen, now_s: float) -> None:
        """Take in one message that arrived at `now_s` (monotonic)."""
        self.received += 1
        address = seen.address
        if seen.error is not None:
            self.invalid += 1
            self.last_invalid = f"{seen.topic}: {seen.error}"
        if address is None or seen.error is not None:
            return
        message, camera = seen.message, address.camera or ""
        if isinstance(message, CameraState):
            self.cameras[address.device, camera] = message.state
        elif isinstance(message, BridgeState):
            self.devices[address.device] = message.state
        elif isinstance(message, BridgeEvent):
            self.events.append(f"{message.at} {summary(message)}")
        elif isinstance(message, DepthMessage | LayoutMessage | LightingMessage):
            row = self.rows.setdefault((address.device, camera, address.kind), Row())
            row.latency_ms, row.text, row.degraded = message.latency_ms, summary(message), bool(message.degraded)
            if not seen.retained:
                row.arrivals_s.append(now_s)


def table(state: WatchState, now_s: float | None = None) -> Table:
    """The live table: one row per camera and task, then what is wrong."""
    now_s = time.monotonic() if now_s is None else now_s
    view = Table(
        title=_title(state), title_justify="left", caption=_caption(state), caption_justify="left", expand=False
    )
    for heading, justify in (("camera", "left"), ("state", "left"), ("task", "left"), ("Hz", "right"), ("ms", "right")):
        view.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    view.add_column("what a subscriber reads", overflow="fold")
    rows = dict(sorted(state.rows.items()))  # a copy: the watcher's thread goes on filling the original
    cameras = dict(sorted(state.cameras.items()))
    several = len({key[0] for key in (*rows, *cameras)}) > 1
    previous: tuple[str, str] | None = None
    for (device, camera, task), row in rows.items():
        first = (device, camera) != previous
        previous = (device, camera)
        name = f"{device}/{camera}" if several else camera
        condition = cameras.get((device, camera), "")
        view.add_row(
            name if first else "",
            Text(condition if first else "", style=_STATE_STYLES.get(condition, "")),
            task,
            f"{row.rate_hz(now_s):.2f}",
            "" if row.latency_ms is None else f"{row.latency_ms:.0f}",
            Text(row.text + (" [degraded]" if row.degraded else ""), style="yellow" if row.degraded else ""),
        )
    for (device, camera), condition in cameras.items():
        if not any(key[:2] == (device, camera) for key in rows):
            name = f"{device}/{camera}" if several else camera
            view.add_row(name, Text(condition, style=_STATE_STYLES.get(condition, "")), "", "", "", "nothing yet")
    return view


def _title(state: WatchState) -> Text:
    title = Text()
    for device, condition in sorted(state.devices.items()):
        title.append(f"{device} ").append(condition, style=_STATE_STYLES[condition]).append("  ")
    return title if state.devices else Text("waiting for a device")


def _caption(state: WatchState) -> Text:
    caption = Text(f"{state.received} messages", style="dim")
    if state.invalid:
        caption.append(f"\n{state.invalid} not as their schema says, last {state.last_invalid}", style="red")
    if state.connection_error:
        caption.append(f"\n{state.connection_error}", style="red")
    for event in tuple(state.events):
        caption.append(f"\n{event}")
    return caption


def json_line(seen: Seen) -> str:
    """One message as one line of JSON; a picture is told by its size, and text that is no JSON is passed as text."""
    try:
        body: dict[str, object] = {"payload": json.loads(seen.payload)}
    except ValueError:
        body = {"bytes": len(seen.payload)}
    if seen.error is not None:
        body["error"] = seen.error
    return json.dumps({"topic": seen.topic, **body}, separators=(",", ":"), ensure_ascii=False)


def text_line(seen: Seen) -> str:
    """One message as one line for a log: topic, latency, values."""
    if seen.error is not None:
        return f"{seen.topic}  INVALID {seen.error}"
    message = seen.message
    latency = (
        f"  {message.latency_ms:.0f} ms" if isinstance(message, DepthMessage | LayoutMessage | LightingMessage) else ""
    )
    text = summary(message) or f"{len(seen.payload)} bytes"
    return f"{seen.topic}{latency}  {text}"


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
        on_message: Callable[[Seen], None] | None = None,
    ) -> None:
        self.state = WatchState()
        self.missed = 0
        """Messages thrown away because they were not read fast enough."""
        self._base, self._on_message = base, on_message
        subscription = f"{base}/{device}/#" if device else everything(base)
        self._arrived: queue.Queue[Incoming] = queue.Queue(_WAITING)
        self._stopping, self._lost = threading.Event(), threading.Event()
        self._ready = threading.Event()
        self._link = Link(
            endpoint,
            f"edge-watch-{uuid.uuid4().hex[:12]}",
            subscriptions=(subscription,),
            on_message=self._accept,
            on_change=self._lost.set,
        )
        self._thread = threading.Thread(target=self._read, name="edge-watch", daemon=True)
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
        while not self._stopping.is_set():
            self._lost.clear()
            try:
                self._link.open()
            except PublishError as error:
                self.state.connection_error = str(error)
                self._stopping.wait(_RETRY_S * random.uniform(0.5, 1.0))
                continue
            self.state.connection_error, self.state.ever_connected = None, True
            self._ready.set()
            while self._link.up and not self._stopping.is_set():
                self._lost.wait(1.0)
            self._ready.clear()
            self.state.connection_error = self._link.loss
        self._link.close()

    def _read(self) -> None:
        while not self._stopping.is_set():
            try:
                incoming = self._arrived.get(timeout=0.1)
            except queue.Empty:
                continue
            seen = read(incoming, self._base)
            self.state.add(seen, time.monotonic())
            if self._on_message is not None:
                self._on_message(seen)


def show(
    endpoint: Endpoint,
    console: Console,
    *,
    base: str = "edge",
    device: str | None = None,
    view: View = "table",
    for_s: float | None = None,
    stop: threading.Event | None = None,
) -> WatchState:
    """Show what a subscriber gets until `stop` is set, `for_s` seconds are over or the reader of our output is gone."""
    stop = stop or threading.Event()
    lines: queue.Queue[Seen] = queue.Queue(_WAITING)

    def offer(seen: Seen) -> None:
        if view != "table" and not lines.full():
            lines.put_nowait(seen)

    watcher = Watcher(endpoint, base=base, device=device, on_message=offer)
    watcher.start()
    end_s = None if for_s is None else time.monotonic() + for_s
    try:
        if view == "table":
            _show_table(watcher.state, console, stop, end_s)
        else:
            _show_lines(lines, watcher.state, console, stop, end_s, json_line if view == "json" else text_line)
    except BrokenPipeError:
        stop.set()
    finally:
        watcher.stop()
    return watcher.state


def _over(stop: threading.Event, end_s: float | None) -> bool:
    return stop.is_set() or (end_s is not None and time.monotonic() >= end_s)


def _show_table(state: WatchState, console: Console, stop: threading.Event, end_s: float | None) -> None:
    with Live(table(state), console=console, auto_refresh=False, transient=False) as live:
        while not _over(stop, end_s):
            live.update(table(state), refresh=True)
            stop.wait(_REFRESH_S)
        live.update(table(state), refresh=True)


def _show_lines(
    lines: queue.Queue[Seen],
    state: WatchState,
    console: Console,
    stop: threading.Event,
    end_s: float | None,
    written: Callable[[Seen], str],
) -> None:
    said: str | None = None
    while not _over(stop, end_s):
        if state.connection_error not in (None, said):
            said = state.connection_error
            _log.warning("%s", said)
        try:
            seen = lines.get(timeout=0.1)
        except queue.Empty:
            continue
        console.file.write(written(seen) + "\n")
        console.file.flush()
