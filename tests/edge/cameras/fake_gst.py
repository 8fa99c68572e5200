#!/usr/bin/env python3
"""Stands for a Jetson's gst-launch-1.0 and gst-inspect-1.0: a grey picture for each packet; what it was told is noted.

The environment says what it does: FAKE_GST_LACKS names an element that is not there, FAKE_GST_FAILS has it end at once,
FAKE_GST_SILENT keep what it got.
"""

from __future__ import annotations

import os
import struct
import sys

WIDTH_PX, HEIGHT_PX, LEVEL = 64, 48, 126
CAPS = f"video/x-raw, format=(string)I420, width=(int){WIDTH_PX}, height=(int){HEIGHT_PX}, framerate=(fraction)0/1\0"


def packet(kind: int, data: bytes) -> bytes:
    """As gdppay writes one."""
    return struct.pack(">BBBBHI52x", 1, 0, 0, 0, kind, len(data)) + data


def launch() -> None:
    """Decode."""
    if os.environ.get("FAKE_GST_FAILS"):
        sys.exit("ERROR: from element /GstPipeline:pipeline0/nvv4l2decoder0: no NVDEC device")
    out, size = sys.stdout.buffer, WIDTH_PX * HEIGHT_PX
    picture = bytes([LEVEL]) * size + bytes([128]) * (size // 2)
    out.write(packet(2, CAPS.encode()))
    while os.read(0, 1 << 16):
        if not os.environ.get("FAKE_GST_SILENT"):
            out.write(packet(1, picture))
            out.flush()


if __name__ == "__main__":
    with open(os.path.join(os.path.dirname(sys.argv[0]), "calls"), "a", encoding="utf-8") as calls:
        calls.write(" ".join(sys.argv[1:]) + "\n")
    if sys.argv[0].endswith("inspect-1.0"):
        sys.exit(sys.argv[-1] == os.environ.get("FAKE_GST_LACKS"))
    launch()
