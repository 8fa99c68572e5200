"""Whether a running daemon lives, and whether it serves: asked by programs, on any thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from edge.cameras.process import CameraProcess
from edge.scene import Task

_HUNG_S = 30.0
"""The supervisor turns ten times a second; what it does longest, another configuration with another engine, may take
seconds."""
_NO_PROGRESS_S = 60.0
"""As systemd's watchdog has it."""


class Pulse:
    """Whether the daemon lives: its supervisor turns, and inference goes on. Read from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turned_s = self._progressed_s = clock()
        self._progress: object = None

    def note(self, progress: object, *, excused: bool) -> None:
        """The supervisor turned; `progress` differs from the last if inference went on, `excused`: it need not."""
        self._turned_s = self._clock()
        if excused or progress != self._progress:
            self._progress, self._progressed_s = progress, self._turned_s

    def dead(self) -> str | None:
        """Why the daemon does not live, if it does not."""
        now_s = self._clock()
        if now_s - self._turned_s > _HUNG_S:
            return f"the supervisor has hung for {now_s - self._turned_s:.0f} s"
        if now_s - self._progressed_s > _NO_PROGRESS_S:
            return f"inference has hung for {now_s - self._progressed_s:.0f} s"
        return None


def not_ready(
    cameras: Iterable[CameraProcess], engines: Collection[Task], *, connected: bool, infers: bool
) -> tuple[str, ...]:
    """What keeps the daemon from serving: no broker, no engine, not one camera that delivers; nothing: it serves."""
    states = {camera.name: camera.state for camera in cameras}
    why = []
    if not connected:
        why.append("not connected to the broker")
    if not engines:
        why.append("no engine is loaded")
    if not infers:
        why.append("inference does not run")
    if "online" not in states.values():
        why.append("no camera is online: " + ", ".join(f"{name} is {state}" for name, state in states.items()))
    return tuple(why)
