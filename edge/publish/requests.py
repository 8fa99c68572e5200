"""Requests to the device: taken from the network thread, answered on a thread of their own."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from edge.mqtt.link import Incoming
from edge.mqtt.messages import Request, Response
from edge.mqtt.topics import Topics
from edge.publish.attempts import attempt

Handler = Callable[[dict[str, Any]], dict[str, Any]]
"""Answers a request's arguments with data; what it raises becomes the error of the response."""
Respond = Callable[[str, Response, bytes | None], None]
"""Publishes a response on a topic, with the request's correlation data."""

_WAITING = 16


class Requests:
    """Answers requests one after the other; `start` it, `stop` it."""

    def __init__(self, topics: Topics, handlers: Mapping[str, Handler], respond: Respond) -> None:
        self._topics, self._handlers, self._respond = topics, dict(handlers), respond
        self._waiting: queue.Queue[Incoming | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="edge-requests", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def accept(self, incoming: Incoming) -> None:
        """On the network thread: hand over, or refuse at once if too many wait."""
        try:
            self._waiting.put_nowait(incoming)
        except queue.Full:
            self._send(incoming, Response(status="error", error="too many requests wait; send it again later"))

    def stop(self, timeout_s: float = 0.5) -> None:
        """End after the request that is being answered; the others are not any more."""
        while True:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._discard()
            else:
                break
        self._thread.join(timeout_s)

    def _discard(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return

    def _run(self) -> None:
        while (incoming := self._waiting.get()) is not None:
            self._send(incoming, self._answer(incoming))

    def _answer(self, incoming: Incoming) -> Response:
        verb = _verb(incoming)
        if incoming.retained:
            return Response(status="error", error="a retained request is not carried out; publish it without retain")
        try:
            request = Request.model_validate(json.loads(incoming.payload or b"{}"))
        except (ValueError, ValidationError):
            return Response(
                status="error", error='the payload must be a JSON object, such as {"transaction": "1"}, or empty'
            )
        handler = self._handlers.get(verb)
        if handler is None:
            known = ", ".join(sorted(self._handlers)) or "none"
            error: str | None = f"unknown request {verb!r}; known: {known}"
            return Response(status="error", error=error, transaction=request.transaction)
        data, error = attempt(partial(handler, request.arguments))
        if error is not None:
            return Response(status="error", error=error, transaction=request.transaction)
        return Response(status="ok", data=data or {}, transaction=request.transaction)

    def _send(self, incoming: Incoming, response: Response) -> None:
        topic = incoming.response_topic
        if not topic or any(c in topic for c in "+#"):
            topic = self._topics.of("response", verb=_verb(incoming))
        self._respond(topic, response, incoming.correlation)


def _verb(incoming: Incoming) -> str:
    return incoming.topic.rpartition("/")[2]
