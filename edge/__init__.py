"""Continuous depth, room layout and lighting from cameras, published over MQTT."""

import os

__version__ = "0.3.0.dev0"

# ONNX Runtime asks its vendor's host and writes a device id from 1.32 on unless told not to, before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
