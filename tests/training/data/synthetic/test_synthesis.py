"""The `synthesize` command as a trainer runs it."""

import subprocess
import sys
import time
from pathlib import Path

import cv2
import psutil
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


@pytest.mark.slow
def test_workers_end_with_a_killed_command(tmp_path: Path) -> None:
    """Killed outright, the command leaves no process behind that goes on writing rooms."""
    pytest.importorskip("mitsuba")
    call = [sys.executable, "-m", "training", "synthesize", "--out", str(tmp_path), "--rooms", "200", "--workers", "2"]
    call += ["--size", "64x32", "--samples", "2", "--views", "1"]
    said = tmp_path / "said.txt"
    with said.open("wb") as file:
        command = psutil.Popen(call, cwd=Path(__file__).parents[4], stderr=file)
    until_s = time.monotonic() + 200
    while not list(tmp_path.glob("part-*.h5")) and command.poll() is None and time.monotonic() < until_s:
        time.sleep(0.2)
    if "libLLVM" in said.read_text():
        pytest.skip("needs libLLVM")
    workers = command.children(recursive=True)
    assert len(workers) >= 2
    command.kill()
    command.wait()
    assert not psutil.wait_procs(workers, timeout=60)[1]
