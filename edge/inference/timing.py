"""Time of networks on the same machine at the same time: what disturbs one disturbs the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError
from edge.inference.choosing import RUNTIMES
from edge.inference.manifest import Manifest, Precision
from edge.inference.options import InferenceOptions
from edge.inference.ort import OrtBackend
from edge.inference.serving import ServingBackend, load
from edge.inference.store import StoredModel
from edge.inference.trt.gpu import Float32
from edge.inference.trt.plans import PlanStore

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


@dataclass(frozen=True, slots=True)
class RuntimeTimes:
    """How long one model takes on one runtime of this machine."""

    runtime: str
    precision: Precision
    times: Times


def time_runtimes(
    model: StoredModel,
    options: InferenceOptions,
    plans: PlanStore,
    *,
    batch: int,
    seconds: float,
    stop: threading.Event,
) -> tuple[list[RuntimeTimes], list[str]]:
    """Every precision of a model on every runtime that this machine has, in turn; ratios are of the first.

    Args:
        model: from `ModelStore.find`.
        options: how they are run.
        plans: TensorRT's plans; those that are not there are built.
        batch: pictures in one inference.
        seconds: for how long, at least.
        stop: set it to give up.

    Returns:
        The times, and why other runtimes and precisions have none.

    Raises:
        EngineError: nothing runs it, or `stop` was set.
    """
    given = np.random.default_rng(0).random((batch, *model.manifest.input.shape[1:]), dtype=np.float32)
    with ExitStack() as stack:
        opened, skipped = _open_all(model, options, plans, stack, stop)
        if not opened:
            raise EngineError(f"{model.folder.name}: nothing runs it as asked for: {'; '.join(skipped)}")
        taken = interleaved([partial(_run, serving, given, stop) for serving in opened], rounds=10, seconds=seconds)
        measured = [
            RuntimeTimes(serving.provider, serving.precision, times(taken[:, i], taken[:, 0]))
            for i, serving in enumerate(opened)
        ]
    return measured, skipped


def _open_all(
    model: StoredModel, options: InferenceOptions, plans: PlanStore, stack: ExitStack, stop: threading.Event
) -> tuple[list[ServingBackend], list[str]]:
    """Those that serve as asked for, and why the others do not."""
    opened: list[ServingBackend] = []
    skipped: list[str] = []
    absent: tuple[str, ...] = ()
    for runtime in reversed(RUNTIMES):
        for precision in model.manifest.precisions:
            asked = replace(options, backend=runtime, precision=precision)
            serving = stack.enter_context(load(model, asked, plans=plans, stop=stop))
            if serving.degraded is None:
                opened.append(serving)
            elif serving.not_here:
                absent = serving.not_here  # the fastest is asked for last, so the last says all
            else:
                skipped.append(f"{model.folder.name}: {serving.degraded}")
    return opened, [*skipped, *absent]


def _run(serving: ServingBackend, given: Float32, stop: threading.Event) -> None:
    """One inference, unless somebody pressed Ctrl-C."""
    if stop.is_set():
        raise EngineError("interrupted; nothing was measured")
    serving.run(given)
