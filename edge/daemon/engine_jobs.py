"""Engines built, installed and taken back while the daemon serves: by a process of its own, one at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from edge.errors import EngineError
from edge.processes import describe_exit, start_child

_END_S = 2.0
_KILL_S = 0.5
_MOST_SAID = 2000

What = Literal["build", "install"]


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a build or an installation ended, for `bridge/event`."""

    kind: str
    message: str
    data: dict[str, Any]


class _Child:
    """`edge engines ...` as a child, with what it writes."""

    def __init__(self, arguments: Sequence[str]) -> None:
        with contextlib.ExitStack() as files:
            try:
                self._out: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
                self._err: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
                self.popen = start_child(
                    "edge.daemon.engine_child", ["engines", *arguments], stdout=self._out.fileno(), stderr=self._err
                )
            except OSError as error:
                raise EngineError(
                    f"no process can be started ({error.strerror}); free memory or disk, and ask again"
                ) from error
            self._files = files.pop_all()

    def end(self, patience_s: float = _END_S) -> tuple[str, str]:
        """Make it end if it has not; what it wrote to standard output and to standard error."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):  # it sits in the kernel
                    self.popen.wait(_KILL_S)
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace").strip())
        self._files.close()
        return texts[0], texts[1]


class EngineJobs:
    """Builds, installs and takes back. `take_end` and `stop`: for the supervisor, all else for who answers requests."""

    def __init__(self, config: Path | None) -> None:
        """`config`: the configuration's file; None: there is none, and nothing can be built."""
        self._config = config
        self._lock = threading.Lock()
        self._job: tuple[_Child, What, str | None] | None = None
        """What runs, what it does, and for which engine alone."""

    def begin_build(self, options: Sequence[str], engine: str | None) -> None:
        """Begin to build; `options` as for `edge engines build`.

        Raises:
            EngineError: a build is going on, or no process can be started.
        """
        self._begin("build", [*options, "--json"], engine)

    def begin_install(self, options: Sequence[str]) -> None:
        """Begin to fetch, prove and install a package; `options` as for `edge engines install`.

        Raises:
            EngineError: a build is going on, or no process can be started.
        """
        self._begin("install", options, None)

    def _begin(self, what: What, options: Sequence[str], engine: str | None) -> None:
        with self._lock:
            if self._job is not None:
                other = self._job[1]
                raise EngineError(f"another {other} goes on already; wait for the event engine_{other}_done or _failed")
            self._job = _Child([what, *options, *self._config_option()]), what, engine

    def _config_option(self) -> list[str]:
        if self._config is None:
            raise EngineError("this daemon was not started from a configuration file; build with `edge engines build`")
        return ["--config", str(self._config.absolute())]

    def take_end(self) -> JobEnd | None:
        """How what was begun ended, once."""
        with self._lock:
            if self._job is None or self._job[0].popen.poll() is None:
                return None
            (child, what, engine), self._job = self._job, None
        status = child.popen.returncode
        out, err = child.end()
        if what == "install":
            if status == 0:
                return JobEnd("engine_install_done", out[-_MOST_SAID:], {})
            why = err[-_MOST_SAID:] or describe_exit(status)
            return JobEnd("engine_install_failed", f"nothing was installed: {why}", {})
        try:
            built = json.loads(out) if out else []
        except ValueError:
            built = []
        notes = [f"{one['engine']} {one['precision']}: {one['note']}" for one in built]
        if status == 0:
            text = "; ".join(notes) or "nothing to build"
            return JobEnd("engine_build_done", f"{text}; the next start uses it", {"engines": built})
        why = "; ".join(note for note in notes) or err[-_MOST_SAID:] or describe_exit(status)
        return JobEnd("engine_build_failed", f"engines were not built: {why}", {"engine": engine})

    def rollback(self, engine: str, within_s: float) -> str:
        """Reject the engine's current plan; what was said of it.

        Raises:
            EngineError: there is no such engine, nothing to go back to, or it took too long.
        """
        child = _Child(["rollback", engine, *self._config_option()])
        try:
            status = child.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            child.end()
            raise EngineError(
                f"{engine}: not taken back within {within_s:g} s; see what keeps the machine busy"
            ) from None
        out, err = child.end()
        if status != 0:
            raise EngineError(err[-_MOST_SAID:] or f"taking {engine} back {describe_exit(status)}; see the log")
        return out

    def stop(self, within_s: float) -> None:
        """End what is being built or installed, by force then; nothing of it remains."""
        with self._lock:
            if self._job is not None:
                self._job[0].end(within_s)
                self._job = None
