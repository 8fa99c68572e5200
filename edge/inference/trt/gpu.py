"""CUDA on one thread: pycuda's context, memory and stream; CUDA graphs through cuda-bindings where installed."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError

_log = logging.getLogger(__name__)

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING of cuda.h, which pycuda has no name for: no other library's default stream stops ours."""
_DEVICES = ("nvidia[0-9]*", "nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu")
"""Device files of NVIDIA's GPUs: cards, and those of Jetsons."""

Float32 = npt.NDArray[np.float32]


def has_nvidia_gpu(root: Path = Path("/")) -> bool:
    """Whether the kernel shows an NVIDIA GPU, whatever software is installed for it."""
    return any(next((root / "dev").glob(pattern), None) is not None for pattern in _DEVICES)


def pycuda_driver() -> Any:
    """`pycuda.driver`.

    Raises:
        EngineError: it, or CUDA's driver, is not installed.
    """
    try:
        import pycuda.driver
    except ImportError as e:
        raise EngineError(
            f"pycuda cannot be loaded ({e}); TensorRT is run through it and NVIDIA's driver: `pip install pycuda`, "
            "which compiles with CUDA's toolkit (Jetson: `sudo apt install nvidia-jetpack`, and /usr/local/cuda/bin "
            "in PATH)"
        ) from e
    return pycuda.driver


class Gpu:
    """The first GPU's primary context, one stream and one event; where CUDA's errors become ours."""

    def __init__(self, name: str) -> None:
        """Everything is used on the thread that makes it; `name`: whose it is, for messages.

        Raises:
            EngineError: no pycuda, no driver or no GPU.
        """
        self.name, self._owner, self.cuda = name, threading.get_ident(), pycuda_driver()
        with self._translated():
            self.cuda.init()
            device = self.cuda.Device(0)
            self._context = device.retain_primary_context()
            self.integrated = bool(device.get_attribute(self.cuda.device_attribute.INTEGRATED))
        with self.active():
            self.stream = self.cuda.Stream(_NON_BLOCKING)
            flags = self.cuda.event_flags
            # The thread sleeps while it waits: cameras and the publisher need the cores.
            self._done = self.cuda.Event(int(flags.BLOCKING_SYNC) | int(flags.DISABLE_TIMING))

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the context current for a while.

        Raises:
            EngineError: another thread than the one that made it, or CUDA failed.
        """
        if threading.get_ident() != self._owner:
            raise EngineError(f"{self.name}: used on another thread than the one that loaded it; load it there")
        with self._translated():
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.cuda.Error as e:
            raise EngineError(
                f"{self.name}: CUDA failed ({e}); see `sudo dmesg` for the driver's reason, and restart if it stays"
            ) from e

    def pinned(self, shape: tuple[int, ...]) -> Float32:
        """Page-locked memory, zeroed; on an integrated GPU it is mapped: see `mapped`."""
        flags = self.cuda.host_alloc_flags.DEVICEMAP if self.integrated else 0
        memory: Float32 = self.cuda.pagelocked_empty(shape, np.float32, mem_flags=flags)
        memory.fill(0)
        return memory

    def wait(self) -> None:
        """Until all that was enqueued is done."""
        self._done.record(self.stream)
        self._done.synchronize()


def address_of(array: Float32) -> int:
    """Where the array is in the host's memory."""
    return int(array.__array_interface__["data"][0])


def mapped(memory: Float32) -> int:
    """Where an integrated GPU sees an array that `Gpu.pinned` made."""
    base: Any = memory.base
    return int(base.get_device_pointer())


class GraphError(Exception):
    """CUDA would not capture or replay; in words."""


class Graphs:
    """CUDA graphs on pycuda's stream: pycuda has none, cuda-bindings has."""

    def __init__(self, driver: Any, stream: Any) -> None:
        """`driver`: `cuda.bindings.driver`."""
        self._driver, self._stream = driver, driver.CUstream(stream.handle)

    def capture(self, enqueue: Callable[[], bool]) -> Any:
        """What `enqueue` puts on the stream, as a graph to launch; `enqueue` says whether it could.

        Raises:
            GraphError: it cannot be captured.
        """
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._checked(self._driver.cuStreamBeginCapture(self._stream, mode))
        enqueued = enqueue()
        graph = self._checked(self._driver.cuStreamEndCapture(self._stream))
        try:
            if not enqueued:
                raise GraphError("the network cannot be enqueued while capturing")
            return self._checked(self._driver.cuGraphInstantiate(graph, 0))
        finally:
            self._driver.cuGraphDestroy(graph)

    def launch(self, graph: Any) -> None:
        """Replay on the stream.

        Raises:
            GraphError: CUDA refuses.
        """
        self._checked(self._driver.cuGraphLaunch(graph, self._stream))

    def destroy(self, graph: Any) -> None:
        """Free a graph; where CUDA no longer can, there is nothing to be done."""
        self._driver.cuGraphExecDestroy(graph)

    def _checked(self, result: tuple[Any, ...]) -> Any:
        if int(result[0]) != 0:
            raise GraphError(f"CUDA says {getattr(result[0], 'name', result[0])}")
        return result[1] if len(result) > 1 else None


def open_graphs(gpu: Gpu) -> Graphs | None:
    """None, and a line in the log, where cuda-bindings is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError as e:
        _log.info("%s: no CUDA graphs: cuda-bindings is not installed (%s)", gpu.name, e)
        return None
    return Graphs(driver, gpu.stream)
