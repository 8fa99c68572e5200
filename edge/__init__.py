"""Continuous depth, room layout and lighting from cameras, published over MQTT."""

import os

__version__ = "0.3.0.dev0"

# ONNX Runtime asks its vendor's host and writes a device id from 1.32 on unless told not to, before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

MOST_PIXELS, MOST_PIXELS_VARIABLE = 40_000_000, "OPENCV_IO_MAX_IMAGE_PIXELS"
"""Of a picture; see `edge.cameras.largest`. OpenCV reads the variable when it is imported, and not again."""
os.environ.setdefault(MOST_PIXELS_VARIABLE, str(MOST_PIXELS))
