"""What of another configuration holds at once and what after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config.sections import Config, load_config
from edge.daemon.reload import difference

REPOSITORY = Path(__file__).resolve().parents[3]
TASKS = ("depth", "layout", "lighting")


def camera(name: str, **change: Any) -> dict[str, Any]:
    """A camera."""
    source = {"type": "replay", "path": str(REPOSITORY / "edge" / "demo" / "panorama")}
    return {"name": name, "source": source, "projection": "equirectangular"} | change


def configuration(folder: Path, **change: Any) -> Config:
    """One that a file says."""
    path = folder / "config.yaml"
    base = {"cameras": [camera("hall")], "inference": {"engines": str(REPOSITORY / "engines")}}
    path.write_text(yaml.safe_dump(base | {"device": {"name": "test"}} | change))
    return load_config(path)


@pytest.mark.parametrize(
    ("change", "applied", "restart"),
    [
        ({}, (), ()),
        ({"health": {"every_s": 5}}, ("health.every_s",), ()),
        ({"log": {"level": "debug"}}, ("log.level",), ()),
        ({"cameras": [camera("hall"), camera("den")]}, ("cameras.den",), ()),
        ({"cameras": [camera("hall", yaw_deg=9)]}, ("cameras.hall",), ()),
        ({"cameras": [camera("den")]}, ("cameras.den", "cameras.hall"), ()),
        ({"tasks": {"depth": {"every_s": 9}}}, ("tasks.depth.every_s",), ()),
        ({"tasks": {"depth": {"every_frames": 3}}}, ("tasks.depth.every_frames", "tasks.depth.every_s"), ()),
        ({"scene_cut": {"threshold": 0.5}}, ("scene_cut.threshold",), ()),
        ({"requests": {"allow": ["ping"]}}, ("requests.allow",), ()),
        ({"device": {"name": "other"}}, (), ("device.name",)),
        ({"tasks": {"depth": {"engine": "other"}}}, (), ("tasks.depth.engine",)),
        ({"mqtt": {"client_id": "me"}}, (), ("mqtt.client_id",)),
        ({"mqtt": {"host": "broker"}}, (), ("mqtt.host",)),
        ({"requests": {"overrides": "elsewhere.json"}}, (), ("requests.overrides",)),
    ],
)
def test_each_key_is_applied_or_said(
    tmp_path: Path, change: dict[str, Any], applied: tuple[str, ...], restart: tuple[str, ...]
) -> None:
    """And what is not applied keeps the value that runs."""
    running = configuration(tmp_path)
    found = difference(running, configuration(tmp_path, **change), TASKS)
    assert (found.applied, found.restart_required) == (applied, restart)
    if not applied:
        assert found.effective == running


def test_engines_are_kept_together_with_all_that_needs_a_restart(tmp_path: Path) -> None:
    """A section of which nothing is applied stays whole; beside it, others change."""
    running = configuration(tmp_path)
    inference = {"engines": str(REPOSITORY / "engines"), "threads": 1, "max_batch": 2}
    new = configuration(tmp_path, inference=inference, health={"every_s": 7})
    found = difference(running, new, TASKS)
    assert found.restart_required == ("inference.max_batch", "inference.threads")
    assert found.effective.inference == running.inference
    assert found.effective.health.every_s == 7


def test_another_broker_is_applied_where_one_was_configured(tmp_path: Path) -> None:
    """Host, user and so on; not the client's name."""
    running = configuration(tmp_path, mqtt={"host": "a"})
    found = difference(running, configuration(tmp_path, mqtt={"host": "b", "client_id": "me"}), TASKS)
    assert (found.applied, found.restart_required) == (("mqtt.host",), ("mqtt.client_id",))
    assert (found.effective.mqtt.host, found.effective.mqtt.client_id) == ("b", None)


def test_an_engine_that_is_not_loaded_yet_may_be_any(tmp_path: Path) -> None:
    """A camera gets a task that none had: its engine is what the file says now, and is loaded."""
    running = configuration(tmp_path, cameras=[camera("hall", tasks=["depth"])])
    tasks = {"layout": {"engine": "other"}, "depth": {"engine": "other"}}
    new = configuration(tmp_path, cameras=[camera("hall", tasks=["depth", "layout"])], tasks=tasks)
    found = difference(running, new, ("depth",))
    assert found.effective.engines() == {"depth": "depth", "layout": "other"}
    assert found.applied == ("cameras.hall", "tasks.layout.engine")
    assert found.restart_required == ("tasks.depth.engine",)


def test_what_waits_for_a_restart_is_said_again_the_next_time(tmp_path: Path) -> None:
    """Until it is undone in the file."""
    running = configuration(tmp_path)
    once = difference(running, configuration(tmp_path, device={"name": "other"}), TASKS)
    again = difference(once.effective, configuration(tmp_path, device={"name": "other"}, health={"every_s": 5}), TASKS)
    assert again.restart_required == ("device.name",)
    assert difference(again.effective, configuration(tmp_path), TASKS).restart_required == ()
