"""Which tasks fail, and when that is worth an event: texts may vary with every frame, and events are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from edge.errors import EdgeError
from edge.scene import Task

_AGAIN_S = 60.0
_OTHERWISE_S = 1.0

Key = tuple[str, Task]
"""(camera, task)."""


class Failing:
    """The last error of each task that fails. `succeeded` and `failed` are for one thread, `errors` for any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._errors: dict[Key, EdgeError] = {}
        self._said: dict[Key, tuple[float, type[EdgeError]]] = {}

    def succeeded(self, key: Key) -> None:
        """It gave a result."""
        self._errors.pop(key, None)

    def failed(self, key: Key, error: EdgeError) -> bool:
        """It failed on a frame.

        Returns:
            Whether to say so: once a minute, and sooner, but not more than once a second, for another kind of error.
        """
        self._errors[key] = error
        now_s, kind = self._clock(), type(error)
        if key in self._said:
            said_s, said = self._said[key]
            if now_s - said_s < (_AGAIN_S if said is kind else _OTHERWISE_S):
                return False
        self._said[key] = (now_s, kind)
        return True

    def forget(self, kept: Collection[Key]) -> None:
        """Tasks that are not in `kept` are gone; one that comes back and fails is said at once."""
        for key in self._said.keys() - set(kept):
            self._errors.pop(key, None)
            self._said.pop(key, None)

    def errors(self) -> Mapping[Key, EdgeError]:
        """What fails now."""
        return self._errors.copy()
