"""A GPU and TensorRT's runtime, acted in memory: for tests of what speaks to them, on machines without one.

Only hardware is acted. Memory is real: an address is that of a NumPy array, and copying copies bytes. A stream does
nothing until it is waited for, so code that reads too early reads what was there before. While a stream is captured,
what is enqueued is kept in the graph, with its addresses, and not done. A context must be current for whatever touches
the GPU. "Device memory" that does not belong to the GPU, or an address that is not aligned, is an error.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

ALIGNMENT_BYTES = 256


class CudaError(Exception):
    """`pycuda.driver.Error`."""


class Card:
    """One GPU: its memory, its streams, and what goes wrong with it."""

    def __init__(self, *, integrated: bool = False) -> None:
        self.integrated = integrated
        self.memory: dict[int, np.ndarray[Any, Any]] = {}
        """Device memory, or host memory that is mapped, by address."""
        self.allocations = 0
        """How often memory was asked for."""
        self.copied_bytes = 0
        self.replays = 0
        self.broken: str | None = None
        """Every call fails with it."""
        self.loads = True
        """Whether there is room for plans."""
        self.replay: Callable[[list[Callable[[], None]]], None] = lambda work: [do() for do in work] and None
        self.current: dict[int, list[object]] = {}
        self.native: Callable[[bytes], bytes | None] = lambda plan: None
        """What a plan that TensorRT really built computes, as `plan_of`; None: the card refuses it."""

    def check(self) -> None:
        """Every call: a context is current and the card works."""
        if not self.current.get(threading.get_ident()):
            raise CudaError("invalid device context")
        if self.broken is not None:
            raise CudaError(self.broken)

    def at(self, address: int, size_bytes: int) -> np.ndarray[Any, Any]:
        """The bytes at an address that the GPU may touch."""
        for base, memory in self.memory.items():
            if base <= address and address + size_bytes <= base + memory.nbytes:
                return memory.reshape(-1).view(np.uint8)[address - base :][:size_bytes]
        raise CudaError("an illegal memory access was encountered")

    def reserve(self, size_bytes: int) -> np.ndarray[Any, Any]:
        """Aligned bytes, of 0x55."""
        self.check()
        self.allocations += 1
        whole = np.full(size_bytes + ALIGNMENT_BYTES, 0x55, np.uint8)
        return whole[-whole.ctypes.data % ALIGNMENT_BYTES :][:size_bytes]


class _Context:
    def __init__(self, card: Card) -> None:
        self._card = card

    def push(self) -> None:
        self._card.current.setdefault(threading.get_ident(), []).append(self)

    def pop(self) -> None:
        self._card.current[threading.get_ident()].pop()


class _Stream:
    def __init__(self, card: Card) -> None:
        card.check()
        self.card, self.queue, self.graph = card, list[Callable[[], None]](), None
        self.handle = id(self)
        _STREAMS[self.handle] = self

    def enqueue(self, do: Callable[[], None]) -> None:
        self.card.check()
        (self.queue if self.graph is None else self.graph).append(do)

    def finish(self) -> None:
        if self.graph is not None:
            raise CudaError("operation not permitted when stream is capturing")
        while self.queue:
            self.queue.pop(0)()


_STREAMS: dict[int, _Stream] = {}


class _Event:
    def __init__(self, card: Card) -> None:
        self._card, self._stream = card, None

    def record(self, stream: _Stream) -> None:
        self._card.check()
        self._stream = stream

    def synchronize(self) -> None:
        self._card.check()
        assert self._stream is not None
        self._stream.finish()


class _DeviceMemory:
    def __init__(self, card: Card, size_bytes: int) -> None:
        bytes_ = card.reserve(size_bytes)
        self._card, self._address = card, bytes_.ctypes.data
        card.memory[self._address] = bytes_

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._card.check()
        del self._card.memory[self._address]


class _HostMemory(np.ndarray):  # type: ignore[type-arg]
    """Page-locked memory; NumPy arrays made from it have it as their base, as with pycuda."""

    def get_device_pointer(self) -> int:
        assert self.ctypes.data in _MAPPED, "not mapped"
        return int(self.ctypes.data)


_MAPPED: set[int] = set()


def _pinned(card: Card, shape: tuple[int, ...], mem_flags: int) -> np.ndarray[Any, Any]:
    bytes_ = card.reserve(int(np.prod(shape)) * 4)
    if mem_flags:
        card.memory[bytes_.ctypes.data] = bytes_
        _MAPPED.add(bytes_.ctypes.data)
    base = np.ndarray.__new__(_HostMemory, bytes_.shape, np.uint8, buffer=bytes_)
    return _Pinned(shape, base)


class _Pinned(np.ndarray):  # type: ignore[type-arg]
    """An array whose base is the allocation, as pycuda's is."""

    allocation: Any

    def __new__(cls, shape: tuple[int, ...], allocation: Any) -> Any:
        array = np.ndarray.__new__(cls, shape, np.float32, buffer=allocation)
        array.allocation = allocation
        return array

    def __array_finalize__(self, parent: Any) -> None:
        self.allocation = getattr(parent, "allocation", None)

    @property
    def base(self) -> Any:
        return self.allocation


def pycuda_of(card: Card) -> tuple[ModuleType, ModuleType]:
    """`pycuda` and `pycuda.driver`."""
    driver: Any = ModuleType("pycuda.driver")
    driver.Error = CudaError
    driver.device_attribute = SimpleNamespace(INTEGRATED="integrated")
    driver.event_flags = SimpleNamespace(BLOCKING_SYNC=1, DISABLE_TIMING=2)
    driver.host_alloc_flags = SimpleNamespace(DEVICEMAP=2)

    def init() -> None:
        if card.broken is not None:
            raise CudaError(card.broken)

    def htod(dest: int, src: np.ndarray[Any, Any], stream: _Stream) -> None:
        assert src.flags.c_contiguous
        at, size = src.ctypes.data, src.nbytes

        def do() -> None:
            card.at(dest, size)
            ctypes.memmove(dest, at, size)
            card.copied_bytes += size

        stream.enqueue(do)

    def dtoh(dest: np.ndarray[Any, Any], src: int, stream: _Stream) -> None:
        assert dest.flags.c_contiguous
        at, size = dest.ctypes.data, dest.nbytes

        def do() -> None:
            card.at(src, size)
            ctypes.memmove(at, src, size)
            card.copied_bytes += size

        stream.enqueue(do)

    def fill(dest: int, value: int, size: int, stream: _Stream) -> None:
        stream.enqueue(lambda: card.at(dest, size).fill(value))

    device = SimpleNamespace(
        retain_primary_context=lambda: _Context(card), get_attribute=lambda name: int(card.integrated)
    )
    driver.init, driver.Device = init, lambda number: device
    driver.Stream, driver.Event = lambda flags=0: _Stream(card), lambda flags=0: _Event(card)
    driver.mem_alloc = lambda size: _DeviceMemory(card, size)
    driver.pagelocked_empty = lambda shape, dtype, mem_flags=0: _pinned(card, tuple(shape), mem_flags)
    driver.memcpy_htod_async, driver.memcpy_dtoh_async, driver.memset_d8_async = htod, dtoh, fill
    package: Any = ModuleType("pycuda")
    package.__spec__ = ModuleSpec("pycuda", None)
    package.driver = driver
    return package, driver


def cuda_bindings_of(card: Card) -> ModuleType:
    """`cuda.bindings.driver`, as far as graphs go."""
    driver: Any = ModuleType("cuda.bindings.driver")
    driver.CUstream = lambda handle: _STREAMS[handle]
    driver.CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def begin(stream: _Stream, mode: int) -> tuple[int]:
        stream.graph = []  # type: ignore[assignment]
        return (0,)

    def end(stream: _Stream) -> tuple[int, object]:
        graph, stream.graph = stream.graph, None
        return (0, graph)

    def launch(graph: list[Callable[[], None]], stream: _Stream) -> tuple[int]:
        card.replays += 1
        stream.enqueue(lambda: card.replay(graph))
        return (0,)

    driver.cuStreamBeginCapture, driver.cuStreamEndCapture = begin, end
    driver.cuGraphInstantiate = lambda graph, flags: (0, graph)
    driver.cuGraphLaunch = launch
    driver.cuGraphDestroy = driver.cuGraphExecDestroy = lambda graph: (0,)
    return driver


def plan_of(
    *,
    shape: tuple[int, int, int] = (3, 24, 32),
    max_batch: int = 4,
    dynamic: bool = True,
    gain: float = 2.0,
    input_name: str = "image",
    outputs: tuple[str, ...] = ("depth",),
    type_: str = "FLOAT",
) -> bytes:
    """A "plan" that says: depth = gain x mean over the channels."""
    return json.dumps(
        {
            "shape": shape,
            "max_batch": max_batch,
            "dynamic": dynamic,
            "gain": gain,
            "input": input_name,
            "outputs": outputs,
            "type": type_,
        }
    ).encode()


class _Engine:
    def __init__(self, card: Card, plan: dict[str, Any]) -> None:
        self._card, self._plan = card, plan
        self.names = [plan["input"], *plan["outputs"]]
        self.num_io_tensors = len(self.names)
        self.device_memory_size_v2 = 1024

    def get_tensor_name(self, i: int) -> str:
        return str(self.names[i])

    def get_tensor_mode(self, name: str) -> str:
        return "INPUT" if name == self._plan["input"] else "OUTPUT"

    def get_tensor_dtype(self, name: str) -> str:
        return str(self._plan["type"])

    def row(self, name: str) -> tuple[int, ...]:
        c, h, w = self._plan["shape"]
        return (c, h, w) if name == self._plan["input"] else (1, h, w)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1 if self._plan["dynamic"] else 1, *self.row(name))

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [(n, *self.row(name)) for n in (1, 1, self._plan["max_batch"])]

    def create_execution_context(self, strategy: str) -> _ExecutionContext:
        assert strategy == "USER_MANAGED"
        return _ExecutionContext(self._card, self, self._plan)


class _ExecutionContext:
    """TensorRT's: bound to shapes and addresses, which a captured graph freezes."""

    def __init__(self, card: Card, engine: _Engine, plan: dict[str, Any]) -> None:
        self._card, self._engine, self._plan = card, engine, plan
        self._addresses: dict[str, int] = {}
        self._rows = 0 if plan["dynamic"] else 1
        self._scratch = 0
        self._captured = False

    def set_device_memory(self, address: int, size_bytes: int) -> None:
        self._card.at(address, size_bytes)
        self._scratch = address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert not self._captured, "a context that a graph was captured from was changed"
        limit = self._plan["max_batch"] if self._plan["dynamic"] else 1
        if not 1 <= shape[0] <= limit or tuple(shape[1:]) != self._engine.row(name):
            return False
        self._rows = shape[0]
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self._rows, *self._engine.row(name))

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert not self._captured, "a context that a graph was captured from was changed"
        self._addresses[name] = address
        return address % ALIGNMENT_BYTES == 0

    def execute_async_v3(self, handle: int) -> bool:
        stream = _STREAMS[handle]
        if set(self._addresses) != set(self._engine.names) or not self._scratch or not self._rows:
            return False
        rows, addresses = self._rows, dict(self._addresses)
        self._captured = self._captured or stream.graph is not None

        def floats(name: str) -> np.ndarray[Any, Any]:
            shape = (rows, *self._engine.row(name))
            return self._card.at(addresses[name], int(np.prod(shape)) * 4).view(np.float32).reshape(shape)

        def do() -> None:
            mean = floats(self._plan["input"]).mean(axis=1, keepdims=True)
            for name in self._plan["outputs"]:
                floats(name)[:] = self._plan["gain"] * mean

        stream.enqueue(do)
        return True


def tensorrt_of(card: Card, name: str = "tensorrt", version: str = "10.3.0") -> ModuleType:
    """`tensorrt`, or the package of that name, as far as running goes."""
    trt: Any = ModuleType(name)
    trt.__spec__, trt.__version__ = ModuleSpec(name, None), version
    trt.DataType = SimpleNamespace(FLOAT="FLOAT", HALF="HALF")
    trt.TensorIOMode = SimpleNamespace(INPUT="INPUT", OUTPUT="OUTPUT")
    trt.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="USER_MANAGED")

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
            card.check()
            if not card.loads:
                self._logger.log(ILogger.ERROR, "Error Code 1: Cuda Runtime (out of memory)")
                return None
            try:
                return _Engine(card, json.loads(card.native(plan) or plan))
            except ValueError:
                self._logger.log(ILogger.ERROR, "Serialization assertion failed: magic tag does not match")
                return None

    trt.ILogger, trt.Runtime = ILogger, Runtime
    return trt
