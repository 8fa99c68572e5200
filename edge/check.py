"""`edge check`: configuration, engines, cameras and broker, each tried for real, each failure with its remedy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.cameras.process import CameraProcess
from edge.config import CameraConfig, Config
from edge.daemon import endpoint_from_config, load_engine, spec_from_config
from edge.errors import EdgeError
from edge.inference.store import ModelStore
from edge.publish.broker import EmbeddedBroker
from edge.publish.mqtt import Link
from edge.scene import Task

_FIRST_PICTURE_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    passed: bool
    detail: str


def _tried(what: str, action: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, action())
    except EdgeError as e:
        return Finding(what, False, str(e))


def _engine(config: Config, task: Task) -> str:
    name = getattr(config.tasks, task).engine
    _, engine, golden = load_engine(
        ModelStore(config.inference.engines),
        name,
        task,
        backend=config.inference.backend,
        threads=config.inference.threads,
    )
    with engine.backend as backend:
        if golden is None:
            return f"{backend.provider}; loads, but has no golden pair to be proved by"
        worst = max(golden.difference[n] / t if t else golden.difference[n] for n, t in golden.tolerance.items())
        return f"{backend.provider}; golden output reproduced at {worst:.0%} of its tolerance"


def _camera(camera: CameraConfig) -> str:
    process = CameraProcess(camera.name, spec_from_config(camera), backoff_s=(_FIRST_PICTURE_S, _FIRST_PICTURE_S))
    begun_s = time.monotonic()
    process.start()
    try:
        while (got := process.latest()) is None:
            process.poll()
            failure = next((e.message for e in process.take_events() if e.kind == "error"), None) or (
                process.last_error if process.state == "offline" and process.last_error else None
            )
            if failure:
                raise EdgeError(failure)
            if time.monotonic() - begun_s > _FIRST_PICTURE_S:
                raise EdgeError(f"no picture within {_FIRST_PICTURE_S:.0f} s; check the source's address and cabling")
            time.sleep(0.02)
    finally:
        process.stop()
    height, width = got.image.shape[:2]
    if camera.projection == "equirectangular" and width != 2 * height:
        raise EdgeError(f"sends {width}x{height}; a panorama is twice as wide as high: set projection: perspective")
    return f"{camera.source.type}; first picture {width}x{height} after {time.monotonic() - begun_s:.1f} s"


def _broker(config: Config) -> str:
    broker = None
    if config.mqtt.host is None:
        broker = EmbeddedBroker(config.mqtt.embedded.port, config.mqtt.embedded.websocket_port)
        broker.start()
    try:
        endpoint = endpoint_from_config(config, broker)
        link = Link(endpoint, f"{config.mqtt.client_id or config.device.name}-check")
        link.open()
        try:
            return f"{'embedded' if broker else 'connected'}, {endpoint}, MQTT {link.version}"
        finally:
            link.close()
    finally:
        if broker is not None:
            broker.stop()


def check(config: Config) -> list[Finding]:
    """Try everything the configuration names."""
    tasks = sorted({t for c in config.cameras for t in c.tasks})
    findings = [_tried(f"engine {t}", lambda t=t: _engine(config, t)) for t in tasks]  # type: ignore[misc]
    findings += [_tried(f"camera {c.name}", lambda c=c: _camera(c)) for c in config.cameras]  # type: ignore[misc]
    findings.append(_tried("broker", lambda: _broker(config)))
    return findings
