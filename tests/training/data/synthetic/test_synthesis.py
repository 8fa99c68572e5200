"""The `synthesize` command as a trainer runs it."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from training.data.synthetic import RenderedRooms


@pytest.mark.slow
def test_command_renders_rooms_and_their_sheet(tmp_path: Path) -> None:
    """One command leaves rooms of the size asked and a sheet of them; a place that is not there is one message."""
    pytest.importorskip("mitsuba")
    call: list[str | Path] = [
        sys.executable,
        "-m",
        "training",
        "synthesize",
        "--out",
        tmp_path / "rooms",
        "--rooms",
        "1",
        "--workers",
    ]
    call += ["1", "--size", "64x32", "--samples", "2", "--views", "2"]
    sheet = tmp_path / "sheet.png"
    root = Path(__file__).parents[4]
    done = subprocess.run([*call, "--sheet", sheet], capture_output=True, text=True, timeout=250, cwd=root)
    if "libLLVM" in done.stderr:
        pytest.skip("needs libLLVM")
    assert done.returncode == 0, done.stderr
    rooms = RenderedRooms(tmp_path / "rooms")
    assert rooms[0]["panorama"].shape == (32, 64, 3)
    assert len(rooms[0]["view_image"]) == 2
    image = cv2.imread(str(sheet))
    assert image is not None
    assert image.shape[1] == 3 * 64
    done = subprocess.run([*call, "--hold-out-sky", "moon"], capture_output=True, text=True, timeout=100, cwd=root)
    assert done.returncode == 1
    assert "'moon'" in done.stderr
    assert "Traceback" not in done.stderr
