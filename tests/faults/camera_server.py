"""A network camera as a process that can be stopped and killed.

    python -m tests.faults.camera_server PORT CLIP.ts

It plays the clip for ever, over RTSP, to who knows the password.
"""

from __future__ import annotations

import socketserver
import sys
from pathlib import Path

from tests.edge.cameras.streams import Rtsp

CREDENTIALS = "user:s3cret-of-the-camera"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    clip = Path(sys.argv[2]).read_bytes()
    camera = type("Camera", (Rtsp,), {"ts": clip, "credentials": CREDENTIALS})
    with _Server(("127.0.0.1", int(sys.argv[1])), camera) as server:
        server.serve_forever()
