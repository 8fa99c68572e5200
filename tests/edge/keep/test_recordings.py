"""Recordings are private, bounded and whole, and leave nothing when they are deleted."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.keep.recordings import Recordings, recorded_s

AT_S = 1_796_000_000.0


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_recording_is_private_and_readable_at_any_time(tmp_path: Path) -> None:
    """Folders 0700, files 0600; `camera.json` is there from the first picture on, and says more in the end."""
    kept = Recordings(tmp_path / "kept", least_free_bytes=0)
    recording = kept.begin("hall", {"fx_px": 300.0}, AT_S)
    assert not kept.folder.exists()
    assert [recording.add(b"one"), recording.add(b"two")] == ["000000.jpg", "000001.jpg"]
    assert json.loads((recording.folder / "camera.json").read_text()) == {"fx_px": 300.0}
    recording.describe({"rate_hz": 2.0})
    assert json.loads((recording.folder / "camera.json").read_text()) == {"fx_px": 300.0, "rate_hz": 2.0}
    assert _mode(kept.folder) == _mode(recording.folder) == 0o700
    assert {_mode(path) for path in recording.folder.iterdir()} == {0o600}
    assert kept.names() == [recording.folder.name] and recorded_s(kept.names()[0]) == AT_S


def test_bounds_hold_over_all_recordings(tmp_path: Path) -> None:
    """What would go beyond is refused with what to do, and what is there stays; so where the disk is nearly full."""
    kept = Recordings(tmp_path, most_bytes=1000, least_free_bytes=0)
    kept.begin("hall", {}, AT_S).add(bytes(600))
    second = kept.begin("hall", {}, AT_S + 60)
    second.add(bytes(300))
    with pytest.raises(EdgeError, match=r"delete some .*record\.most_mib"):
        second.add(bytes(200))
    assert second.count == 1 and len(kept.names()) == 2
    full = Recordings(tmp_path / "other", least_free_bytes=2**62)
    with pytest.raises(EdgeError, match="its disk has less than"):
        full.begin("hall", {}, AT_S).add(b"picture")
    assert full.names() == []


def test_what_is_too_old_or_deleted_is_gone(tmp_path: Path) -> None:
    """All of it, and nothing else that lies in the folder."""
    kept = Recordings(tmp_path, most_age_s=3600, least_free_bytes=0)
    for i in range(3):
        kept.begin("hall", {}, AT_S + 1800 * i).add(b"picture")
    (tmp_path / "mine").mkdir()
    assert kept.expire(AT_S + 3700) == 1 and len(kept.names()) == 2
    kept.delete(kept.names()[0])
    assert len(kept.names()) == 1 and (tmp_path / "mine").is_dir()
    for wrong in ("mine", "../x", ""):
        with pytest.raises(EdgeError, match="edge record --list"):
            kept.delete(wrong)
