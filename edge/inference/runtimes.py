"""Time of one model in every precision on every runtime of this machine."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import numpy as np

from edge.errors import EngineError
from edge.inference.choosing import RUNTIMES, form_of
from edge.inference.manifest import Precision
from edge.inference.options import InferenceOptions, NamedPrecision
from edge.inference.serving import ServingBackend, load
from edge.inference.store import StoredModel
from edge.inference.timing import Times, interleaved, times
from edge.inference.trt.gpu import Float32
from edge.inference.trt.plans import PlanStore


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
        for precision in get_args(NamedPrecision):
            if form_of(model.manifest, runtime, precision) is None:
                continue
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
