"""`set`: a task of a camera on or off, and how often it runs; kept over restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.mqtt.messages import TaskSettings
from edge.mqtt.verbs import SetAnswer, SetArguments
from edge.scene import Task

Change = Callable[[str, Task, Mapping[str, bool | float | None]], TaskSettings]


def answer(arguments: SetArguments, *, change: Change) -> dict[str, Any]:
    """How the task runs from now on.

    Raises:
        EdgeError: no such camera or task, or it cannot be kept.
    """
    given = arguments.model_fields_set & {"enabled", "every_s"}
    changes = {name: getattr(arguments, name) for name in sorted(given)}
    settings = change(arguments.camera, arguments.task, changes)
    return SetAnswer(camera=arguments.camera, task=arguments.task, settings=settings).model_dump(mode="json")
