"""TensorRT's builder: an ONNX file to a plan for one GPU, always in a process of its own.

`python -m edge.inference.trt.builder` is that process: a `BuildRequest` as one line of JSON on standard input, progress
as lines of JSON on standard output. It ends when its standard input does, so it never outlives who started it.
`build_process.run_builder` starts it. What is here and in `backend.py` is all that speaks to TensorRT, through
the module that `platform.tensorrt_module` finds.

Networks are strongly typed: precision stands in the ONNX file, as it must from TensorRT 11 on. One code path serves
`tensorrt` 10.3 to 11.4 and `tensorrt_rtx_bindings`; identifiers that one of them lacks are asked for with `hasattr`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.errors import BuildError, EdgeError
from edge.inference.options import BuildOptions
from edge.inference.trt.platform import (
    NONE,
    error_logger,
    sdk_of,
    tensorrt_module,
)
from edge.processes import renice_thread

_SAY_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What the child builds."""

    model: str
    onnx: str
    """Path of the ONNX file."""
    onnx_sha256: str
    """The bytes that are parsed must have it."""
    output: str
    """Path that the plan is written to."""
    timing_cache: str
    """Path of the timing cache, read if it is there and written anew; empty = none."""
    compute_capability: str
    """Of the GPU to build for: TensorRT-RTX can build ahead, TensorRT for the GPU at hand alone."""
    options: BuildOptions

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> BuildRequest:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "options": BuildOptions(**values["options"])})


class _Phases:
    """How far a build is, from the phases that TensorRT enters and leaves, one inside the other."""

    def __init__(self, say: Callable[[dict[str, object]], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._open: list[tuple[str, int, int]] = []
        """(name, steps, steps done), the outermost first."""
        self._said_s = 0.0

    def start(self, name: str, steps: int) -> None:
        with self._lock:
            self._open.append((name, steps, 0))
            self._tell()

    def step(self, name: str, step: int) -> None:
        with self._lock:
            self._open = [(n, s, step + 1 if n == name else done) for n, s, done in self._open]
            self._tell()

    def finish(self, name: str) -> None:
        with self._lock:
            self._open = [phase for phase in self._open if phase[0] != name]

    def _tell(self) -> None:
        if time.monotonic() - self._said_s < _SAY_EVERY_S:
            return
        self._said_s = time.monotonic()
        fraction = 0.0
        for _, steps, done in reversed(self._open):
            fraction = min(1.0, (done + fraction) / max(steps, 1))
        self._say({"phase": self._open[-1][0], "fraction": fraction})


def _monitor(trt: Any, phases: _Phases) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return True

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def build(request: BuildRequest, say: Callable[[dict[str, object]], None]) -> None:
    """Build the plan into `request.output`, in this process: only the child calls it.

    Args:
        request: what to build.
        say: told {"phase", "fraction"} while it goes on.

    Raises:
        BuildError: TensorRT cannot, with what it said.
    """
    trt = tensorrt_module()
    messages: list[str] = []
    logger, monitor = error_logger(trt, messages), _monitor(trt, _Phases(say))
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(_onnx(request)):
        raise BuildError(_parser_errors(request.model, trt, parser))
    config = _configured(trt, builder, network, request)
    config.progress_monitor = monitor
    cache = _load_timing_cache(config, request)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(
            f"{request.model}: TensorRT {trt.__version__} could not build it: "
            f"{'; '.join(messages) or 'no reason given'}. Another "
            "inference.build.level or more workspace_mib may do; ONNX Runtime serves meanwhile"
        )
    Path(request.output).write_bytes(plan)
    if cache is not None:
        Path(request.timing_cache).write_bytes(cache.serialize())


def _onnx(request: BuildRequest) -> bytes:
    try:
        data = Path(request.onnx).read_bytes()
    except OSError as e:
        raise BuildError(f"{request.onnx}: cannot be read ({e.strerror}); restore the model folder") from e
    if hashlib.sha256(data).hexdigest() != request.onnx_sha256:
        raise BuildError(f"{request.onnx} is not the file that the manifest names; restore it, or export it again")
    return data


def _parser_errors(model: str, trt: Any, parser: Any) -> str:
    """Every node that the parser refuses, by name and operator."""
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    nodes = [
        f"node {e.node_name() or e.node()} ({e.node_operator()}): {e.desc()}" if e.node() >= 0 else e.desc()
        for e in errors
    ]
    return (
        f"{model}: TensorRT {trt.__version__} cannot read the ONNX file: {'; '.join(nodes)}. Export it with operators "
        "that TensorRT has, or serve it with `inference.backend: ort`"
    )


def _configured(trt: Any, builder: Any, network: Any, request: BuildRequest) -> Any:
    options = request.options
    config = builder.create_builder_config()
    config.builder_optimization_level = options.level
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    _profile(builder, network, config, request)
    if options.dla_core is not None:
        if options.dla_core >= builder.num_DLA_cores:
            raise BuildError(
                f"no DLA core {options.dla_core}: this machine has {builder.num_DLA_cores}; set "
                "inference.build.dla_core to null"
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    if options.compatibility != "none":
        level = getattr(trt.HardwareCompatibilityLevel, options.compatibility.upper(), None)
        if level is None:
            raise BuildError(
                f"TensorRT {trt.__version__} has no compatibility {options.compatibility}; set "
                "inference.build.compatibility to none"
            )
        config.hardware_compatibility_level = level
    if sdk_of(trt) == "tensorrt_rtx" and request.compute_capability != NONE:
        _build_for(trt, config, request.compute_capability)
    return config


def _profile(builder: Any, network: Any, config: Any, request: BuildRequest) -> None:
    """Batches from 1 to the largest for inputs whose batch is free; nothing else may be."""
    largest = request.options.max_batch
    best = min(request.options.opt_batch, largest)
    profile, free = builder.create_optimization_profile(), False
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        batch, *rest = tuple(tensor.shape)
        if any(side < 0 for side in rest):
            raise BuildError(
                f"{request.model}: input {tensor.name} has shape {(batch, *rest)}; only the batch may be free: export "
                "the model with a fixed size"
            )
        if batch < 0:
            free = True
            profile.set_shape(tensor.name, (1, *rest), (best, *rest), (largest, *rest))
    if free:
        config.add_optimization_profile(profile)


def _build_for(trt: Any, config: Any, compute_capability: str) -> None:
    """TensorRT-RTX: compile for one GPU instead of all that it knows."""
    known = {name[2:]: c for name, c in trt.ComputeCapability.__members__.items() if name.startswith("SM")}
    target = known.get(compute_capability.replace(".", ""))
    if target is None:
        names = ", ".join(f"{n[:-1]}.{n[-1]}" for n in sorted(known, key=int))
        raise BuildError(
            f"TensorRT-RTX {trt.__version__} knows no GPU of compute capability {compute_capability} (known: {names}); "
            "install tensorrt for it"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(target, 0)


def _load_timing_cache(config: Any, request: BuildRequest) -> Any:
    if not request.timing_cache:
        return None
    path = Path(request.timing_cache)
    cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _end_with_standard_input() -> None:
    """Whoever started this process holds its standard input open; once closed, nobody waits for the plan."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> int:
    """Entry point of the child; the plan is written, or the last line says {"error": why}."""
    renice_thread(threading.main_thread())
    os.umask(0o077)
    with contextlib.suppress(OSError):  # if memory runs out, this process is the one to end
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what native code prints is no progress
    request = BuildRequest.from_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_standard_input, daemon=True).start()

    def say(values: dict[str, object]) -> None:
        print(json.dumps(values), file=said, flush=True)

    try:
        build(request, say)
    except EdgeError as e:
        say({"error": str(e)})
        return 1
    except OSError as e:
        where = e.filename or request.output
        say({"error": f"{request.model}: {e.strerror} ({where}); make room, or set inference.plans elsewhere"})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
