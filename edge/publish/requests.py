"""Requests to the device: taken from the network thread, checked on one of their own, carried out in lanes.

What comes in may be anything: it is bounded before it is parsed, no error of it ends the thread, and it decides on no
topic but those that the configuration allows. Every request is answered within its verb's time, if only with an error.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from edge.errors import dotted
from edge.mqtt.link import Incoming
from edge.mqtt.messages import Request, Response
from edge.mqtt.topics import Topics, parse
from edge.mqtt.verbs import LANES, VERBS, Arguments, Lane, Verb
from edge.publish import lanes
from edge.publish.attempts import attempt

Handler = Callable[[Any], dict[str, Any]]
"""Answers a verb's arguments with data; what it raises becomes the error of the response."""
Respond = Callable[[str, Response, bytes | None], None]
"""Publishes a response on a topic, with the request's correlation data."""

_log = logging.getLogger(__name__)

_WAITING = 16
_CROWD_S = 60.0
"""How long requests that were turned away are spoken of after the last one."""
_LARGEST_BYTES = 64 * 1024
_REMEMBERED = 256
_REMEMBERED_S = 300.0
_LONGEST_NAME = 64

_Key = tuple[str, str | int | bytes]
"""Verb and transaction: what tells a request that was sent again from a new one."""


@dataclass(slots=True, eq=False)
class _Job:
    """A request that is carried out, and all who asked for it."""

    verb: str
    spec: Verb
    arguments: Arguments
    due_s: float
    askers: list[tuple[Incoming, Request]]
    begun: bool = False
    """Noted by its lane."""
    late: bool = False
    """Whether the askers were told that it is not done in time."""


@dataclass(slots=True)
class _Remembered:
    """What a request that changes something was answered with."""

    arguments: Arguments
    at_s: float
    job: _Job
    response: Response | None = None
    """None while it is carried out."""


@dataclass(frozen=True, slots=True)
class _Done:
    job: _Job
    response: Response


@dataclass(slots=True)
class _Memory:
    """Answers to requests that change something, by transaction, for a while."""

    kept: OrderedDict[_Key, _Remembered] = field(default_factory=OrderedDict)

    def find(self, key: _Key, arguments: Arguments, now_s: float) -> _Remembered | None:
        """The same request from before; the same transaction with other arguments is another request."""
        while self.kept and (len(self.kept) > _REMEMBERED or now_s - self._oldest.at_s > _REMEMBERED_S):
            self.kept.popitem(last=False)
        found = self.kept.get(key)
        return found if found is not None and found.arguments == arguments else None

    @property
    def _oldest(self) -> _Remembered:
        return next(iter(self.kept.values()))

    def finished(self, job: _Job, response: Response) -> None:
        """The outcome of a job; one that was never begun is forgotten."""
        for key, remembered in list(self.kept.items()):
            if remembered.job is job:
                remembered.response = response
                if not job.begun:
                    del self.kept[key]

    def keep(self, key: _Key, remembered: _Remembered) -> None:
        """Remember it as the newest."""
        self.kept.pop(key, None)
        self.kept[key] = remembered


@dataclass(slots=True)
class _Crowd:
    """Requests that were turned away because too many waited, until there were none for a while."""

    count: int = 0
    last_s: float = -math.inf

    def turned_away(self, now_s: float) -> None:
        """One more."""
        self.count = self.count + 1 if now_s - self.last_s <= _CROWD_S else 1
        self.last_s = now_s

    def said(self, now_s: float) -> tuple[str, ...]:
        """That it is so, while it is."""
        if now_s - self.last_s > _CROWD_S:
            return ()
        text = (
            f"requests: {self.count} were turned away, since more than {_WAITING} waited at a time, and where answers "
            "are asked for faster than the broker passes them on they are lost; limit who may publish requests there"
        )
        return (text,)


class Requests:
    """Answers requests; `start` it, `stop` it."""

    def __init__(
        self,
        topics: Topics,
        handlers: Mapping[str, Handler],
        respond: Respond,
        *,
        response_prefix: str | None = None,
        allowed: Collection[str] | None = None,
        verbs: Mapping[str, Verb] = VERBS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing runs yet.

        Args:
            topics: the device's.
            handlers: what answers each verb.
            respond: publishes an answer.
            response_prefix: what a request's own response topic must begin with; None: the device's responses.
            allowed: the verbs that may be asked for; None: all that have a handler.
            verbs: what each takes and how soon it is answered.
            clock: seconds that only go forward.
        """
        self._topics, self._handlers, self._respond, self._verbs = topics, dict(handlers), respond, verbs
        self._clock = clock
        self.configure(response_prefix=response_prefix, allowed=allowed)
        self._places = threading.BoundedSemaphore(_WAITING)
        self._inbox: queue.SimpleQueue[tuple[Incoming, str] | _Done | None] = queue.SimpleQueue()
        self._jobs: list[_Job] = []
        self._memory = _Memory()
        self._crowd = _Crowd()
        self._stopping = False
        self._beginning = threading.Lock()
        """Held while it is decided whether a job is late or begun."""
        self._lanes: dict[Lane, lanes.Lane[_Job]] = {
            name: lanes.Lane(f"edge-request-{name}", self._carry_out) for name in LANES
        }
        self._thread = self._new_thread()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="edge-requests", daemon=True)

    def configure(self, *, response_prefix: str | None, allowed: Collection[str] | None) -> None:
        """Other rules from now on, as for `__init__`; callable from any thread."""
        self._prefix = response_prefix or self._topics.responses
        self._allowed = frozenset(self._handlers if allowed is None else allowed)

    def start(self) -> None:
        """Begin to answer, or begin again with what died; harmless while all runs."""
        for lane in self._lanes.values():
            lane.start()
        if not self._thread.is_alive():
            if self._thread.ident is not None:
                self._thread = self._new_thread()
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and (self._stopping or all(lane.alive for lane in self._lanes.values()))

    def accept(self, incoming: Incoming) -> None:
        """On the network thread: hand over, or refuse at once if too many wait; what is no request is ignored."""
        verb = self._verb(incoming)
        if verb is None:
            return
        if len(incoming.payload) > _LARGEST_BYTES:  # not kept, and not looked into
            self._send(
                incoming, verb, _error(f"the payload has {len(incoming.payload)} bytes; send at most {_LARGEST_BYTES}")
            )
        elif self._places.acquire(blocking=False):
            self._inbox.put((incoming, verb))
        else:
            self._crowd.turned_away(self._clock())
            self._send(incoming, verb, _error("too many requests wait; send it again later"))

    def degraded(self) -> tuple[str, ...]:
        """That more is asked than can be answered."""
        return self._crowd.said(self._clock())

    def stop(self, timeout_s: float = 0.5) -> None:
        """End after the requests that are being carried out; the others are not any more."""
        self._stopping = True
        self._inbox.put(None)
        for lane in self._lanes.values():
            lane.stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # On the thread of requests ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping or any(job.begun for job in self._jobs):
            try:
                item = self._inbox.get(timeout=self._until_due_s())
            except queue.Empty:
                item = None
            if isinstance(item, _Done):
                self._finished(item)
            elif item is not None and not self._stopping:
                _, error = attempt(partial(self._serve, *item))
                if error is not None:
                    _log.error("request %r: %s", item[1], error)
                    self._places.release()
            self._tell_late()

    def _until_due_s(self) -> float | None:
        due_s = [job.due_s for job in self._jobs if not job.late]
        return max(min(due_s) - self._clock(), 0.0) if due_s else None

    def _verb(self, incoming: Incoming) -> str | None:
        """What is asked for; None if it is no request to this device."""
        address = parse(incoming.topic, self._topics.base)
        ours = address is not None and address.kind == "request" and address.device == self._topics.device
        return address.verb if address is not None and ours else None

    def _serve(self, incoming: Incoming, verb: str) -> None:
        answer = self._checked(incoming, verb)
        if isinstance(answer, Response):
            self._send(incoming, verb, answer)
            self._places.release()
            return
        request, arguments = answer
        spec, asker, now_s = self._verbs[verb], (incoming, request), self._clock()
        key = _key(verb, incoming, request) if spec.once else None
        before = self._memory.find(key, arguments, now_s) if key is not None else None
        if before is not None and before.response is not None:
            self._answer(asker, verb, before.response)
            return
        if before is not None:
            before.job.askers.append(asker)
            return
        if any(j.late and j.begun and j.spec.lane == spec.lane for j in self._jobs):
            self._answer(asker, verb, _error("an earlier request is still being carried out; send it again later"))
            return
        job = _Job(verb, spec, arguments, now_s + spec.within_s, [asker])
        if key is not None:
            self._memory.keep(key, _Remembered(arguments, now_s, job))
        self._jobs.append(job)
        self._lanes[spec.lane].put(job)

    def _checked(self, incoming: Incoming, verb: str) -> Response | tuple[Request, Arguments]:
        """The request and its arguments, or why it is not carried out."""
        if incoming.retained:
            return _error("a retained request is not carried out; publish it without retain")
        try:
            request = Request.model_validate_json(incoming.payload or b"{}")
        except ValidationError as error:
            return _error(_said_of(error))
        refused = partial(_error, transaction=request.transaction)
        if not self._may_answer_on(incoming.response_topic):
            where = f"the response topic must begin with {self._prefix}, or be left out"
            return refused(f"{where}; mqtt.response_prefix of the device allows another")
        if verb not in self._handlers:
            known = ", ".join(sorted(self._handlers)) or "none"
            return refused(f"unknown request {verb!r}; known: {known}")
        if verb not in self._allowed:
            return refused(f"{verb} is not allowed on this device; add {verb} to requests.allow of its configuration")
        spec = self._verbs[verb]
        try:
            return request, spec.arguments.model_validate(request.arguments)
        except ValidationError as error:
            return refused(_said_of_arguments(verb, spec, error))

    def _finished(self, done: _Done) -> None:
        job = done.job
        self._jobs.remove(job)
        self._memory.finished(job, done.response)
        if job.late and job.begun:
            _log.info("request %r was done after its time: %s", job.verb, done.response.status)
        for asker in job.askers:
            self._answer(asker, job.verb, done.response)

    def _tell_late(self) -> None:
        """Answer those whose time is over; what is being carried out goes on, what has not begun is not."""
        now_s = self._clock()
        for job in [j for j in self._jobs if not j.late and now_s >= j.due_s]:
            with self._beginning:
                job.late = True
            state = (
                "it goes on; its outcome is in the log" if job.begun else "others are before it; send it again later"
            )
            for asker in job.askers:
                self._answer(asker, job.verb, _error(f"not done within {job.spec.within_s:g} s; {state}"))
            job.askers.clear()

    def _answer(self, asker: tuple[Incoming, Request], verb: str, response: Response) -> None:
        incoming, request = asker
        answer = response.model_copy(update={"transaction": request.transaction})
        _, error = attempt(partial(self._send, incoming, verb, answer))
        if error is not None:
            _log.error("request %r: %s", verb, error)
        self._places.release()

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

    # In a lane -------------------------------------------------------------------------------------------------------

    def _carry_out(self, job: _Job) -> None:
        with self._beginning:
            job.begun = not (self._stopping or job.late)
        if not job.begun:
            self._inbox.put(_Done(job, _error("not begun in time")))
            return
        data, problem = attempt(partial(self._handlers[job.verb], job.arguments))
        answered = Response(status="ok", data=data or {}) if problem is None else _error(problem)
        self._inbox.put(_Done(job, answered))


def _error(text: str, transaction: str | int | None = None) -> Response:
    return Response(status="error", error=text, transaction=transaction)


def _key(verb: str, incoming: Incoming, request: Request) -> _Key | None:
    """What tells a request that was sent again; None if nothing does."""
    told = request.transaction if request.transaction is not None else incoming.correlation
    return None if told is None else (verb, told)


def _said_of(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    said = f"{where}: {found['msg']}" if where else found["msg"]
    return f'the payload must be a JSON object, such as {{"transaction": "1"}}, or empty ({said})'


def _said_of_arguments(verb: str, spec: Verb, error: ValidationError) -> str:
    """What is wrong with a verb's arguments, and what it takes."""
    said = []
    for found in error.errors(include_url=False, include_input=False)[:3]:
        name = dotted(found["loc"])[:_LONGEST_NAME]
        if found["type"] == "extra_forbidden":
            said.append(f"unknown argument {name!r}")
        elif found["type"] == "missing":
            said.append(f"{name} is missing")
        else:
            text = found["msg"].removeprefix("Value error, ")
            said.append(f"{name}: {text}" if name else text)
    takes = ", ".join(f.alias or name for name, f in spec.arguments.model_fields.items()) or "no arguments"
    return f"{'; '.join(said)}; {verb} takes {takes}"
