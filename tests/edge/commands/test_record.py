"""`edge record` as people call it: a walk is kept for training, what cannot teach depth is refused, all is deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml
from typer.testing import CliRunner

from edge.__main__ import app
from edge.keep.recordings import Recordings
from tests.training.textured_room import pose, speckled

ENGINES = {"inference": {"engines": str(Path(__file__).parents[3] / "engines")}}
LENS, SIZE_PX = (265.0, 265.0, 160.0, 120.0), (320, 240)
HFOV_DEG = 62.25
"""Of that lens: 2 atan(160 / 265)."""


def config_of(folder: Path, cameras: dict[str, Path], **more: object) -> Path:
    """A configuration file of cameras that play these folders."""
    path = folder / "config.yaml"
    replays = [
        {"name": n, "source": {"type": "replay", "path": str(p), "loop": False, "pace": "fast"}, "hfov_deg": HFOV_DEG}
        for n, p in cameras.items()
    ]
    path.write_text(yaml.safe_dump({"cameras": replays, **ENGINES, **more}), encoding="utf-8")
    return path


def filmed(folder: Path, places_m: list[tuple[float, float]]) -> Path:
    """A folder of what a camera sees in those places, to the right and down from where it began."""
    folder.mkdir()
    for i, (x, y) in enumerate(places_m):
        image = speckled(pose(x, y, 0.3 * x, 5 * x), LENS, SIZE_PX)
        assert cv2.imwrite(str(folder / f"{i:04d}.png"), image[..., ::-1])
    return folder


def recorded(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process."""
    command = [sys.executable, "-m", "edge", "record", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_fixed_camera_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """Exit 1 with the remedy, and no folder."""
    config = config_of(tmp_path, {"hall": filmed(tmp_path / "still", [(0.0, 0.0)] * 24)})
    code, _, told = recorded("hall", "-c", config, "--out", tmp_path / "kept")
    assert code == 1 and "does not move" in told and "carry it" in told
    assert not (tmp_path / "kept").exists()


def test_off_unless_a_folder_is_named_and_deleted_whole(tmp_path: Path) -> None:
    """Without `record.folder` nothing is recorded; what is there is listed and deleted; a wrong name is told."""

    def called(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["record", *map(str, arguments)])
        return done.exit_code, done.output

    off = config_of(tmp_path, {"hall": tmp_path})
    code, told = called("hall", "-c", off)
    assert code == 1 and "record.folder" in told
    kept = Recordings(tmp_path / "kept", least_free_bytes=0)
    for at_s in (4_000_000_000.0, 4_000_000_060.0):
        kept.begin("hall", {}, at_s).add(b"picture")
    on = config_of(tmp_path, {"hall": tmp_path}, record={"folder": str(kept.folder)})
    assert called("--list", "-c", on) == (0, "".join(f"{name}\n" for name in kept.names()))
    code, told = called("attic", "-c", on, "--out", kept.folder)
    assert code == 1 and "there: hall" in told
    assert called("--delete", "nothing", "--out", kept.folder)[0] == 1
    assert called("--delete", "all", "--out", kept.folder)[0] == 0 and kept.names() == []
