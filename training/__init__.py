"""The workstation package: render, train, evaluate and export the models that the device serves."""

import edge  # noqa: F401 - before ONNX Runtime, whose telemetry it turns off
