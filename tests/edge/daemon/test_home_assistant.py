"""What Home Assistant is told of a configuration, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config.sections import Config
from edge.daemon import build
from edge.daemon.home_assistant import HomeAssistant, discovery_topics
from edge.mqtt.link import Incoming
from edge.mqtt.topics import Topics
from edge.publish.orphans import Orphans
from edge.scene import Task

REPOSITORY = Path(__file__).resolve().parents[3]
TOPICS = Topics("dev")
FOLDER = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "panorama")}


def config(**changes: Any) -> Config:
    """A configuration with the cameras hall and attic."""
    sources = {
        "hall": FOLDER | {"fps": 0.1},
        "attic": FOLDER | {"watch": True},
        "yard": {"type": "http", "url": "http://h/s"},
    }
    cameras = [{"name": name, "source": source, "projection": "equirectangular"} for name, source in sources.items()]
    engines = {"engines": str(REPOSITORY / "engines")}
    return Config.model_validate({"device": {"name": "dev"}, "cameras": cameras, "inference": engines, **changes})


def periods_s(every_s: float | None = 0.5) -> dict[tuple[str, Task], float | None]:
    """Every task of every camera, at one cadence."""
    tasks: tuple[Task, ...] = ("depth", "layout", "lighting")
    return {(camera, task): every_s for camera in ("hall", "attic", "yard") for task in tasks}


def heard(home: HomeAssistant, payload: bytes, *, retained: bool = False) -> bool:
    """Whether what comes on the birth topic counts as a start."""
    home.listeners["homeassistant/status"](Incoming("homeassistant/status", payload, retained))
    return home.has_started()


def test_only_what_changed_is_said_again() -> None:
    """Everything at first; then the devices that differ, as when a cadence was changed; nothing where it is off."""
    home = HomeAssistant(TOPICS)
    assert set(home.changed(config(), periods_s())) == {None, "hall", "attic", "yard"}
    assert home.changed(config(), periods_s()) == {}
    slow = periods_s() | {("yard", "depth"): 100.0}
    changed = home.changed(config(), slow)
    assert set(changed) == {"yard"}
    assert HomeAssistant(TOPICS).changed(config(home_assistant={"enabled": False}), periods_s()) == {}


@pytest.mark.parametrize(
    ("camera", "every_s", "expires"),
    [("hall", 0.5, 60), ("hall", 50.0, 150), ("attic", 0.5, None), ("hall", None, None), ("yard", 0.5, 60)],
)
def test_a_value_expires_by_cadence_and_source(camera: str, every_s: float | None, expires: int | None) -> None:
    """Three times the slower of both, a minute at least; never where pictures come whenever they do, or are counted."""
    found = HomeAssistant(TOPICS).changed(config(), periods_s(every_s))[camera]
    assert found.components["median_depth"].expire_after == expires


def test_verbs_are_those_that_the_configuration_allows() -> None:
    """Snapshots by default; switches where `set` may be asked for."""
    usual = HomeAssistant(TOPICS).changed(config(), periods_s())["hall"].components
    assert {k for k, c in usual.items() if c.command_topic} == {"snapshot"}
    allowed = config(requests={"allow": ["set"]})
    more = HomeAssistant(TOPICS).changed(allowed, periods_s())["hall"].components
    switches = {f"{task}_{what}" for task in ("depth", "layout", "lighting") for what in ("on", "every")}
    assert {k for k, c in more.items() if c.command_topic} == switches


def test_a_birth_is_heard_once() -> None:
    """`online`, said just now; not what was kept from before, nor that it ends."""
    home = HomeAssistant(TOPICS)
    assert not home.has_started()
    assert not heard(home, b"offline")
    assert not heard(home, b"online", retained=True)
    assert heard(home, b"online")
    assert not home.has_started()


def test_what_it_was_told_goes_with_the_camera_and_with_the_key() -> None:
    """A camera that is gone, or all where it is switched off, are cleared when a configuration is read again."""
    every = {f"homeassistant/device/dev/{name}/config" for name in ("bridge", "hall", "attic", "yard")}
    assert discovery_topics(config(), TOPICS) == every
    orphans = Orphans(TOPICS, build.retained_topics(config()))
    fewer = config().model_copy(update={"cameras": config().cameras[:1]})
    gone = orphans.keep(build.retained_topics(fewer))
    assert {t for t, kind in gone.items() if kind == "discovery"} == {
        "homeassistant/device/dev/attic/config",
        "homeassistant/device/dev/yard/config",
    }
    off = orphans.keep(build.retained_topics(config(home_assistant={"enabled": False})))
    assert {t for t, kind in off.items() if kind == "discovery"} == {
        "homeassistant/device/dev/bridge/config",
        "homeassistant/device/dev/hall/config",
    }
