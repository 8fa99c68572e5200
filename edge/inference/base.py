"""The contract of an inference backend: names to arrays, nothing about what they mean."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.float32]]


class Backend(Protocol):
    """A loaded model. One thread at a time may call `run`."""

    provider: str
    """What actually executes it, e.g. "CPUExecutionProvider"."""

    def run(self, batch: npt.NDArray[np.float32]) -> Arrays:
        """Infer a batch (N, C, H, W); every output has N rows.

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
