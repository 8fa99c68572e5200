"""Cameras that are there without being configured: what the kernel and the network show of them.

USB and CSI cameras are in `/sys/class/video4linux`; network cameras of ONVIF answer a probe (`edge.cameras.onvif`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.base import CsiSpec, RtspSpec, V4l2Spec

_TEGRA = re.compile(r"vi-output, (\S+)")
"""How NVIDIA's capture driver names a sensor: `vi-output, imx219 9-0010`."""


@dataclass(frozen=True, slots=True)
class Found:
    """One camera. `spec` None: it is there, but its pictures cannot be asked for yet; `hint` says why."""

    what: str
    """For people, e.g. `HD Pro Webcam C920`."""
    spec: V4l2Spec | CsiSpec | RtspSpec | None
    hint: str | None = None


def local_cameras(root: Path = Path("/")) -> Iterator[Found]:
    """USB and CSI cameras; `root`: of the file system.

    A USB camera is named by its link below /dev/v4l/by-id, which stays the same over restarts, else by the place where
    it is plugged in, else by its number. Its second node, for data about pictures, is left out.
    """
    nodes = sorted((root / "sys/class/video4linux").glob("video*"), key=lambda path: int(re.sub(r"\D", "", path.name)))
    links = _links(root)
    sensors = 0
    for node in nodes:
        name = _text(node / "name") or node.name
        sensor = _TEGRA.match(name)
        if sensor is not None:
            yield Found(f"CSI sensor {sensor[1]}", CsiSpec(sensor_id=sensors))
            sensors += 1
        elif (_text(node / "index") or "0") == "0":
            device = links.get(node.name, f"/dev/{node.name}")
            yield Found(name, V4l2Spec(device, width_px=1280, height_px=720, fps=30.0, fourcc="MJPG"))


def _links(root: Path) -> dict[str, str]:
    """By node, e.g. video0, the path that stays the same."""
    found: dict[str, str] = {}
    for folder in ("by-id", "by-path"):
        for link in sorted((root / "dev/v4l" / folder).glob("*")):
            found.setdefault(link.resolve().name, f"/dev/v4l/{folder}/{link.name}")
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
