"""What a watcher received, for people and programs: a live table, one line a message, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.derive.heat_loss.assumptions import two_digits
from edge.errors import plain
from edge.mqtt.endpoint import Endpoint
from edge.mqtt.heat_loss_message import HeatLossMessage
from edge.mqtt.messages import (
    BridgeEvent,
    BridgeState,
    CameraState,
    DepthMessage,
    LayoutMessage,
    LightingMessage,
    Message,
    Request,
)
from edge.mqtt.topics import CHANNELS, JSON
from edge.subscribe.watcher import WAITING, Received, Watcher, WatchState

_log = logging.getLogger(__name__)

View = Literal["table", "lines", "json"]

_REFRESH_S = 0.25
_ACTED_ON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_STATE_STYLES = {"online": "green", "stalled": "yellow", "frozen": "yellow", "offline": "red"}


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
    if isinstance(message, HeatLossMessage):
        total = message.total_w
        p05, p50, p95 = map(two_digits, (total.p05, total.p50, total.p95))
        return f"heat loss {p50} W ({p05} to {p95} W), {message.method}"
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
        name = plain(f"{device}/{camera}" if several else camera)
        condition = cameras.get((device, camera), "")
        degraded = bool(row.last.degraded)
        view.add_row(
            Text(name if first else ""),
            Text(condition if first else "", style=_STATE_STYLES.get(condition, "")),
            task,
            f"{row.rate_hz(now_s):.2f}",
            f"{row.last.latency_ms:.0f}",
            Text(plain(summary(row.last)) + (" [degraded]" if degraded else ""), style="yellow" if degraded else ""),
        )
    for (device, camera), condition in cameras.items():
        if not any(key[:2] == (device, camera) for key in rows):
            name = plain(f"{device}/{camera}" if several else camera)
            view.add_row(Text(name), Text(condition, style=_STATE_STYLES.get(condition, "")), "", "", "", "nothing yet")
    return view


def _title(state: WatchState) -> Text:
    title = Text()
    for device, condition in sorted(state.devices.items()):
        title.append(f"{plain(device)} ").append(condition, style=_STATE_STYLES[condition]).append("  ")
    return title if state.devices else Text("waiting for a device")


def _caption(state: WatchState) -> Text:
    caption = Text(f"{state.received} messages", style="dim")
    if state.invalid:
        caption.append(
            f"\n{state.invalid} not as their schema says, last {plain(str(state.last_invalid))}", style="red"
        )
    if state.connection_error:
        caption.append(f"\n{plain(state.connection_error)}", style="red")
    for event in tuple(state.events):
        caption.append(f"\n{event.at} {plain(summary(event))}")
    return caption


def json_line(received: Received) -> str:
    """One message as one line of JSON; a picture is told by its size, and text that is no JSON is passed as text."""
    try:
        return _json(received, payload=json.loads(received.payload, parse_constant=_no_json))
    except (ValueError, RecursionError):  # not JSON, or nested deeper than Python goes
        if _is_binary(received):
            return _json(received, bytes=len(received.payload))
        return _json(received, text=received.payload.decode("utf-8", "replace"))


def _json(received: Received, **body: object) -> str:
    if received.error is not None:
        body["error"] = received.error
    text = json.dumps({"topic": received.topic, **body}, separators=(",", ":"), ensure_ascii=False)
    # what JSON leaves as it is and a terminal acts on; a lone surrogate as JSON writes it, \\ud800
    return _ACTED_ON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _is_binary(received: Received) -> bool:
    if received.address is not None:
        return CHANNELS[received.address.kind].content_type != JSON
    return b"\0" in received.payload


def text_line(received: Received) -> str:
    """One message as one line for a log: topic, latency, values."""
    if received.error is not None:
        return plain(f"{received.topic}  INVALID {received.error}")
    message = received.message
    latency = (
        f"  {message.latency_ms:.0f} ms" if isinstance(message, DepthMessage | LayoutMessage | LightingMessage) else ""
    )
    text = summary(message) or f"{len(received.payload)} bytes"
    return plain(f"{received.topic}{latency}  {text}")


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
    lines: queue.Queue[Received] = queue.Queue(WAITING)

    def offer(received: Received) -> None:
        if view != "table" and not lines.full():
            lines.put_nowait(received)

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
    lines: queue.Queue[Received],
    state: WatchState,
    console: Console,
    stop: threading.Event,
    end_s: float | None,
    written: Callable[[Received], str],
) -> None:
    reported: str | None = None
    while not _over(stop, end_s):
        if state.connection_error not in (None, reported):
            reported = state.connection_error
            _log.warning("%s", reported)
        try:
            received = lines.get(timeout=0.1)
        except queue.Empty:
            continue
        console.file.write(written(received) + "\n")
        console.file.flush()
