"""TensorRT backend: a plan on the first NVIDIA GPU.

One stream and one set of page-locked buffers per model. A GPU with memory of its own gets each batch copied there and
its answer copied back; an integrated one (Jetson) reads and writes the page-locked memory itself. Nothing is allocated
per frame. What a batch size enqueues is captured once as a CUDA graph and replayed.
"""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from edge.errors import EngineError, ManifestError, PlanError
from edge.inference.base import Arrays
from edge.inference.manifest import Manifest, Precision
from edge.inference.signature import Tensor, check_signature
from edge.inference.trt.gpu import Float32, Gpu, GraphError, address_of, mapped, open_graphs
from edge.inference.trt.platform import error_logger, tensorrt_module

_log = logging.getLogger(__name__)

_ALIGNMENT_BYTES = 256
"""Of every address that TensorRT is given (NvInferRuntime.h, IExecutionContext::setTensorAddress)."""
_GRAPHS = 8
"""Graphs kept: each has an execution context, as one that was captured from must not be changed (TensorRT's
documentation, CUDA graphs). Scratch memory is shared. Further batch sizes run without a graph."""
_GRAPH_TOLERANCE = 1e-3
"""How far a replay may be from the eager run, of the largest value: sums in another order, never stale memory."""
_OF_THE_GPU = re.compile(r"cuda|memory", re.IGNORECASE)
"""In what TensorRT says when it is not the plan that is at fault."""


@dataclass(slots=True)
class _Output:
    """An output's memory: two page-locked arrays taking turns, and what TensorRT writes into."""

    row: tuple[int, ...]
    hosts: tuple[Float32, Float32]
    addresses: tuple[int, int]
    """For the GPU, by turn: the same for both where the GPU has memory of its own."""
    device: Any
    """That memory; None on an integrated GPU."""


class _Work:
    """An execution context bound to a batch size and to addresses."""

    def __init__(self, context: Any, input_name: str) -> None:
        self._context, self._input = context, input_name
        self._rows = 0
        self._addresses: dict[str, int] = {}
        self.graph: Any = None

    def bind(self, shape: tuple[int, ...], addresses: dict[str, int]) -> bool:
        """Set what changed; False if TensorRT refuses."""
        fine = True
        if self._rows != shape[0]:
            fine = bool(self._context.set_input_shape(self._input, shape))
            self._rows = shape[0]
        for name, address in addresses.items():
            if self._addresses.get(name) != address:
                fine = bool(self._context.set_tensor_address(name, address)) and fine
                self._addresses[name] = address
        return fine

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape that a tensor has for the batch that is bound."""
        return tuple(self._context.get_tensor_shape(name))

    def enqueue(self, stream: Any) -> bool:
        """Run on the stream; False if TensorRT refuses."""
        return bool(self._context.execute_async_v3(stream.handle))


class TrtBackend:
    """A plan in TensorRT, checked against the model's manifest when loaded; used on the thread that loaded it."""

    def __init__(
        self, plan: bytes, manifest: Manifest, *, precision: Precision = "fp32", cuda_graph: bool = True
    ) -> None:
        """Load and check.

        Args:
            plan: built on this machine and already verified, as it is native code.
            manifest: what the model must be.
            precision: of the ONNX file that it was built from.
            cuda_graph: capture what a batch size enqueues when it first comes, and replay it.

        Raises:
            EngineError: no TensorRT, no pycuda, no GPU, or CUDA failed.
            PlanError: `refused`: TensorRT does not take the plan.
            ManifestError: its inputs or outputs are not what the manifest says.
        """
        trt = tensorrt_module()
        self.provider = f"{'TensorRT' if trt.__name__ == 'tensorrt' else 'TensorRT-RTX'} {trt.__version__}"
        self.precision: Precision = precision
        self.degraded: str | None = None
        self._name, self._shape = manifest.name, manifest.input.shape
        self._input, self._wanted = manifest.input.name, manifest.output_names
        self._messages: list[str] = []
        self._works: dict[tuple[int, int, int], _Work] = {}
        self._outputs: dict[str, _Output] = {}
        self._pinned: list[Float32] = []
        self._device: list[Any] = []
        self._turn = 0
        self._gpu = Gpu(manifest.name)
        self._graphs = None
        try:
            with self._gpu.active():
                self._load(trt, plan, manifest)
                self._graphs = open_graphs(self._gpu) if cuda_graph else None
        except BaseException:
            with contextlib.suppress(EngineError):  # what went wrong first is said
                self.close()
            raise

    # Loading ----------------------------------------------------------------------------------------------------------

    def _load(self, trt: Any, plan: bytes, manifest: Manifest) -> None:
        self._logger = error_logger(trt, self._messages)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._refused(self._said())
        dynamic = check_signature(f"the plan of {self._name}", manifest, *self._signature(trt))
        self.max_batch = self._largest_batch() if dynamic else 1
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        self._scratch_bytes = int(self._engine.device_memory_size_v2)
        self._scratch = self._on_device(max(self._scratch_bytes, 1))
        self._work = self._new_work()
        self._allocate_buffers()

    def _refused(self, said: str) -> EngineError:
        """Why there is no engine: the GPU's fault, or the plan's."""
        if _OF_THE_GPU.search(said):
            return EngineError(
                f"{self._name}: {self.provider} cannot load the plan on this GPU now ({said}); check the driver with "
                "nvidia-smi, and close what else uses the GPU's memory"
            )
        return PlanError(
            "refused",
            f"{self._name}: {self.provider} does not take the plan ({said}); build it anew: `edge engines build "
            f"{self._name} --force`",
        )

    def _said(self) -> str:
        """What TensorRT logged since the last time."""
        said = "; ".join(self._messages)
        self._messages.clear()
        return said or "it gives no reason"

    def _signature(self, trt: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs and outputs of the engine."""
        engine = self._engine
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            kind = engine.get_tensor_dtype(name)
            tensor = Tensor(tuple(engine.get_tensor_shape(name)), str(kind), kind == trt.DataType.FLOAT)
            (inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs)[name] = tensor
        self._given = tuple(outputs)
        return inputs, outputs

    def _largest_batch(self) -> int:
        smallest, _, largest = (tuple(dims)[0] for dims in self._engine.get_tensor_profile_shape(self._input, 0))
        if smallest != 1:
            raise ManifestError(
                f"the plan of {self._name} takes batches of {smallest} to {largest}, not of 1; build it anew: `edge "
                f"engines build {self._name} --force`"
            )
        return int(largest)

    def _on_device(self, size_bytes: int) -> Any:
        """Memory of the GPU."""
        memory = self._gpu.cuda.mem_alloc(size_bytes)
        self._device.append(memory)
        return memory

    def _new_work(self) -> _Work:
        """Another execution context; they share the scratch memory, as they run one after the other on one stream."""
        context = self._engine.create_execution_context(self._strategy)
        if context is None:
            raise EngineError(
                f"{self._name}: {self.provider} cannot run it here ({self._said()}); close what else uses the GPU's "
                "memory, or set a smaller inference.build.max_batch"
            )
        context.set_device_memory(int(self._scratch), self._scratch_bytes)
        return _Work(context, self._input)

    def _allocate_buffers(self) -> None:
        """Memory for the largest batch."""
        gpu, most = self._gpu, self.max_batch
        self._bind(self._work, (most, *self._shape[1:]), {})
        self._staging = self.allocate(most)
        self._device_input = None if gpu.integrated else int(self._on_device(self._staging.nbytes))
        for name in self._given:
            shape = self._work.shape_of(name)
            if shape[:1] != (most,) or min(shape) < 1:
                raise ManifestError(
                    f"the plan of {self._name}: output {name!r} is {list(shape)} for a batch of {most}; export the "
                    "model with a dynamic batch and fixed sizes"
                )
            hosts = (gpu.pinned(shape), gpu.pinned(shape))
            if gpu.integrated:
                self._outputs[name] = _Output(shape[1:], hosts, (mapped(hosts[0]), mapped(hosts[1])), None)
            else:
                device = int(self._on_device(hosts[0].nbytes))
                self._outputs[name] = _Output(shape[1:], hosts, (device, device), device)

    # Running ----------------------------------------------------------------------------------------------------------

    def allocate(self, rows: int) -> Float32:
        """See `Backend.allocate`: page-locked memory, made on the backend's thread and kept until `close`."""
        with self._gpu.active():
            memory = self._gpu.pinned((rows, *self._shape[1:]))
        self._pinned.append(memory)
        return memory

    def run(self, batch: Float32) -> Arrays:
        """See `Backend.run`; more rows than `max_batch` are run in pieces."""
        rows, most = len(batch), self.max_batch
        if batch.shape[1:] != self._shape[1:] or not rows or batch.dtype != np.float32:
            raise EngineError(
                f"{self._name}: takes float32 (N, {', '.join(map(str, self._shape[1:]))}), not {batch.dtype} "
                f"{batch.shape}; prepare the picture by the model's manifest"
            )
        with self._gpu.active():
            if rows <= most:
                return self._infer(batch)
            whole = {name: np.empty((rows, *self._outputs[name].row), np.float32) for name in self._wanted}
            for at in range(0, rows, most):
                for name, piece in self._infer(batch[at : at + most]).items():
                    whole[name][at : at + len(piece)] = piece
            return whole

    def _infer(self, batch: Float32) -> Arrays:
        """At most `max_batch` rows."""
        rows = len(batch)
        self._turn = 1 - self._turn
        work = self._work_for(rows, self._upload(batch))
        if work.graph is None or self._graphs is None:
            self._enqueue(work)
        else:
            try:
                self._graphs.launch(work.graph)
            except GraphError as e:
                raise EngineError(f"{self._name}: its CUDA graph does not run ({e}); load the model again") from e
        outputs = self._download(rows)
        if work.graph is None and self._graphs is not None and work is not self._work:
            self._capture(work, outputs)
        return outputs

    def _upload(self, batch: Float32) -> int:
        """Bring a batch to where the GPU reads it; returns that address.

        Page-locked memory from `allocate` is read as it is; any other goes through the page-locked staging buffer.
        """
        host = self._page_locked(batch)
        if host is None:
            host = self._staging
            np.copyto(host[: len(batch)], batch)
            batch = host[: len(batch)]
        if self._device_input is None:
            return mapped(host) + address_of(batch) - address_of(host)
        self._gpu.cuda.memcpy_htod_async(self._device_input, batch, self._gpu.stream)
        return self._device_input

    def _page_locked(self, batch: Float32) -> Float32 | None:
        """The allocated array that holds the batch in one piece, where TensorRT can read it; None if there is none."""
        if not batch.flags.c_contiguous:
            return None
        at = address_of(batch)
        for memory in self._pinned:
            offset = at - address_of(memory)
            if offset >= 0 and offset + batch.nbytes <= memory.nbytes:
                return memory if self._device_input is not None or offset % _ALIGNMENT_BYTES == 0 else None
        return None

    def _work_for(self, rows: int, source: int) -> _Work:
        """The context for a batch size and addresses: with graphs one of its own, as long as they are few."""
        turn = self._turn if self._gpu.integrated else 0
        key = (rows, source, turn)
        work = self._works.get(key) if self._graphs is not None else self._work
        if work is None:
            work = self._works[key] = self._new_work() if len(self._works) < _GRAPHS else self._work
        addresses = {name: output.addresses[turn] for name, output in self._outputs.items()}
        self._bind(work, (rows, *self._shape[1:]), addresses | {self._input: source})
        return work

    def _bind(self, work: _Work, shape: tuple[int, ...], addresses: dict[str, int]) -> None:
        if not work.bind(shape, addresses):
            raise EngineError(
                f"{self._name}: {self.provider} refuses a batch of {shape[0]} ({self._said()}); build the plan "
                f"anew: `edge engines build {self._name} --force`"
            )

    def _enqueue(self, work: _Work) -> None:
        if not work.enqueue(self._gpu.stream):
            raise EngineError(
                f"{self._name}: {self.provider} does not run ({self._said()}); build the plan anew: `edge "
                f"engines build {self._name} --force`"
            )

    def _download(self, rows: int) -> Arrays:
        """What was asked for, in host memory, once all is done."""
        found = {name: self._outputs[name].hosts[self._turn][:rows] for name in self._wanted}
        for name, host in found.items():
            if (device := self._outputs[name].device) is not None:
                self._gpu.cuda.memcpy_dtoh_async(host, device, self._gpu.stream)
        self._gpu.wait()
        return found

    # Graphs -----------------------------------------------------------------------------------------------------------

    def _capture(self, work: _Work, eager: Arrays) -> None:
        """Capture the work just done, replay it, and keep the graph if it gives the same."""
        assert self._graphs is not None
        wanted = {name: array.copy() for name, array in eager.items()}
        try:
            work.graph = self._graphs.capture(lambda: work.enqueue(self._gpu.stream))
            self._forget_outputs()
            self._graphs.launch(work.graph)
            why = _difference(wanted, self._download(len(next(iter(eager.values())))))
        except GraphError as e:
            why = str(e)
        for name, array in eager.items():
            array[:] = wanted[name]
        if why is not None:
            _log.warning("%s: no CUDA graphs: %s; it runs without", self._name, why)
            self._drop_graphs()

    def _forget_outputs(self) -> None:
        """Fill the outputs with NaN, so that a replay that writes nothing is seen."""
        for output in self._outputs.values():
            if output.device is None:
                output.hosts[self._turn].fill(np.nan)
            else:
                self._gpu.cuda.memset_d8_async(output.device, 0xFF, output.hosts[0].nbytes, self._gpu.stream)

    def _drop_graphs(self) -> None:
        """Go on without graphs."""
        if self._graphs is not None:
            for work in self._works.values():
                if work.graph is not None:
                    self._graphs.destroy(work.graph)
        self._works.clear()
        self._graphs = None

    def close(self) -> None:
        """Free the model and its memory, on the thread that loaded it; arrays that are still held stay valid."""
        with self._gpu.active():
            self._drop_graphs()
            self._work = self._engine = self._runtime = self._staging = None  # type: ignore[assignment]
            while self._device:
                self._device.pop().free()
            self._outputs.clear()
            self._pinned.clear()

    def __enter__(self) -> TrtBackend:
        """Context manager that closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def _difference(wanted: Arrays, got: Arrays) -> str | None:
    """What a replay gives otherwise than the eager run; None if nothing."""
    for name, array in wanted.items():
        limit = _GRAPH_TOLERANCE * float(np.max(np.abs(array)))
        off = float(np.max(np.abs(got[name] - array)))
        if not off <= limit:
            return f"the first replay differs from the eager run (output {name!r} by {off:.3g}, allowed {limit:.3g})"
    return None
