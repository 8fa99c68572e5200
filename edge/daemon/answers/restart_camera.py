"""`restart-camera`: its capture process ended and another started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.mqtt.verbs import CameraAnswer, CameraArguments


def answer(arguments: CameraArguments, *, restart: Callable[[str], None]) -> dict[str, Any]:
    """Its name.

    Raises:
        EdgeError: there is no such camera.
    """
    restart(arguments.camera)
    return CameraAnswer(camera=arguments.camera).model_dump(mode="json")
