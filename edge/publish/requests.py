"""Requests to the device: taken from the network thread, answered on a thread of their own.

What comes in may be anything: it is bounded before it is parsed, no error of it ends the thread, and it decides on no
topic but those that the configuration allows.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from edge.mqtt.link import Incoming
from edge.mqtt.messages import Request, Response
from edge.mqtt.topics import Topics, parse
from edge.publish.attempts import attempt

Handler = Callable[[dict[str, Any]], dict[str, Any]]
"""Answers a request's arguments with data; what it raises becomes the error of the response."""
Respond = Callable[[str, Response, bytes | None], None]
"""Publishes a response on a topic, with the request's correlation data."""

_log = logging.getLogger(__name__)

_WAITING = 16
_LARGEST_BYTES = 64 * 1024


class Requests:
    """Answers requests one after the other; `start` it, `stop` it."""

    def __init__(
        self, topics: Topics, handlers: Mapping[str, Handler], respond: Respond, *, response_prefix: str | None = None
    ) -> None:
        """`response_prefix`: what a request's own response topic must begin with; None: the device's responses."""
        self._topics, self._handlers, self._respond = topics, dict(handlers), respond
        self._prefix = response_prefix or topics.responses
        self._waiting: queue.Queue[tuple[Incoming, str] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="edge-requests", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def accept(self, incoming: Incoming) -> None:
        """On the network thread: hand over, or refuse at once if too many wait; what is no request is ignored."""
        verb = self._verb(incoming)
        if verb is None:
            return
        try:
            self._waiting.put_nowait((incoming, verb))
        except queue.Full:
            self._send(incoming, verb, Response(status="error", error="too many requests wait; send it again later"))

    def stop(self, timeout_s: float = 0.5) -> None:
        """End after the request that is being answered; the others are not any more."""
        ended = False
        while not ended:  # again if the network thread has filled it meanwhile
            self._discard()
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
                ended = True
        self._thread.join(timeout_s)

    def _discard(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            _, error = attempt(partial(self._serve, *waiting))
            if error is not None:
                _log.error("request %r: %s", waiting[1], error)

    def _verb(self, incoming: Incoming) -> str | None:
        """What is asked for; None if it is no request to this device."""
        address = parse(incoming.topic, self._topics.base)
        ours = address is not None and address.kind == "request" and address.device == self._topics.device
        return address.verb if address is not None and ours else None

    def _serve(self, incoming: Incoming, verb: str) -> None:
        self._send(incoming, verb, self._answer(incoming, verb))

    def _answer(self, incoming: Incoming, verb: str) -> Response:
        if incoming.retained:
            return Response(status="error", error="a retained request is not carried out; publish it without retain")
        if len(incoming.payload) > _LARGEST_BYTES:
            too_long = f"the payload has {len(incoming.payload)} bytes; send at most {_LARGEST_BYTES}"
            return Response(status="error", error=too_long)
        try:
            request = Request.model_validate_json(incoming.payload or b"{}")
        except ValidationError as error:
            return Response(status="error", error=_said_of(error))
        answer = partial(Response, transaction=request.transaction)
        if not self._may_answer_on(incoming.response_topic):
            where = f"the response topic must begin with {self._prefix}, or be left out"
            return answer(status="error", error=f"{where}; mqtt.response_prefix of the device allows another")
        handler = self._handlers.get(verb)
        if handler is None:
            known = ", ".join(sorted(self._handlers)) or "none"
            return answer(status="error", error=f"unknown request {verb!r}; known: {known}")
        data, problem = attempt(partial(handler, request.arguments))
        if problem is not None:
            return answer(status="error", error=problem)
        return answer(status="ok", data=data or {})

    def _may_answer_on(self, topic: str | None) -> bool:
        if not topic:
            return True
        address = parse(topic, self._topics.base)
        others = address is not None and address.kind != "response"
        return topic.startswith(self._prefix) and not others and not any(c in topic for c in "+#\0")

    def _send(self, incoming: Incoming, verb: str, response: Response) -> None:
        topic = incoming.response_topic
        if not topic or not self._may_answer_on(topic):
            topic = self._topics.of("response", verb=verb)
        self._respond(topic, response, incoming.correlation)


def _said_of(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    said = f"{where}: {found['msg']}" if where else found["msg"]
    return f'the payload must be a JSON object, such as {{"transaction": "1"}}, or empty ({said})'
