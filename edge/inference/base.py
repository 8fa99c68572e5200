"""The contract of an inference backend: names to arrays, nothing about what they mean."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.inference.manifest import Precision

Arrays = dict[str, npt.NDArray[np.float32]]


class Backend(Protocol):
    """A loaded model. All of it is used from one thread, which also made it: GPUs bind a context to a thread."""

    provider: str
    """What actually executes it, e.g. "CPUExecutionProvider", "TensorRT 10.3.0"."""
    precision: Precision
    """Which of the model's files serves."""
    max_batch: int
    """Rows that are really inferred together; a larger batch is run in pieces."""
    degraded: str | None
    """Why something slower than was asked for serves, with the remedy; None if it does not."""

    def allocate(self, rows: int) -> npt.NDArray[np.float32]:
        """Memory (rows, C, H, W) for inputs, from which `run` reads without copying; any thread may write into it."""
        ...

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """Infer a batch (N, C, H, W); every output has N rows.

        The arrays may be overwritten by the second `run` after this one: read or copy them before.

        Raises:
            EngineError: the runtime failed.
        """
        ...

    def close(self) -> None:
        """Free the model; `run` may not be called again."""
        ...

    def __enter__(self) -> Backend:
        """Context manager that closes."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...
