"""Time of two networks on the same machine at the same time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.inference.manifest import Manifest
from edge.inference.ort import OrtBackend

ROUNDS = 200


@dataclass(frozen=True)
class Speed:
    """Medians over interleaved runs on one thread, and the sizes of the files."""

    model_ms: float
    peer_ms: float
    model_bytes: int
    peer_bytes: int

    @property
    def ratio(self) -> float:
        """The model's time over the peer's: below 1 the model is faster."""
        return self.model_ms / self.peer_ms


def side_by_side(model: tuple[Manifest, Path], peer: tuple[Manifest, Path], rounds: int = ROUNDS) -> Speed:
    """Run two ONNX files in turn, one thread each, network alone; what disturbs one disturbs the other.

    Raises:
        EngineError: a file cannot be loaded or run.
    """
    times: list[list[float]] = [[], []]
    with OrtBackend(model[1], model[0], threads=1) as a, OrtBackend(peer[1], peer[0], threads=1) as b:
        runs = [(a, np.zeros(model[0].input.shape, np.float32)), (b, np.zeros(peer[0].input.shape, np.float32))]
        for turn in range(rounds + 5):
            for taken, (backend, given) in zip(times, runs, strict=True):
                start = time.perf_counter()
                backend.run(given)
                if turn >= 5:  # the first runs allocate
                    taken.append((time.perf_counter() - start) * 1000)
    medians = [float(np.median(t)) for t in times]
    return Speed(medians[0], medians[1], model[1].stat().st_size, peer[1].stat().st_size)
