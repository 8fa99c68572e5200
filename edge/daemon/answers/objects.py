"""`objects`: one thing that a camera sees, as a mesh; or all of a camera forgotten."""

from __future__ import annotations

from typing import Any

from edge.daemon.objects import Asked, ObjectWatch
from edge.mqtt.verbs import ObjectsAnswer, ObjectsArguments
from edge.publish.objects import object_part


def answer(arguments: ObjectsArguments, *, watch: ObjectWatch) -> dict[str, Any]:
    """What came of it; it is also published.

    Raises:
        ObjectError: nothing there can be told apart.
        EdgeError: no engine is configured, no such camera, or no picture in time.
    """
    camera, part = arguments.camera, None
    if arguments.forget:
        watch.forget(camera)
    else:
        part = object_part(watch.ask(camera, Asked(arguments.box, arguments.polygon, arguments.class_)))
    said = ObjectsAnswer(camera=camera, object=part, count=len(watch.of(camera)))
    return said.model_dump(mode="json", by_alias=True)
