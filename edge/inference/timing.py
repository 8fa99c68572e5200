"""Time of networks on the same machine at the same time: what disturbs one disturbs the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.inference.manifest import Manifest
from edge.inference.ort import OrtBackend

Array = npt.NDArray[np.float64]

ROUNDS = 200
_WARM_UP = 5
"""The first runs allocate."""


@dataclass(frozen=True, slots=True)
class Times:
    """One network's milliseconds, and its time over the reference's in the same round: median and quartiles."""

    p50_ms: float
    min_ms: float
    p99_ms: float
    ratio: float
    ratio_q25: float
    ratio_q75: float


def interleaved(runs: Sequence[Callable[[], object]], *, rounds: int = ROUNDS, seconds: float = 0.0) -> Array:
    """Call each in turn, in the other direction every other round, until there are so many rounds and seconds.

    Returns:
        (rounds, len(runs)) milliseconds; a row is one round.
    """
    for _ in range(_WARM_UP):
        for run in runs:
            run()
    taken: list[list[float]] = []
    until_s = time.perf_counter() + seconds
    while len(taken) < rounds or time.perf_counter() < until_s:
        row = [0.0] * len(runs)
        order = range(len(runs)) if len(taken) % 2 == 0 else reversed(range(len(runs)))
        for i in order:
            begun_s = time.perf_counter()
            runs[i]()
            row[i] = (time.perf_counter() - begun_s) * 1000
        taken.append(row)
    return np.array(taken)


HERE_ROUNDS, HERE_S = 15, 2.0
"""How long two files are compared on a device that starts: so many rounds, or as many as fit into so long."""
FASTER = 0.95
"""Time over float32's from which a file counts as faster: nearer to 1 the next run may say otherwise."""


def ratio_here(model: Callable[[], object], reference: Callable[[], object]) -> float:
    """Median of one network's time over another's, measured shortly while both are loaded."""
    for _ in range(2):
        model(), reference()
    taken: list[float] = []
    until_s = time.perf_counter() + HERE_S
    while len(taken) < HERE_ROUNDS and (len(taken) < 3 or time.perf_counter() < until_s):
        begun_s = time.perf_counter()
        model()
        between_s = time.perf_counter()
        reference()
        taken.append((between_s - begun_s) / (time.perf_counter() - between_s))
    return float(np.median(taken))


def times(taken_ms: Array, reference_ms: Array) -> Times:
    """What (rounds,) milliseconds come to, beside the reference's in the same rounds."""
    p50, p99 = np.percentile(taken_ms, (50, 99))
    low, middle, high = np.percentile(taken_ms / reference_ms, (25, 50, 75))
    return Times(float(p50), float(taken_ms.min()), float(p99), float(middle), float(low), float(high))


def time_files(files: Sequence[tuple[Manifest, Path]], *, rounds: int = ROUNDS, seconds: float = 0.0) -> Array:
    """`interleaved` of ONNX files in ONNX Runtime on the CPU, one thread each, network alone, one picture of noise.

    Raises:
        EngineError: a file cannot be loaded or run.
        ManifestError: a file is not what its manifest says.
    """
    draw = np.random.default_rng(0)
    with ExitStack() as stack:
        runs = []
        for manifest, path in files:
            backend = stack.enter_context(OrtBackend(path, manifest, threads=1))
            given = draw.random(manifest.input.shape, dtype=np.float32)
            runs.append(lambda b=backend, x=given: b.run(x))
        return interleaved(runs, rounds=rounds, seconds=seconds)


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
    """`time_files` of two.

    Raises:
        EngineError: a file cannot be loaded or run.
    """
    medians = np.median(time_files([model, peer], rounds=rounds), axis=0)
    return Speed(float(medians[0]), float(medians[1]), model[1].stat().st_size, peer[1].stat().st_size)
