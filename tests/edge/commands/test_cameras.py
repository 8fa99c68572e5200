"""Cameras that are found: the kernel's by files as it writes them, ONVIF's in a network namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml

from edge.cameras.base import CsiSpec, V4l2Spec
from edge.cameras.found import local_cameras
from edge.config.sections import load_config
from tests.edge.cameras.onvif_camera import PASSWORD, USER

REPOSITORY = Path(__file__).resolve().parents[3]
NETWORK = """
ip link set lo up multicast on && ip address add 10.77.0.1/24 dev lo && ip route add 239.0.0.0/8 dev lo || exit 125
{python} -m tests.edge.cameras.onvif_camera 10.77.0.1 {ahead_s} > {folder}/ready &
camera=$!
for _ in $(seq 200); do grep -q ready {folder}/ready && break; sleep 0.05; done
{python} -m edge cameras --within 1 {arguments}
status=$?
kill $camera
exit $status
"""


def node(root: Path, number: int, name: str, index: int = 0, link: str | None = None) -> None:
    """A video device as udev and the kernel show it."""
    folder = root / f"sys/class/video4linux/video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "index").write_text(f"{index}\n")
    device = root / f"dev/video{number}"
    device.parent.mkdir(parents=True, exist_ok=True)
    device.touch()
    if link is not None:
        path = root / "dev/v4l" / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(device)


def test_the_kernels_cameras_are_named_by_what_stays(tmp_path: Path) -> None:
    """By id, else by place, else by number; no second node of a camera; a Jetson's sensors in their order."""
    node(tmp_path, 10, "vi-output, imx219 10-0010")
    node(tmp_path, 9, "vi-output, imx219 9-0010")
    node(tmp_path, 0, "HD Pro Webcam C920", link="by-id/usb-C920-video-index0")
    (tmp_path / "dev/v4l/by-path").mkdir()
    (tmp_path / "dev/v4l/by-path/pci-0-usb-0:1").symlink_to(tmp_path / "dev/video0")
    node(tmp_path, 1, "HD Pro Webcam C920", index=1, link="by-id/usb-C920-video-index1")
    node(tmp_path, 2, "USB Camera", link="by-path/pci-0-usb-0:2")
    node(tmp_path, 3, "Other")
    specs = [found.spec for found in local_cameras(tmp_path)]
    assert [spec.device for spec in specs if isinstance(spec, V4l2Spec)] == [
        "/dev/v4l/by-id/usb-C920-video-index0",
        "/dev/v4l/by-path/pci-0-usb-0:2",
        "/dev/video3",
    ]
    assert [spec.sensor_id for spec in specs if isinstance(spec, CsiSpec)] == [0, 1]
    assert not list(local_cameras(tmp_path / "nothing"))


def in_a_network(folder: Path, *arguments: str, ahead_s: float = 0.0) -> subprocess.CompletedProcess[str]:
    """`edge cameras` in a network of its own, with one ONVIF camera on it; skips where that is not permitted."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    script = NETWORK.format(python=sys.executable, folder=folder, arguments=" ".join(arguments), ahead_s=ahead_s)
    done = subprocess.run(
        [unshare, "-rn", "sh", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode == 125:
        pytest.skip(f"no network can be made here: {done.stderr}")
    return done


def test_an_onvif_camera_is_found_tried_and_written_down(tmp_path: Path) -> None:
    """By multicast, its clock an hour ahead; the still is what it shows, and the YAML loads as it is printed."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    done = in_a_network(
        tmp_path,
        f"--username {USER} --password-file {tmp_path}/password --stills {tmp_path}/stills",
        ahead_s=3600,
    )
    assert done.returncode == 0, done.stderr
    assert "Hall Cam at 10.77.0.1: a picture of 160x128 px" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    still = cv2.imread(str(tmp_path / "stills" / "hall-cam-at-10-77-0-1.jpg"))
    assert still is not None
    assert still.shape == (128, 160, 3)
    written = yaml.safe_load(done.stdout)
    (camera,) = written["cameras"]
    assert camera["source"]["url"].startswith("rtsp://USER:PASSWORD@10.77.0.1:")
    assert camera["source"]["url"].endswith("/main"), "the first profile is the best"
    file = tmp_path / "config.yaml"
    file.write_text(done.stdout + yaml.safe_dump({"inference": {"engines": str(REPOSITORY / "engines")}}))
    config = load_config(file)
    assert (config.cameras[0].name, config.cameras[0].hfov_deg) == ("hall-cam-at-10-77-0-1", 75.0)


@pytest.mark.slow
def test_a_camera_that_wants_a_login_says_so(tmp_path: Path) -> None:
    """It is named with what to give, nobody is led to another host, and nothing is written down."""
    done = in_a_network(tmp_path)
    assert done.returncode == 69
    assert "Hall Cam at 10.77.0.1: 10.77.0.1: wants --username and --password-file" in done.stderr
    assert (done.stdout, "10.9.9.9" in done.stderr) == ("", False)
