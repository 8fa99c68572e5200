"""Building a plan from outside: the child process, how long it may take, and what its death means."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from edge.errors import BuildError
from edge.inference.trt.builder import BuildRequest
from edge.processes import describe_exit, start_child

_LOOK_EVERY_S = 0.2
_TELL_EVERY_S = 2.0
_END_S = 10.0
"""A child that has closed its output ends within this, or is killed."""
_LIBRARY_MIB = 512
"""What CUDA and TensorRT's libraries take before any model: 310 MiB resident were measured with TensorRT-RTX 1.7.1
without a GPU, and a CUDA context comes to that."""
_ONNX_FACTOR = 8
"""Memory by size of the ONNX file: the bytes, the parsed network, folded and packed weights, and the plan."""


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """Where a build is."""

    model: str
    phase: str
    fraction: float
    """0..1, by TensorRT's own count of steps, which are not equally long."""
    seconds: float

    def __str__(self) -> str:
        """For people."""
        return f"{self.model}: {self.phase}, {self.fraction:.0%}, {self.seconds:.0f} s"


OnProgress = Callable[[BuildProgress], None]


def ignore_progress(_progress: BuildProgress) -> None:
    """Tell nobody."""


def needed_mib(onnx_bytes: int, workspace_mib: int) -> int:
    """Memory that a build may need, MiB."""
    return _LIBRARY_MIB + workspace_mib + _ONNX_FACTOR * (onnx_bytes >> 20)


def check_memory(request: BuildRequest, free_bytes: int | None = None) -> None:
    """Refuse a build that the machine has no memory for; `free_bytes` stands for what is free.

    Raises:
        BuildError: too little is free.
    """
    free_mib = (psutil.virtual_memory().available if free_bytes is None else free_bytes) >> 20
    needed = needed_mib(Path(request.onnx).stat().st_size, request.options.workspace_mib)
    if free_mib < needed:
        raise BuildError(
            f"{request.model}: building may need {needed} MiB of memory and {free_mib} MiB are free; end other "
            f"programs, add swap, or lower inference.build.workspace_mib ({request.options.workspace_mib})"
        )


def run_builder(
    request: BuildRequest, *, on_progress: OnProgress = ignore_progress, stop: threading.Event | None = None
) -> float:
    """Build in a child process; returns how long it took, s.

    The child and all it started are gone when this returns or raises, also on Ctrl-C.

    Args:
        request: what to build, where to, and how long it may take; its paths are absolute.
        on_progress: called on this thread, at least every two seconds.
        stop: set it to give up.

    Raises:
        BuildError: it failed, could not be started, took too long, was stopped, or died; with what the child said last.
    """
    check_memory(request)
    begun_s = time.monotonic()
    with _errors_of(request) as errors:
        child = _start(request, errors)
        try:
            said = _follow(child, request, on_progress, stop)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_S)
        finally:
            _kill(child)
        if child.returncode == 0 and said is None:
            return time.monotonic() - begun_s
        raise BuildError(said or _death(request, child.returncode, _tail(errors)))


def _errors_of(request: BuildRequest) -> IO[bytes]:
    """A file for what the child writes to standard error."""
    try:
        return tempfile.TemporaryFile()
    except OSError as e:
        raise BuildError(f"{request.model}: cannot be built: {e.strerror}; make room, or set TMPDIR elsewhere") from e


def _start(request: BuildRequest, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """The child, which waits for its request."""
    try:
        return start_child(
            "edge.inference.trt.builder",
            stdout=subprocess.PIPE,
            stderr=errors,
            environment={"CUDA_MODULE_LOADING": "LAZY"},  # GPU code is loaded when it is used, which saves memory
        )
    except OSError as e:
        raise BuildError(
            f"{request.model}: the building process cannot be started ({e.strerror}); end other programs, or add swap"
        ) from e


def _follow(
    child: subprocess.Popen[bytes], request: BuildRequest, on_progress: OnProgress, stop: threading.Event | None
) -> str | None:
    """Pass the child's progress on until it ends; what it said went wrong, if it said so."""
    assert child.stdin is not None
    assert child.stdout is not None
    begun_s, told_s = time.monotonic(), 0.0
    partial, error = b"", None
    latest = BuildProgress(request.model, "starting", 0.0, 0.0)
    on_progress(latest)
    try:
        child.stdin.write(request.to_json().encode() + b"\n")
    except BrokenPipeError:
        return None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            seconds = time.monotonic() - begun_s
            _give_up_if_due(request, seconds, stop)
            ready = bool(selector.select(_LOOK_EVERY_S))
            if ready:
                data = os.read(child.stdout.fileno(), 65536)
                if not data:
                    return error
                *lines, partial = (partial + data).split(b"\n")
                for said in map(json.loads, lines):
                    error = said.get("error", error)
                    if "phase" in said:
                        latest = BuildProgress(request.model, said["phase"], said["fraction"], seconds)
            if ready or seconds - told_s >= _TELL_EVERY_S:
                on_progress(BuildProgress(latest.model, latest.phase, latest.fraction, seconds))
                told_s = seconds


def _give_up_if_due(request: BuildRequest, seconds: float, stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise BuildError(f"{request.model}: building was interrupted after {seconds:.0f} s; nothing of it remains")
    if seconds > request.options.timeout_s:
        raise BuildError(
            f"{request.model}: building took longer than {request.options.timeout_s:g} s; raise "
            f"inference.build.timeout_s, or lower inference.build.level ({request.options.level})"
        )


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Nothing of the child runs on, and nothing of it is held."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):
            assert pipe is not None
            pipe.close()


def _tail(errors: IO[bytes]) -> str:
    """The end of what the child wrote to standard error."""
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-4:])


def _death(request: BuildRequest, status: int, said: str) -> str:
    """Why a child that told no reason ended."""
    if status == -signal.SIGKILL:
        return (
            f"{request.model}: the building process was killed, as Linux does when memory runs out; end other "
            f"programs, add swap, raise the service's MemoryMax, or lower inference.build.workspace_mib "
            f"({request.options.workspace_mib})"
        )
    return (
        f"{request.model}: the building process {describe_exit(status)}: {said or 'it said nothing'}. Try another "
        "inference.build.level; ONNX Runtime serves meanwhile"
    )
