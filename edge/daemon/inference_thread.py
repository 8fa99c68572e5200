"""The thread that steps the pipeline until the daemon stops; the supervisor learns of its death, and starts another."""

from __future__ import annotations

import logging
import threading
import time

from edge.pipeline.pipeline import Pipeline

_log = logging.getLogger(__name__)

_IDLE_S = 0.002


class InferenceThread:
    """Runs one pipeline. For the supervisor's thread."""

    def __init__(self, pipeline: Pipeline, stop: threading.Event) -> None:
        self._pipeline, self._stop = pipeline, stop
        self._died: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or begin anew after it died: what was running then is forgotten."""
        if self._thread is not None:
            self._pipeline.recover()
        self._thread = threading.Thread(target=self._run, name="edge-inference", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self._thread is not None and self._thread.is_alive()

    def take_death(self) -> BaseException | None:
        """What it died of since the last call."""
        error, self._died = self._died, None
        return error

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended, or never began, waiting so long for it."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._pipeline.step():
                    time.sleep(_IDLE_S)
            self._pipeline.changes.end()  # the supervisor may wait for one
        except BaseException as error:  # noqa: BLE001 - the supervisor's: reported, and the thread started again
            _log.exception("inference died")
            self._died = error
