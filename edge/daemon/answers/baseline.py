"""`baseline`: what a camera sees from now on is what is usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.daemon.drift import DriftWatch
from edge.errors import EdgeError
from edge.mqtt.verbs import CameraAnswer, CameraArguments


def answer(arguments: CameraArguments, *, drift: Callable[[], DriftWatch | None]) -> dict[str, Any]:
    """Its name.

    Raises:
        EdgeError: drift is not followed on this device, or there is no such camera.
    """
    watch = drift()
    if watch is None:
        raise EdgeError("drift is not followed on this device; set drift.enabled in its configuration")
    watch.begin_anew(arguments.camera)
    return CameraAnswer(camera=arguments.camera).model_dump(mode="json")
