"""A camera as the daemon holds it: a capture process that is watched, killed and started again as needed."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.cameras import largest
from edge.cameras import slot as slots
from edge.cameras.base import ComposedSpec, HttpSpec, ReplaySpec, RtspSpec, SourceSpec, absolute, recording_of
from edge.cameras.health import EventKind, Health, State
from edge.cameras.repeats import Repeats
from edge.processes import backoff, describe_exit, start_child
from edge.scene import CameraModel, Frame, Outline

_STOP_S = 1.2
_KILL_S = 0.5
_REAP_S = 0.05
_RESTARTING_S, _EAGER_S = 120.0, 8.0
"""A camera that is gone for less than so long is looked for this often: back within ten seconds of its return."""
_EVENTS_KEPT = 100
_LIBRARIES = {"OPENCV_FFMPEG_LOGLEVEL": "48", "OPENCV_LOG_LEVEL": "ERROR"}
"""Their logs tell the child of damage and of a new size (see `edge.cameras.native`); it shows none of them."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Something to tell about a camera. For "state" the message is the new state, with the reason after a colon."""

    camera: str
    kind: EventKind
    message: str
    at: float
    """Seconds since the Unix epoch, UTC."""


class _Child:
    """One run of the capture process, with its slot and its pipe of events."""

    def __init__(
        self,
        name: str,
        spec: SourceSpec,
        masks: tuple[Outline, ...],
        capacity_bytes: int,
        first_sequence: int,
        most_megapixels: float | None,
    ) -> None:
        """Start it.

        Raises:
            OSError: there is no memory, descriptor or process left; nothing of it stays.
        """
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            slot_fd = slots.create(capacity_bytes)
            theirs.callback(os.close, slot_fd)
            self._events_fd, events_in = os.pipe()
            theirs.callback(os.close, events_in)
            ours.callback(os.close, self._events_fd)
            os.set_blocking(self._events_fd, False)
            self.slot = slots.SlotReader(slot_fd, capacity_bytes)
            ours.callback(self.slot.close)
            self.popen = start_child(
                "edge.cameras.child",
                [name, str(slot_fd), str(events_in)],
                stdout=2,
                pass_fds=(slot_fd, events_in),
                environment=_LIBRARIES,
                forced=None if most_megapixels is None else largest.environment(most_megapixels),
            )
            ours.pop_all()  # they are closed by `release` from here on
        self._partial = b""
        self.failure: str | None = None
        """The error that the child told; it ends soon after."""
        job = {"spec": spec, "masks": masks, "capacity_bytes": capacity_bytes, "first_sequence": first_sequence}
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(pickle.dumps(job))

    def events(self) -> list[tuple[str, str]]:
        """What the child has said since the last call: (kind, message)."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._events_fd, 65536):
                self._partial += data
        *lines, self._partial = self._partial.split(b"\n")
        said = [json.loads(line) for line in lines]
        return [(s["event"], s["message"]) for s in said]

    def death(self) -> str:
        """How the child ended, in words."""
        return f"the capture process {describe_exit(self.popen.returncode or 0)}"

    def release(self) -> None:
        """Let go of the slot and the pipe; a child that still runs is on its own."""
        self.slot.close()
        os.close(self._events_fd)
        self.let_go()

    def let_go(self) -> None:
        """End the child's standard input, which asks it to stop."""
        if self.popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()

    def kill(self, wait_s: float) -> bool:
        """SIGKILL; False if the child sits in the kernel and does not die within `wait_s`."""
        self.popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(wait_s)
        return self.popen.returncode is not None


class CameraProcess:
    """One camera.

    `start`, `poll` and `stop` may come from any thread, one at a time; everything else from any thread at any time.

    Args:
        name: the camera's name in messages.
        spec: where its pictures come from.
        model: its lens and place, which every frame carries, and what is painted over in it.
        stall_timeout_s: a camera that sent nothing for so long is restarted; for a slow replay at least
            three of its periods.
        frozen_after_s: content that stays the same for so long makes the state "frozen"; None = not checked.
        first_picture_timeout_s: the same as `stall_timeout_s` for the time from start to the first picture; at least
            what the source's own timeouts take.
        backoff_s: shortest and longest wait before a restart: see `backoff`; in the first two minutes 8 s are the
            longest, as a camera that restarts is back by then. Failures are forgotten when pictures have come for
            `stall_timeout_s`.
        capacity_bytes: size of the largest picture; larger ones are shrunk.
        most_megapixels: a picture that declares more is refused before it is decoded; None: as in this process.
    """

    def __init__(
        self,
        name: str,
        spec: SourceSpec,
        model: CameraModel,
        *,
        stall_timeout_s: float = 10.0,
        frozen_after_s: float | None = None,
        first_picture_timeout_s: float = 30.0,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        capacity_bytes: int = slots.CAPACITY_BYTES,
        most_megapixels: float | None = None,
    ) -> None:
        self.name, self.spec, self.model = name, absolute(spec), model
        stall_timeout_s, first_picture_timeout_s = _timeouts_s(spec, stall_timeout_s, first_picture_timeout_s)
        self.backoff_s, self.capacity_bytes, self.most_megapixels = backoff_s, capacity_bytes, most_megapixels
        self.since_s = time.monotonic()
        """When `state` began."""
        self.restarts = 0
        self.degraded: tuple[str, ...] = ()
        """Why its pictures show less than they should."""
        self.ended = False
        """Whether a recording has been played to its end; it is not started again."""
        self._health = Health(
            stall_timeout_s=stall_timeout_s,
            first_picture_timeout_s=first_picture_timeout_s,
            frozen_after_s=frozen_after_s,
        )
        self._control = threading.RLock()
        self._slot_lock = threading.Lock()
        self._events: deque[CameraEvent] = deque(maxlen=_EVENTS_KEPT)
        self._repeats: dict[EventKind, Repeats] = {"warning": Repeats(), "error": Repeats()}
        self._child: _Child | None = None
        self._running = False
        self._undead: list[subprocess.Popen[bytes]] = []
        self._last_sequence = 0
        """Of the capture processes before this one."""
        self._next_start_s: float | None = None
        self._failing_since_s = 0.0

    @property
    def state(self) -> State:
        """Whether it delivers."""
        return self._health.state

    @property
    def last_error(self) -> str | None:
        """Why it does not, or did not last; None while it is online."""
        return self._health.last_error

    @property
    def pid(self) -> int | None:
        """The capture process, while there is one."""
        child = self._child
        return child.popen.pid if child is not None and child.popen.returncode is None else None

    @property
    def sequence(self) -> int:
        """Number of the picture that `latest` would give; 0 while there is none, also just after a restart."""
        with self._slot_lock:
            return 0 if self._child is None else self._child.slot.sequence

    @property
    def captured(self) -> int:
        """Number of the last picture captured since `start`; it goes on rising over restarts."""
        with self._slot_lock:
            return max(self._last_sequence, 0 if self._child is None else self._child.slot.sequence)

    def latest(self, after_sequence: int = 0) -> Frame | None:
        """The latest frame, with a picture of its own, if its number is above `after_sequence`, else None."""
        with self._slot_lock:
            got = None if self._child is None else self._child.slot.latest(after_sequence)
        if got is None:
            return None
        when = got.captured_at, got.captured_monotonic_s
        return Frame(self.name, got.sequence, *when, got.image, self.model, got.seen, self.degraded)

    def take_events(self) -> list[CameraEvent]:
        """What has happened since the last call; of more than 100 the oldest are gone."""
        taken: list[CameraEvent] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._events.popleft())
        return taken

    def start(self) -> None:
        """Start capturing; harmless when it already does."""
        with self._control:
            if not self._running:
                self._running, self.ended = True, False
                self._health.failures = 0
                self._launch()

    def poll(self) -> None:
        """Look after the capture process; to be called a few times a second.

        Takes half a second when a hung process must be killed, and up to 1.7 s at the end of a recording.
        """
        with self._control:
            self._undead = [popen for popen in self._undead if popen.poll() is None]
            if not self._running:
                return
            now_s = time.monotonic()
            self._tell_repeats(now_s)
            if self._next_start_s is None:
                assert self._child is not None
                self._look_after(self._child, now_s)
            elif now_s >= self._next_start_s:
                self.restarts += 1
                self._launch()

    def request_stop(self) -> None:
        """Ask the capture process to stop and do not wait; `stop` follows. The state is offline from now on."""
        with self._control:
            self._running, self._next_start_s = False, None
            if self._child is not None:
                self._child.let_go()
                self._health.stopped()
                self._take_news()

    def stop(self, deadline_s: float | None = None) -> None:
        """Stop capturing; the capture process is gone on return, in under 2 s. Harmless when there is none.

        `deadline_s`: when it is killed if it has not ended, on the monotonic clock; the same for cameras that stop
        together, after `request_stop` for each, keeps all of them within those 2 s.
        """
        with self._control:
            self.request_stop()
            child = self._child
            if child is None:
                return
            last = self.captured
            self._end(child, deadline_s)
            with self._slot_lock:
                self._child, self._last_sequence = None, last
                child.release()
            self._health.stopped()
            self._take_news()

    def kill_after(self, deadline_s: float) -> None:
        """Wait for the capture process until then, and kill it if it has not ended; `stop` follows."""
        with self._control:
            if self._child is None:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.popen.wait(max(deadline_s - time.monotonic(), 0.0))
            self._child.popen.kill()  # nothing, if it has ended

    def _launch(self) -> None:
        self._next_start_s, self.degraded, last = None, (), self.captured
        try:
            child = _Child(self.name, self.spec, self.model.masks, self.capacity_bytes, last + 1, self.most_megapixels)
        except OSError as error:
            self._fail(
                "offline", f"the capture process cannot be started ({error.strerror}). Free memory or raise its limits"
            )
            return
        with self._slot_lock:
            previous, self._child = self._child, child
            self._last_sequence = last
            if previous is not None:
                previous.release()
        self._health.started(time.monotonic(), last)

    def _look_after(self, child: _Child, now_s: float) -> None:
        """Take what the capture process says, and end it if it hangs or has played all."""
        status = child.popen.poll()  # before the events, so that a dead child's last words are all read
        for kind, message in child.events():
            if kind == "warning":
                self._tell("warning", message)
            elif kind == "error":
                child.failure = message
            elif kind == "degraded":
                self.degraded = tuple(message.split("\n")) if message else ()
            elif kind == "ended":
                self.ended = True
                self._end(child)
                self._running = False
                self._health.stopped(message)
        if self.ended:
            self._take_news()
        elif status is not None:
            self._fail("offline", child.failure or child.death())
        elif (reason := self._judge(child, now_s)) is not None:
            if not child.kill(_KILL_S):
                self._undead.append(child.popen)
            self._fail("stalled", reason)

    def _judge(self, child: _Child, now_s: float) -> str | None:
        recording = recording_of(self.spec)
        with self._slot_lock:
            sequence, unchanged_s = child.slot.sequence, child.slot.unchanged_s
            waits_for_reader = recording is not None and recording.pace == "fast" and child.slot.taken < sequence
        waits = waits_for_reader or (recording is not None and recording.watch)
        reason = self._health.judge(now_s, sequence, unchanged_s, none_is_due=waits)
        self._take_news()
        return reason

    def _fail(self, state: Literal["stalled", "offline"], reason: str) -> None:
        """Note a failure and plan the next start."""
        now_s = time.monotonic()
        if not self._health.failures:
            self._failing_since_s = now_s
        shortest_s, longest_s = self.backoff_s
        if now_s - self._failing_since_s < _RESTARTING_S:
            longest_s = min(longest_s, _EAGER_S)
        self._next_start_s = now_s + backoff(self._health.failures, shortest_s, longest_s)
        self._health.failed(state, reason)
        self._take_news()

    def _take_news(self) -> None:
        for kind, message in self._health.take_news():
            if kind == "state":
                self.since_s = time.monotonic()
            self._tell(kind, message)

    def _tell(self, kind: EventKind, message: str) -> None:
        if kind == "state" or self._repeats[kind].add(message, time.monotonic()):
            self._events.append(CameraEvent(self.name, kind, message, time.time()))

    def _tell_repeats(self, now_s: float) -> None:
        for kind, repeats in self._repeats.items():
            self._events.extend(CameraEvent(self.name, kind, said, time.time()) for said in repeats.due(now_s))

    def _end(self, child: _Child, deadline_s: float | None = None) -> None:
        """Ask the child to stop, then make it."""
        child.let_go()
        now_s = time.monotonic()
        left_s = _STOP_S if deadline_s is None else max(deadline_s - now_s, 0.0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(left_s)
        kill_s = _KILL_S if deadline_s is None else max(deadline_s + _KILL_S - time.monotonic(), _REAP_S)
        if child.popen.returncode is None and not child.kill(kill_s):
            self._undead.append(child.popen)


def _timeouts_s(spec: SourceSpec, stall_s: float, first_s: float) -> tuple[float, float]:
    """How long a source may send nothing, and how long until its first picture: at least what it needs itself."""
    if isinstance(spec, ComposedSpec):
        needed = [_timeouts_s(member.spec, stall_s, first_s) for member in spec.members]
        return max(stall for stall, _ in needed), max(first for _, first in needed)
    if isinstance(spec, ReplaySpec):
        return (max(stall_s, 3.0 / spec.fps) if spec.fps else stall_s), first_s
    if isinstance(spec, HttpSpec):
        return max(stall_s, 3.0 * (spec.every_s + spec.timeout_s) + 5.0), max(first_s, 2.0 * spec.timeout_s + 5.0)
    if isinstance(spec, RtspSpec):
        return stall_s, max(first_s, spec.open_timeout_s + spec.read_timeout_s + 5.0)
    return stall_s, first_s


def stop_together(cameras: Sequence[CameraProcess], within_s: float = _STOP_S) -> None:
    """Stop all of them; their processes are gone on return, in under 2 s however many hang.

    `within_s`: they are killed then, if that is sooner than 1.2 s from now.
    """
    for camera in cameras:
        camera.request_stop()
    deadline_s = time.monotonic() + min(within_s, _STOP_S)
    for camera in cameras:
        camera.kill_after(deadline_s)
    for camera in cameras:
        camera.stop(deadline_s)
