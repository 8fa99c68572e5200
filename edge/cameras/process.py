"""A camera as the daemon holds it: a capture process that is watched, killed and started again as needed.

The child is a plain `python -m edge.cameras.child`, which imports OpenCV and NumPy alone: multiprocessing's spawn would
import the daemon's main module in each camera's process, and start a resource tracker besides.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.cameras import slot as slots
from edge.cameras.base import ReplaySpec, RtspSpec, SourceSpec

State = Literal["online", "stalled", "frozen", "offline"]
EventKind = Literal["state", "warning", "error"]

_STOP_S = 1.2
_KILL_S = 0.5
_EVENTS_KEPT = 100


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

    def __init__(self, name: str, spec: SourceSpec, capacity_bytes: int, first_sequence: int) -> None:
        slot_fd = slots.create(capacity_bytes)
        self._events_fd, events_in = os.pipe()
        os.set_blocking(self._events_fd, False)
        self.slot = slots.SlotReader(slot_fd, capacity_bytes)
        try:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "edge.cameras.child", name, str(slot_fd), str(events_in)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=(slot_fd, events_in),
                start_new_session=True,
                env=_environment(),
            )
        except OSError:
            self.slot.close()
            os.close(self._events_fd)
            raise
        finally:
            os.close(slot_fd)
            os.close(events_in)
        self._partial = b""
        self.failure: str | None = None
        """The error that the child told; it ends soon after."""
        job = {"spec": spec, "capacity_bytes": capacity_bytes, "first_sequence": first_sequence}
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
        status = self.popen.returncode
        if status is not None and status < 0:
            return f"the capture process was killed by {signal.Signals(-status).name}"
        return f"the capture process ended with status {status}"

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

    def kill(self) -> bool:
        """SIGKILL; False if the child sits in the kernel and does not die yet."""
        self.popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_KILL_S)
        return self.popen.returncode is not None


class CameraProcess:
    """One camera.

    `start`, `poll` and `stop` may come from any thread, one at a time; everything else from any thread at any time.

    Args:
        name: the camera's name in messages.
        spec: where its pictures come from.
        stall_timeout_s: a camera that sent nothing for so long is restarted; for a slow replay at least
            three of its periods.
        frozen_after_s: content that stays the same for so long makes the state "frozen"; None = not checked.
        first_picture_timeout_s: the same as `stall_timeout_s` for the time from start to the first picture; at least
            what the source's own timeouts take.
        backoff_s: shortest and longest wait before a restart; it doubles with each failure until pictures have come for
            `stall_timeout_s`, and a random part of up to half is taken off.
        capacity_bytes: size of the largest picture.
    """

    def __init__(
        self,
        name: str,
        spec: SourceSpec,
        *,
        stall_timeout_s: float = 10.0,
        frozen_after_s: float | None = None,
        first_picture_timeout_s: float = 30.0,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        capacity_bytes: int = slots.CAPACITY_BYTES,
    ) -> None:
        self.name, self.spec = name, spec
        self.stall_timeout_s, self.first_picture_timeout_s = stall_timeout_s, first_picture_timeout_s
        if isinstance(spec, ReplaySpec) and spec.fps:
            self.stall_timeout_s = max(stall_timeout_s, 3.0 / spec.fps)
        if isinstance(spec, RtspSpec):
            own_s = spec.open_timeout_s + spec.read_timeout_s + 5.0
            self.first_picture_timeout_s = max(first_picture_timeout_s, own_s)
        self.frozen_after_s, self.backoff_s, self.capacity_bytes = frozen_after_s, backoff_s, capacity_bytes
        self.state: State = "offline"
        self.since = time.time()
        """When `state` began, seconds since the Unix epoch, UTC."""
        self.last_error: str | None = None
        self.restarts = 0
        self.ended = False
        """Whether a recording has been played to its end; it is not started again."""
        self._control = threading.RLock()
        self._slot_lock = threading.Lock()
        self._events: deque[CameraEvent] = deque(maxlen=_EVENTS_KEPT)
        self._child: _Child | None = None
        self._running = False
        self._undead: list[subprocess.Popen[bytes]] = []
        self._last_sequence = self._polled_sequence = 0
        self._progress_s = 0.0
        self._healthy_since_s: float | None = None
        self._failures = 0
        self._next_start_s: float | None = None

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
        self._last_sequence = max(self._last_sequence, self.sequence)
        return self._last_sequence

    def latest(self, after_sequence: int = 0) -> slots.Captured | None:
        """A copy of the latest picture if its number is above `after_sequence`, else None."""
        with self._slot_lock:
            return None if self._child is None else self._child.slot.latest(after_sequence)

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
                self._failures = 0
                self._launch()

    def poll(self) -> None:
        """Look after the capture process; to be called a few times a second. Takes at most half a second."""
        with self._control:
            self._undead = [popen for popen in self._undead if popen.poll() is None]
            if not self._running:
                return
            now = time.monotonic()
            if self._next_start_s is not None:
                if now >= self._next_start_s:
                    self.restarts += 1
                    self._launch()
                return
            assert self._child is not None
            status = self._child.popen.poll()  # before the events, so that a dead child's last words are all read
            self._hear(self._child)
            if self.ended:
                self._end(self._child)
                self._running = False
                self._become("offline", self.last_error)
            elif status is not None:
                self._fail("offline", self._child.failure or self._child.death())
            else:
                self._judge(self._child, now)

    def request_stop(self) -> None:
        """Ask the capture process to stop and do not wait; `stop` follows. Lets many cameras stop at once."""
        with self._control:
            self._running, self._next_start_s = False, None
            if self._child is not None:
                self._child.let_go()

    def stop(self) -> None:
        """Stop capturing; the capture process is gone on return, in under 2 s. Harmless when there is none."""
        with self._control:
            self.request_stop()
            child = self._child
            if child is None:
                return
            last = self.captured
            self._end(child)
            with self._slot_lock:
                self._child, self._last_sequence = None, last
                child.release()
            self._become("offline", None)

    def _launch(self) -> None:
        self._next_start_s, self._healthy_since_s = None, None
        last = self.captured
        try:
            child = _Child(self.name, self.spec, self.capacity_bytes, last + 1)
        except OSError as error:
            self._fail(
                "offline", f"the capture process cannot be started ({error.strerror}). Free memory or raise its limits"
            )
            return
        with self._slot_lock:
            previous, self._child = self._child, child
            self._last_sequence = self._polled_sequence = last
            if previous is not None:
                previous.release()
        self._progress_s = time.monotonic()

    def _hear(self, child: _Child) -> None:
        """Take the child's events."""
        for kind, message in child.events():
            if kind == "warning":
                self._tell("warning", message)
            elif kind == "error":
                child.failure = message
            elif kind == "ended":
                self.ended, self.last_error = True, message

    def _judge(self, child: _Child, now: float) -> None:
        """Set the state of a camera whose process lives, and end the process if it hangs."""
        sequence = self.sequence
        if sequence > self._polled_sequence:
            self._polled_sequence, self._progress_s = sequence, now
            if self._healthy_since_s is None:
                self._healthy_since_s = now
            if now - self._healthy_since_s >= self.stall_timeout_s:
                self._failures = 0
            with self._slot_lock:
                unchanged_s = child.slot.unchanged_s
            if self.frozen_after_s is not None and unchanged_s >= self.frozen_after_s:
                self._become(
                    "frozen",
                    f"the picture has not changed for {unchanged_s:.0f} s; restart the camera if that is wrong",
                )
            else:
                self._become("online", None)
            return
        if self._waits_for_reader(child):
            self._progress_s = now
        limit_s = self.stall_timeout_s if self._healthy_since_s is not None else self.first_picture_timeout_s
        if now - self._progress_s > limit_s:
            if not child.kill():
                self._undead.append(child.popen)
            what = "sent no picture" if self._healthy_since_s is not None else "did not send a first picture"
            self._fail("stalled", f"it {what} for {limit_s:g} s; the capture process was killed and is started again")

    def _waits_for_reader(self, child: _Child) -> bool:
        fast = isinstance(self.spec, ReplaySpec) and self.spec.pace == "fast"
        return fast and child.slot.taken < child.slot.sequence

    def _fail(self, state: State, reason: str) -> None:
        """Note a failure and plan the next start."""
        shortest_s, longest_s = self.backoff_s
        wait_s = min(longest_s, shortest_s * 2.0 ** min(self._failures, 30)) * random.uniform(0.5, 1.0)
        self._failures += 1
        self._next_start_s = time.monotonic() + wait_s
        if reason != self.last_error:
            self._tell("error", reason)
        self.last_error = reason
        self._become(state, reason)

    def _become(self, state: State, reason: str | None) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()
            self._tell("state", f"{state}: {reason}" if reason else state)
        if state == "online":
            self.last_error = None
        elif reason:
            self.last_error = reason

    def _tell(self, kind: EventKind, message: str) -> None:
        self._events.append(CameraEvent(self.name, kind, message, time.time()))

    def _end(self, child: _Child) -> None:
        """Ask the child to stop, then make it."""
        child.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.popen.wait(_STOP_S)
        if child.popen.returncode is None and not child.kill():
            self._undead.append(child.popen)


def _environment() -> dict[str, str]:
    """The child's environment: it finds this very package, and FFmpeg's log, which quotes addresses, is off."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    quiet = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
    return {**quiet, **os.environ, "PYTHONPATH": path}
