"""What answers each request: a function of `edge.daemon.answers`, with the parts of the daemon that it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edge.config.sections import Config
from edge.daemon.answers import (
    baseline,
    engine,
    flag,
    health,
    info,
    objects,
    ping,
    reload,
    restart_camera,
    set,
    snapshot,
)
from edge.daemon.answers.snapshot import Demand
from edge.daemon.cameras import Cameras
from edge.daemon.control import Control
from edge.daemon.drift import DriftWatch
from edge.daemon.engine_jobs import EngineJobs
from edge.daemon.objects import ObjectWatch
from edge.daemon.review import ReviewWatch, Said
from edge.mqtt.messages import BridgeHealth, BridgeInfo
from edge.publish.requests import Handler


def handlers_of(
    config: Callable[[], Config],
    cameras: Cameras,
    control: Control,
    jobs: EngineJobs,
    watch: ObjectWatch,
    *,
    now: Callable[[], float],
    uptime_s: Callable[[], float],
    whole_info: Callable[[], BridgeInfo],
    health_now: Callable[[], BridgeHealth],
    demand: Demand,
    demand_shown: Demand,
    said: Said,
    largest_bytes: Callable[[], int | None],
    review: Callable[[], ReviewWatch | None],
    drift: Callable[[], DriftWatch | None],
) -> dict[str, Handler]:
    """By verb.

    Args:
        config: as it is then.
        cameras: of the daemon.
        control: what changes the daemon.
        jobs: engines that are built and installed.
        watch: objects of the cameras.
        now: s since the Unix epoch.
        uptime_s: since the start.
        whole_info: as on `bridge/info`, with everything.
        health_now: as on `bridge/health`.
        demand: everything about a camera's next frame.
        demand_shown: the same; its pictures for people are published too.
        said: the message of a result.
        largest_bytes: what the broker takes; None: no limit is known.
        review: what puts pictures aside, if anything.
        drift: what follows whether cameras see what they saw, if anything.
    """
    device = config().device.name
    return {
        "ping": partial(ping.answer, device=device, now=now, uptime_s=uptime_s),
        "info": partial(info.answer, info=whole_info),
        "health": partial(health.answer, health=health_now),
        "snapshot": partial(
            snapshot.answer, find=cameras.find, demand=demand_shown, said=said, largest_bytes=largest_bytes
        ),
        "set": partial(set.answer, change=control.set),
        "reload": partial(reload.answer, reload=control.reload),
        "restart-camera": partial(restart_camera.answer, restart=control.restart_camera),
        "engine/build": partial(engine.build, jobs=jobs),
        "engine/rollback": partial(engine.rollback, jobs=jobs),
        "engine/install": partial(engine.install, jobs=jobs, sources=lambda: config().models.sources),
        "flag": partial(flag.answer, find=cameras.find, demand=demand, review=review),
        "baseline": partial(baseline.answer, drift=drift),
        "objects": partial(objects.answer, watch=watch),
    }
