"""ONNX Runtime backend."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import onnxruntime

from edge.errors import EngineError, ManifestError
from edge.inference.base import Arrays
from edge.inference.manifest import Manifest


def default_threads() -> int:
    """Threads for one model when the configuration says 0: every core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OrtBackend:
    """A model in ONNX Runtime on the CPU, checked against its manifest when loaded."""

    def __init__(self, path: Path, manifest: Manifest, *, threads: int = 0) -> None:
        """Load and check.

        Args:
            path: the ONNX file.
            manifest: what the file must be.
            threads: intra-op threads; 0 = every core this process may use.

        Raises:
            EngineError: the file is no model that ONNX Runtime can load.
            ManifestError: its inputs or outputs are not what the manifest says.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle worker threads must sleep: cameras and the publisher need the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # ONNX Runtime raises bare RuntimeErrors of its own
            raise EngineError(
                f"{path}: ONNX Runtime cannot load it ({_first_line(e)}); export or download it again"
            ) from e
        self.provider = str(self._session.get_providers()[0])
        self._input = manifest.input.name
        self._outputs = list(manifest.output_names)
        self._path = path
        self._dynamic = self._check(manifest)

    def _check(self, manifest: Manifest) -> bool:
        """Compare the graph's input and outputs with the manifest; says whether the batch is dynamic."""
        inputs = {i.name: i for i in self._session.get_inputs()}
        if list(inputs) != [self._input]:
            raise ManifestError(
                f"{self._path}: the model's inputs are {sorted(inputs)}, the manifest says {self._input!r}; "
                "correct input.name"
            )
        found = inputs[self._input]
        want = manifest.input.shape
        if len(found.shape) != 4 or any(isinstance(f, int) and f != w for f, w in zip(found.shape, want, strict=True)):
            raise ManifestError(
                f"{self._path}: the model takes {found.shape}, the manifest says {list(want)}; correct input.width_px, "
                "height_px or mask_channel, or export the model at that size"
            )
        if found.type != "tensor(float)":
            raise ManifestError(f"{self._path}: the model takes {found.type}; export it with a float32 input")
        missing = set(self._outputs) - {o.name for o in self._session.get_outputs()}
        if missing:
            have = sorted(o.name for o in self._session.get_outputs())
            raise ManifestError(
                f"{self._path}: no output named {sorted(missing)}, the model has {have}; correct `output`"
            )
        return not isinstance(found.shape[0], int)

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """See `Backend.run`; a model of batch 1 is run row by row."""
        try:
            if self._dynamic or len(batch) == 1:
                return dict(zip(self._outputs, self._session.run(self._outputs, {self._input: batch}), strict=True))
            rows = [self._session.run(self._outputs, {self._input: batch[i : i + 1]}) for i in range(len(batch))]
        except Exception as e:
            raise EngineError(f"{self._path}: inference failed ({_first_line(e)})") from e
        return {name: np.concatenate(parts) for name, parts in zip(self._outputs, zip(*rows, strict=True), strict=True)}

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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
