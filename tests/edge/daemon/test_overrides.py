"""What was set: kept in its file whatever happens, and undone to what is configured."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge.daemon.overrides import Overrides
from edge.errors import EngineError
from edge.mqtt.messages import TaskSettings

CONFIGURED = TaskSettings(enabled=True, every_s=0.5, every_frames=None)


def settings(overrides: Overrides, camera: str = "hall") -> TaskSettings:
    """How depth runs that is configured for every 0.5 s."""
    return overrides.settings(camera, "depth", 0.5, None)


def test_what_is_set_is_there_in_the_next_run(tmp_path: Path) -> None:
    """Each setting by itself; null is as configured again, and what is configured anew then holds."""
    path = tmp_path / "overrides.json"
    first = Overrides(path)
    assert (settings(first), first.problem) == (CONFIGURED, None)
    first.change("hall", "depth", {"enabled": False}, {"hall"})
    first.change("hall", "depth", {"every_s": 3.0}, {"hall"})
    again = Overrides(path)
    assert settings(again) == TaskSettings(
        enabled=False, every_s=3.0, every_frames=None, overridden=("enabled", "every_s")
    )
    assert settings(again, "den") == CONFIGURED
    again.change("hall", "depth", {"enabled": None, "every_s": None}, {"hall"})
    assert settings(Overrides(path)) == CONFIGURED
    assert Overrides(path).settings("hall", "depth", None, 7).every_frames == 7


def test_seconds_that_are_set_replace_frames_that_are_configured(tmp_path: Path) -> None:
    """A task has one cadence."""
    overrides = Overrides(tmp_path / "overrides.json")
    overrides.change("hall", "depth", {"every_s": 2.0}, {"hall"})
    found = overrides.settings("hall", "depth", None, 5)
    assert (found.every_s, found.every_frames) == (2.0, None)


def test_what_was_set_for_cameras_that_are_gone_is_forgotten(tmp_path: Path) -> None:
    """With the next change, so that the file does not grow."""
    overrides = Overrides(tmp_path / "overrides.json")
    overrides.change("old", "depth", {"enabled": False}, {"old"})
    overrides.change("hall", "depth", {"enabled": False}, {"hall"})
    assert [o["camera"] for o in json.loads(overrides.path.read_text())["tasks"]] == ["hall"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tasks": [{"camera": 1}]}', b'{"tasks": [], "more": 1}'])
def test_a_file_that_cannot_be_used_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """It is said what became of it, tasks run as configured, and the next change works."""
    path = tmp_path / "overrides.json"
    path.write_bytes(content)
    path.chmod(0o600)
    overrides = Overrides(path)
    assert "could not be used" in str(overrides.problem)
    assert settings(overrides) == CONFIGURED
    assert (tmp_path / "overrides.json.bad").read_bytes() == content
    overrides.change("hall", "depth", {"enabled": False}, {"hall"})
    assert overrides.problem is None
    assert not settings(Overrides(path)).enabled


def test_a_file_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    """Who may change it could switch tasks."""
    path = tmp_path / "overrides.json"
    Overrides(path).change("hall", "depth", {"enabled": False}, {"hall"})
    path.chmod(0o666)
    assert settings(Overrides(path)) == CONFIGURED


def test_what_cannot_be_kept_does_not_hold(tmp_path: Path) -> None:
    """The folder is gone: refused with the remedy, and nothing changed."""
    folder = tmp_path / "state"
    folder.mkdir()
    overrides = Overrides(folder / "overrides.json")
    os.rmdir(folder)
    with pytest.raises(EngineError, match=r"set requests\.overrides"):
        overrides.change("hall", "depth", {"enabled": False}, {"hall"})
    assert settings(overrides) == CONFIGURED
