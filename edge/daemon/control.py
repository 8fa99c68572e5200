"""What changes a running daemon: how tasks run, a camera's capture, the configuration; by requests and by signal.

Requests come on threads of their own; all is carried out on the supervisor's, between its other duties.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, Protocol, TypeVar

from edge.config.sections import Config, load_config
from edge.daemon.cameras import Cameras
from edge.daemon.reload import Difference, difference
from edge.errors import ConfigError, EdgeError
from edge.monitor.watchdog import notify
from edge.mqtt.messages import TaskSettings
from edge.pipeline.demands import Changes
from edge.pipeline.engines import LoadedEngines
from edge.scene import Task

_log = logging.getLogger(__name__)

_CHANGE_S = 8.0
_RELOAD_S = 25.0

T = TypeVar("T")


class OnEvent(Protocol):
    """Told what happened, for `bridge/event`."""

    def __call__(self, kind: str, message: str, *, camera: str | None = None, data: dict[str, Any]) -> None:
        """One event."""
        ...


class Control:
    """The configuration that holds, and what changes it. `set`, `restart_camera` and `reload` are for any thread."""

    def __init__(
        self,
        config: Config,
        path: Path | None,
        cameras: Cameras,
        engines: LoadedEngines,
        signal: threading.Event,
        *,
        on_event: OnEvent,
        on_config: Callable[[Config, Config], None],
        on_changed: Callable[[], None],
    ) -> None:
        """Nothing changes yet.

        Args:
            config: what holds now.
            path: the file that it was read from; None: it cannot be read again.
            cameras: those of the daemon.
            engines: those of the daemon.
            signal: set to have the configuration read again.
            on_event: told what was changed.
            on_config: called with the old and the new configuration, once the cameras run by the new one.
            on_changed: called after any change of what `bridge/info` says.
        """
        self.config, self._path, self._cameras, self._engines, self._signal = config, path, cameras, engines, signal
        self._on_event, self._on_config, self._on_changed = on_event, on_config, on_changed
        self._changes = Changes()
        self.restart_required: tuple[str, ...] = ()
        """Keys of the file that hold after the next start."""

    def set(self, camera: str, task: Task, changes: Mapping[str, bool | float | None]) -> TaskSettings:
        """Change how a task of a camera runs, over restarts too.

        Raises:
            EdgeError: there is no such camera or task, or it cannot be kept.
        """
        return self._on_supervisor(lambda: self._set(camera, task, changes), _CHANGE_S)

    def restart_camera(self, name: str) -> None:
        """End its capture and start it again.

        Raises:
            EdgeError: there is no such camera.
        """
        self._on_supervisor(lambda: self._restart_camera(name), _CHANGE_S)

    def reload(self) -> Difference:
        """Read the configuration's file again, and apply what can be.

        Raises:
            ConfigErrors: all that is wrong with it; nothing has changed.
        """
        return self._on_supervisor(self._reload, _RELOAD_S)

    def _on_supervisor(self, action: Callable[[], T], within_s: float) -> T:
        future = self._changes.put(action)
        try:
            return future.result(within_s)
        except futures.TimeoutError as error:
            future.cancel()
            raise EdgeError(f"the daemon was busy for {within_s:g} s; send it again later") from error

    # On the supervisor's thread --------------------------------------------------------------------------------------

    def carry_out(self) -> None:
        """All that was asked for since the last time."""
        self._changes.carry_out()
        if self._signal.is_set():
            self._signal.clear()
            self._reload_by_signal()

    def _set(self, camera: str, task: Task, changes: Mapping[str, bool | float | None]) -> TaskSettings:
        settings = self._cameras.set(camera, task, changes)
        runs = f"every {settings.every_s:g} s" if settings.every_s else f"every {settings.every_frames} pictures"
        text = f"{task}: {runs if settings.enabled else 'off'}"
        data = {"task": task, **settings.model_dump(mode="json")}
        self._on_event("settings_changed", text, camera=camera, data=data)
        self._on_changed()
        return settings

    def _restart_camera(self, name: str) -> None:
        self._cameras.restart(name)
        text = "the capture was ended and started again, as was asked for"
        self._on_event("camera_restarted", text, camera=name, data={})

    def _reload_by_signal(self) -> None:
        """As sd_notify(3) has it; a mistake is said, and nothing changes."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            self._reload()
        except EdgeError as error:
            _log.error("%s", error)
        notify("READY=1", f"STATUS={len(self._cameras)} cameras")

    def _reload(self) -> Difference:
        try:
            if self._path is None:
                raise EdgeError("this daemon was not started from a configuration file; restart it")
            changed = difference(self.config, load_config(self._path), self._engines.by_task)
            self._engines.add(changed.effective.engines())
            self._cameras.apply(changed.effective)
        except EdgeError as error:
            keys = [p.key for p in getattr(error, "problems", (error,)) if isinstance(p, ConfigError)]
            self._on_event("reload_failed", f"the configuration stays as it was: {error}", data={"keys": keys})
            raise
        before, self.config = self.config, changed.effective
        self._on_config(before, self.config)
        self.restart_required = changed.restart_required
        applied, later = ", ".join(changed.applied), ", ".join(changed.restart_required)
        text = f"applied: {applied or 'nothing'}" + (f"; a restart is needed for {later}" if later else "")
        _log.info("configuration read again; %s", text)
        self._on_event(
            "reloaded", text, data={"applied": changed.applied, "restart_required": changed.restart_required}
        )
        self._on_changed()
        return changed
