"""ONNX Runtime backend: on TensorRT, CUDA or the CPU, and never silently on another than asked for."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import re
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from edge.errors import EngineError
from edge.inference.base import Arrays
from edge.inference.manifest import Manifest, Precision
from edge.inference.options import BuildOptions
from edge.inference.signature import Tensor, check_signature
from edge.keep.files import make_private_folder

OrtProvider = Literal["tensorrt", "cuda", "cpu"]

PROVIDER_NAMES: dict[OrtProvider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""What ONNX Runtime calls them."""

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "QLinearConv", "FusedConv"}
"""Operators that cost; a shape computed on the CPU beside a GPU is as it should be."""


_AGAIN = "export or download it again"
_CPU_BATCH = 1
"""On a CPU, pictures together are no faster than one after the other (measured: 0.9 to 1.1 of the time, by threads),
wait for each other, and need more memory (780 against 490 MiB with the shipped models and configuration)."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unavailable(provider: OrtProvider) -> str | None:
    """Why the installed ONNX Runtime was built without a provider, with the remedy; None if it has it."""
    name, have = PROVIDER_NAMES[provider], onnxruntime.get_available_providers()
    if name in have:
        return None
    return (
        f"the installed onnxruntime {onnxruntime.__version__} was built without {name} (it has "
        f"{', '.join(p for p in have if p != 'AzureExecutionProvider')}); install onnxruntime-gpu in its place, on a "
        "Jetson from NVIDIA's wheels"
    )


class OrtBackend:
    """A model in ONNX Runtime, checked against its manifest when loaded."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        provider: OrtProvider = "cpu",
        precision: Precision = "fp32",
        threads: int = 0,
        build: BuildOptions | None = None,
        cache: Path | None = None,
    ) -> None:
        """Load and check.

        Args:
            path: the ONNX file.
            manifest: what the file must be.
            provider: what executes it.
            precision: which of the manifest's files `path` is.
            threads: intra-op threads on the CPU; 0 = every core this process may use.
            build: how TensorRT builds, and the largest batch.
            cache: folder in which ONNX Runtime's TensorRT provider keeps what it built; None = nowhere.

        Raises:
            EngineError: the file is no model that ONNX Runtime can load, or the provider does not execute it.
            ManifestError: its inputs or outputs are not what the manifest says.
        """
        self._path, self._shape = path, manifest.input.shape
        self._input, self._outputs = manifest.input.name, list(manifest.output_names)
        self.precision: Precision = precision
        self.degraded: str | None = None
        build = build or BuildOptions()
        if (why := unavailable(provider)) is not None:
            raise EngineError(f"{path}: {why}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle worker threads must sleep: cameras and the publisher need the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with contextlib.ExitStack() as stack:
            if provider != "cpu":
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-placement-"))
                options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "run")
            self._session = self._open(options, provider, build, cache)
            dynamic = check_signature(
                str(path), manifest, _tensors(self._session.get_inputs()), _tensors(self._session.get_outputs())
            )
            most = _CPU_BATCH if provider == "cpu" else build.max_batch
            self.max_batch = most if dynamic else 1
            self.provider = str(self._session.get_providers()[0])
            if provider != "cpu":
                self._check_placement(provider)

    def _open(
        self, options: onnxruntime.SessionOptions, provider: OrtProvider, build: BuildOptions, cache: Path | None
    ) -> onnxruntime.InferenceSession:
        """A session on the provider: ONNX Runtime goes on without one that does not load, so that is looked at."""
        if provider != "cpu" and hasattr(onnxruntime, "preload_dlls"):
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did not find, which may not be needed
                onnxruntime.preload_dlls()
        try:
            session = onnxruntime.InferenceSession(
                str(self._path),
                options,
                providers=self._providers(provider, build, cache),
                enable_fallback=0,
            )
        except Exception as e:  # ONNX Runtime raises bare RuntimeErrors of its own
            if provider == "cpu":
                why = _first_line(e)
                newer = "IR version" in why or "opset" in why
                remedy = "export it for an earlier opset, or install a newer onnxruntime" if newer else _AGAIN
                raise EngineError(f"{self._path}: ONNX Runtime cannot load it ({why}); {remedy}") from e
            why = _missing_library(provider) or _first_line(e)
            raise EngineError(
                f"{self._path}: {PROVIDER_NAMES[provider]} cannot load it ({why}); {_remedy(provider)}"
            ) from e
        if session.get_providers()[0] != PROVIDER_NAMES[provider]:
            raise EngineError(
                f"{self._path}: {PROVIDER_NAMES[provider]} does not load "
                f"({_missing_library(provider) or 'ONNX Runtime logged why'}); {_remedy(provider)}"
            )
        return session

    def _providers(
        self, provider: OrtProvider, build: BuildOptions, cache: Path | None
    ) -> list[str | tuple[str, dict[str, Any]]]:
        """Providers in the order in which they get nodes, with their options."""
        cpu = PROVIDER_NAMES["cpu"]
        if provider == "cpu":
            return [cpu]
        # Precision is what the file says: no rounding of float32 to TF32.
        cuda = (PROVIDER_NAMES["cuda"], {"device_id": 0, "use_tf32": 0})
        if provider == "cuda":
            return [cuda, cpu]
        tensorrt: dict[str, Any] = {
            "device_id": 0,
            "trt_fp16_enable": False,
            "trt_int8_enable": False,
            "trt_max_workspace_size": build.workspace_mib << 20,
            "trt_builder_optimization_level": build.level,
        }
        if self._batch_is_free():
            row = "x".join(str(n) for n in self._shape[1:])
            for name, rows in (("min", 1), ("opt", build.opt_batch), ("max", build.max_batch)):
                tensorrt[f"trt_profile_{name}_shapes"] = f"{self._input}:{rows}x{row}"
        if cache is not None:
            folder = str(own_folder(cache))
            tensorrt |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": folder}
            tensorrt |= {"trt_timing_cache_enable": True, "trt_timing_cache_path": folder}
        return [(PROVIDER_NAMES["tensorrt"], tensorrt), cuda, cpu]

    def _batch_is_free(self) -> bool:
        """Asked of the CPU's provider: TensorRT's wants to know the largest batch before it reads the model."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(self._path), options, providers=[PROVIDER_NAMES["cpu"]])
        return not isinstance(session.get_inputs()[0].shape[0], int)

    def _check_placement(self, provider: OrtProvider) -> None:
        """Run once and see where each node ran; says in `degraded` what costs and is on the CPU all the same."""
        self.run(np.zeros(self._shape, np.float32))
        placed = placement(Path(self._session.end_profiling()))
        ours = PROVIDER_NAMES[provider]
        if not placed.get(ours):
            raise EngineError(
                f"{self._path}: {ours} loads, but executes none of the model's operators; {_remedy(provider)}"
            )
        left = sorted(placed.get(PROVIDER_NAMES["cpu"], set()) & _HEAVY)
        if left:
            self.degraded = f"{', '.join(left)} run on the CPU: {ours} does not execute them; use another backend"

    def allocate(self, rows: int) -> npt.NDArray[np.float32]:
        """See `Backend.allocate`: ordinary memory."""
        return np.empty((rows, *self._shape[1:]), np.float32)

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """See `Backend.run`; more rows than `max_batch` are run in pieces. The arrays are the caller's to keep."""
        try:
            if len(batch) <= self.max_batch:
                return self._infer(batch)
            pieces = [self._infer(batch[at : at + self.max_batch]) for at in range(0, len(batch), self.max_batch)]
        except Exception as e:
            raise EngineError(
                f"{self._path}: inference failed ({_first_line(e)}); check the engine with `edge check`"
            ) from e
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in self._outputs}

    def _infer(self, batch: npt.NDArray[np.float32]) -> Arrays:
        return dict(zip(self._outputs, self._session.run(self._outputs, {self._input: batch}), strict=True))

    def close(self) -> None:
        """Free the session."""
        del self._session

    def __enter__(self) -> OrtBackend:
        """Context manager that closes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def signature_of(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs and outputs of an ONNX file, in its order.

    Raises:
        EngineError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER_NAMES["cpu"]])
    except Exception as e:  # ONNX Runtime raises bare RuntimeErrors of its own
        raise EngineError(f"{path}: ONNX Runtime cannot load it ({_first_line(e)}); {_AGAIN}") from e
    return _tensors(session.get_inputs()), _tensors(session.get_outputs())


def _tensors(described: Iterable[Any]) -> dict[str, Tensor]:
    """Inputs or outputs of a session by name."""
    return {d.name: Tensor(d.shape, d.type, d.type == "tensor(float)") for d in described}


def placement(profile: Path) -> Mapping[str, set[str]]:
    """Which operators ran on which provider, from the profile that ONNX Runtime wrote of a run."""
    placed: dict[str, set[str]] = defaultdict(set)
    for event in json.loads(profile.read_bytes()):
        args = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in args:
            placed[args["provider"]].add(args.get("op_name", ""))
    return placed


def own_folder(folder: Path) -> Path:
    """The folder, made if missing. What is in it is executed as it is, so nobody else may write there.

    Raises:
        EngineError: it is a link, somebody else's, or others may write into it.
    """
    make_private_folder(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EngineError(
            f"{folder}: must be a folder of the user that runs edge into which nobody else may write; remove it"
        )
    return folder


def _missing_library(provider: OrtProvider) -> str | None:
    """What the provider's library misses, in the loader's words: ONNX Runtime itself only logs it."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / f"libonnxruntime_providers_{provider}.so"))
    except OSError as e:
        return str(e)
    return None


def _remedy(provider: OrtProvider) -> str:
    """What to do when a GPU's provider does not serve."""
    libraries = "CUDA, cuDNN and TensorRT" if provider == "tensorrt" else "CUDA and cuDNN"
    return (
        f"install {libraries} in the versions that onnxruntime {onnxruntime.__version__} was built for"
        + (f" (CUDA {cuda})" if (cuda := getattr(onnxruntime, "cuda_version", "")) else "")
        + ", and check the driver with nvidia-smi"
    )


def _first_line(error: Exception) -> str:
    """The first line of a message, without the C++ source line that ONNX Runtime puts before it."""
    lines = str(error).strip().splitlines()
    return re.sub(r"/\S+:\d+ .*?\) (?=[A-Z])", "", lines[0]) if lines else type(error).__name__
