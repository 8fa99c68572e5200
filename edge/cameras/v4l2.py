"""USB and other Video4Linux cameras."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import cv2

from edge.cameras.base import V4l2Spec
from edge.cameras.live import LiveSource
from edge.cameras.picture import opencv_errors
from edge.errors import CameraError


class V4l2Source(LiveSource):
    """One /dev/video device."""

    def __init__(self, spec: V4l2Spec) -> None:
        self.path = Path(f"/dev/video{spec.device}" if isinstance(spec.device, int) else spec.device)
        super().__init__(str(self.path), "Check its cable and power; the kernel's log (dmesg) says why it left")
        self.spec = spec

    def open(self) -> None:
        """Open the device and ask for the mode; the driver may settle on another, which is told as a warning."""
        self._check_device()
        spec = self.spec
        wanted: dict[int, float] = {}
        if spec.fourcc is not None:
            if len(spec.fourcc) != 4:
                raise CameraError(f"{self.label}: fourcc {spec.fourcc!r} is not four characters. Use e.g. MJPG or YUYV")
            wanted[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*spec.fourcc)
        for key, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, spec.width_px),
            (cv2.CAP_PROP_FRAME_HEIGHT, spec.height_px),
            (cv2.CAP_PROP_FPS, spec.fps),
        ):
            if value is not None:
                wanted[key] = value
        target = str(self.path.resolve())
        capture = self.connect(
            target, cv2.CAP_V4L2, (), f"Another program may hold it: `fuser -v {target}` names it; stop it"
        )
        with opencv_errors(self.label, f"Ask for a mode that it has: v4l2-ctl --list-formats-ext -d {self.path}"):
            for key, value in wanted.items():
                capture.set(key, value)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            size = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if size != (spec.width_px or size[0], spec.height_px or size[1]):
            self.warn(
                f"{self.label}: sends {size[0]}x{size[1]} px, not {spec.width_px}x{spec.height_px}. "
                f"Its modes: v4l2-ctl --list-formats-ext -d {self.path}"
            )

    def _check_device(self) -> None:
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError as error:
            present = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
            raise CameraError(
                f"{self.label}: no such device (present: {present}). Plug the camera in, or correct `device`"
            ) from error
        except OSError as error:
            raise CameraError(f"{self.label}: {error.strerror}. Check the path in `device`") from error
        if not stat.S_ISCHR(mode):
            raise CameraError(
                f"{self.label}: is not a video device. Give /dev/videoN; for a recording use a replay source"
            )
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise CameraError(
                f"{self.label}: permission denied. Add the user that runs this to the group video "
                "(sudo usermod -aG video USER) and log in again"
            )
