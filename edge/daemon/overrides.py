"""What the request `set` changed of the configuration, kept over restarts in a file of its own."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import PlanError
from edge.keep.files import read_private, write_private
from edge.mqtt.messages import TaskSettings
from edge.scene import Task

_log = logging.getLogger(__name__)

_LARGEST_BYTES = 1 << 20
_REMEDY = "make room, or set requests.overrides to a file that the user who runs edge may write"

Setting = Literal["enabled", "every_s"]


class _Override(BaseModel):
    """What differs from the configuration for one task of one camera."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    camera: str
    task: Task
    enabled: bool | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["edge.overrides/1"] = Field(default="edge.overrides/1", alias="schema")
    tasks: tuple[_Override, ...]


class Overrides:
    """The file and what stands in it. Not for several threads at once."""

    def __init__(self, path: Path | None) -> None:
        """Read it; one that cannot be read or understood is set aside, and said in `problem`.

        `path`: None: nothing was set before, and nothing is kept.
        """
        self.path = path
        self.problem: str | None = None
        self._tasks: dict[tuple[str, Task], _Override] = {}
        if path is None:
            return
        try:
            self._tasks = {(o.camera, o.task): o for o in _read(path)}
        except (PlanError, ValidationError, ValueError) as error:
            if not (isinstance(error, PlanError) and error.reason == "missing" and not path.exists()):
                self._set_aside(path, str(error).split("\n", 1)[0])

    def _set_aside(self, path: Path, why: str) -> None:
        beside = path.with_name(path.name + ".bad")
        with contextlib.suppress(OSError):
            os.replace(path, beside)
        self.problem = f"{path} could not be used ({why}), so tasks run as configured; it is now {beside.name}"
        _log.warning("%s", self.problem)

    def settings(self, camera: str, task: Task, every_s: float | None, every_frames: int | None) -> TaskSettings:
        """How a task runs: as set, else as configured, which is what is given."""
        found = self._tasks.get((camera, task))
        if found is None:
            return TaskSettings(enabled=True, every_s=every_s, every_frames=every_frames)
        differs: list[Setting] = []
        if found.enabled is not None:
            differs.append("enabled")
        if found.every_s is not None:
            differs.append("every_s")
            every_s, every_frames = found.every_s, None
        return TaskSettings(
            enabled=found.enabled is not False, every_s=every_s, every_frames=every_frames, overridden=tuple(differs)
        )

    def change(
        self, camera: str, task: Task, changes: Mapping[str, bool | float | None], cameras: Collection[str]
    ) -> None:
        """Set what is given, None for as configured, and write the file.

        Args:
            camera: whose task.
            task: which.
            changes: of `enabled` and `every_s`.
            cameras: those that are configured; what was set for others is forgotten.

        Raises:
            EngineError: it cannot be written; all stays as it was.
        """
        key = (camera, task)
        before = self._tasks.get(key) or _Override(camera=camera, task=task)
        after = _Override.model_validate(before.model_dump() | dict(changes))
        tasks = {k: o for k, o in self._tasks.items() if k != key and o.camera in cameras}
        if after.enabled is not None or after.every_s is not None:
            tasks[key] = after
        file = _File(tasks=tuple(tasks.values()))
        if self.path is not None:
            write_private(self.path, file.model_dump_json(by_alias=True, indent=2).encode(), remedy=_REMEDY)
        self._tasks, self.problem = tasks, None


def _read(path: Path) -> tuple[_Override, ...]:
    data = read_private(path)
    if len(data) > _LARGEST_BYTES:
        raise ValueError(f"{len(data)} bytes are too many")
    return _File.model_validate_json(data).tasks
