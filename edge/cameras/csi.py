"""CSI cameras of a Jetson, through GStreamer and the Argus daemon."""

from __future__ import annotations

import re
from fractions import Fraction

import cv2

from edge.cameras.base import CsiSpec
from edge.cameras.live import LiveSource
from edge.errors import CameraError


def pipeline(spec: CsiSpec) -> str:
    """The GStreamer pipeline: sensor to BGR, the newest picture only."""
    rate = Fraction(spec.fps).limit_denominator(1001)
    return (
        f"nvarguscamerasrc sensor-id={spec.sensor_id} ! "
        f"video/x-raw(memory:NVMM), width={spec.width_px}, height={spec.height_px}, format=NV12, "
        f"framerate={rate.numerator}/{rate.denominator} ! "
        f"nvvidconv flip-method={spec.flip} ! video/x-raw, format=BGRx ! "
        "videoconvert ! video/x-raw, format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )


def has_gstreamer(build_information: str) -> bool:
    """Whether OpenCV's build report says that it can read GStreamer pipelines."""
    return re.search(r"^\s*GStreamer:\s*YES", build_information, re.MULTILINE) is not None


class CsiSource(LiveSource):
    """One sensor of a Jetson."""

    def __init__(self, spec: CsiSpec) -> None:
        super().__init__(
            f"CSI sensor {spec.sensor_id}",
            "Check the ribbon cable, then restart Argus: sudo systemctl restart nvargus-daemon",
        )
        self.spec = spec

    def open(self) -> None:
        """Start the pipeline."""
        if not has_gstreamer(cv2.getBuildInformation()):
            raise CameraError(
                f"{self.label}: this OpenCV ({cv2.__version__}) was built without GStreamer. Use the OpenCV that "
                "JetPack installs (remove opencv-python-headless from this environment and create it with "
                "--system-site-packages), or read the sensor as a v4l2 source"
            )
        self.connect(
            pipeline(self.spec),
            cv2.CAP_GSTREAMER,
            (),
            "Check that the sensor exists (v4l2-ctl --list-devices), that it has this mode, and that nothing else "
            "uses it; then restart Argus: sudo systemctl restart nvargus-daemon",
        )
