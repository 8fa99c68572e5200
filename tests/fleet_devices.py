"""Many simulated devices on one broker, in one process and one thread, speaking the real messages.

    python -m tests.fleet_devices --devices 300

starts a Mosquitto and so many devices, runs `edge fleet` and `edge fleet request ping` against them, and prints how
long each took as a user sees it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.commands.mosquitto import Mosquitto
from edge.mqtt.messages import (
    BridgeHealth,
    BridgeInfo,
    BridgeState,
    BrokerHealth,
    EngineInfo,
    Message,
    Request,
    Response,
    timestamp,
)
from edge.mqtt.topics import CHANNELS, Topics
from edge.mqtt.verbs import READ_ONLY, VERBS, Pong

_MISC_S = 1.0


class SimulatedDevice:
    """What a daemon says of itself, and answers to `ping`; it refuses all that it was not asked before by default."""

    def __init__(
        self,
        name: str,
        port: int,
        *,
        version: str,
        degraded: tuple[str, ...],
        silent: bool = False,
        password: str | None = None,
    ) -> None:
        self.topics, self.version, self.degraded, self.silent = Topics(name), version, degraded, silent
        self.said = 0
        self.client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.will_set(self.topics.of("bridge_state"), BridgeState(state="offline").encoded(), 1, retain=True)
        self.client.on_connect, self.client.on_message = self._connected, self._asked
        if password is not None:
            self.client.username_pw_set(name, password)
        self.client.connect("127.0.0.1", port)

    def _connected(self, *_: Any) -> None:
        self.client.subscribe(self.topics.requests, 1)
        self._say("bridge_state", BridgeState(state="online"))
        self._say("bridge_info", self.info())
        self._say("bridge_health", self.health())

    def _say(self, kind: Any, message: Message) -> None:
        self.said += 1
        channel = CHANNELS[kind]
        self.client.publish(self.topics.of(kind), message.encoded(), channel.qos, retain=channel.retain)

    def _asked(self, _client: Any, _data: Any, incoming: paho.MQTTMessage) -> None:
        verb = incoming.topic.removeprefix(self.topics.requests.removesuffix("#"))
        if self.silent:
            return
        transaction = Request.model_validate_json(incoming.payload).transaction
        response = Response(status="error", error=f"{verb} is not allowed", transaction=transaction)
        if verb == "ping":
            pong = Pong(device=self.topics.device, version=self.version, at=timestamp(time.time()), uptime_s=1.0)
            response = Response(status="ok", data=pong.model_dump(mode="json"), transaction=transaction)
        assert verb in READ_ONLY or verb in VERBS
        self.client.publish(self.topics.of("response", verb=verb), response.encoded(), 1)

    def info(self) -> BridgeInfo:
        """Three engines, with as much of where they come from as a real device tells."""
        metrics = [{"name": f"metric {n}", "value": 0.1, "data": "pictures of a hundred rooms"} for n in range(4)]
        engines = tuple(
            EngineInfo(
                task=task, name=task, sha256=f"{n}" * 64, backend="CPUExecutionProvider fp32",
                provenance={"recipe": f"recipes/{task}.yaml", "licence": "Apache-2.0", "metrics": metrics},
            )
            for n, task in enumerate(("depth", "layout", "lighting"))
        )  # fmt: skip
        return BridgeInfo(
            device=self.topics.device, version=self.version, started_at=timestamp(time.time()), run="run", cameras=(),
            tasks=("depth", "layout", "lighting"), engines=engines, config_schema=None,
        )  # fmt: skip

    def health(self) -> BridgeHealth:
        """A minute after its start."""
        counts = dict.fromkeys(BrokerHealth.model_fields.keys() - {"protocol"}, 0)
        return BridgeHealth(
            device=self.topics.device, at=timestamp(datetime.now(timezone.utc).timestamp()), uptime_s=60.0, tasks=(),
            broker=BrokerHealth(protocol="5", **counts), dropped={}, memory_bytes=300_000_000,
            temperature_celsius=51.0, degraded=self.degraded,
        )  # fmt: skip


@contextmanager
def simulated(devices: list[SimulatedDevice]) -> Iterator[None]:
    """They serve in a thread while the block runs, which begins when each has said all there is to say."""
    ending = threading.Event()
    thread = threading.Thread(target=_serve, args=(devices, ending), daemon=True)
    thread.start()
    deadline_s = time.monotonic() + 60
    while any(d.said < 3 or d.client._out_messages for d in devices):
        assert time.monotonic() < deadline_s, "the devices are not up"
        time.sleep(0.02)
    yield
    ending.set()
    thread.join(10)


def _serve(devices: list[SimulatedDevice], ending: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        for device in devices:
            selector.register(device.client.socket(), selectors.EVENT_READ, device)
        looked_s = time.monotonic()
        while not ending.is_set():
            for key, _ in selector.select(0.05):
                key.data.client.loop_read()
            late = time.monotonic() - looked_s >= _MISC_S
            for device in devices:
                if device.client.want_write():
                    device.client.loop_write()
                if late:
                    device.client.loop_misc()
            looked_s = time.monotonic() if late else looked_s
    for device in devices:
        device.client.disconnect()


def some(count: int, port: int) -> list[SimulatedDevice]:
    """Devices of two sites and two versions; every tenth complains."""
    return [
        SimulatedDevice(
            f"{'north' if n % 2 else 'south'}-{n:03d}", port, version="0.2.0" if n % 3 else "0.1.0",
            degraded=() if n % 10 else ("camera hall is offline: no route to host",),
        )
        for n in range(count)
    ]  # fmt: skip


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description="How long `edge fleet` takes with many devices.")
    parser.add_argument("--devices", type=int, default=300)
    count = parser.parse_args().devices
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        broker = Mosquitto(Path(folder)).start()
        ending.callback(broker.stop)
        ending.enter_context(simulated(some(count, broker.port)))
        edge = [sys.executable, "-m", "edge", "fleet", "--port", str(broker.port)]
        for what, more in (("lists", ["--json"]), ("asks and gathers", ["request", "ping", "--json"])):
            begun_s, used_s = time.monotonic(), _children_s()
            done = subprocess.run([*edge, *more], capture_output=True, text=True, check=True)
            said = json.loads(done.stdout)
            took_s, cpu_s = time.monotonic() - begun_s, _children_s() - used_s
            print(f"{what} {len(said)} in {took_s:.2f} s, of which the command computed {cpu_s:.2f} s")


if __name__ == "__main__":
    main()
