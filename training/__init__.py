"""The workstation package: render, train, evaluate and export the models that the device serves."""

import os
import sys

import edge  # noqa: F401 - before ONNX Runtime, whose telemetry it turns off

if not {"", os.path.abspath(os.curdir) if os.path.isdir(os.curdir) else ""} & set(sys.path):
    # Processes that multiprocessing spawns look for modules in the current folder first, unless (from Python 3.11 on)
    # they are told not to; what this process does not do, as it was installed, its children do not either.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
