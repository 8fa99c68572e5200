"""`edge bench`: what the pipeline costs on top of the bare networks, stage by stage, in one run.

The daemon runs as configured, but every task on every frame, so that the accelerator is never idle; a real
subscriber listens. Rounds alternate with rounds in which the same engines, with the same threads, run on the same input
tensors and nothing else, the cameras capturing on. The ratio is the time that bare inference of the same work takes,
over the time that the pipeline took: 1 means that all else costs nothing. A network that answers for several nouns
counts once for all that read its answer.
"""

from __future__ import annotations

import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from edge.config import Config
from edge.daemon import Daemon
from edge.inference.ort import default_threads
from edge.monitor.process import memory_bytes
from edge.monitor.throughput import percentiles
from edge.pipeline import Result
from edge.publish.publisher import PublisherStatistics
from edge.publish.watch import Watcher

STAGES = ("capture", "preprocess", "inference", "postprocess")
_ROUND_S = 2.0
_REPLAY_HZ = 15.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's milliseconds, and its share of the sum of all stages' medians.

    `capture` is the age of a frame when inference takes it; `encode` and `publish` run on another thread.
    """

    stage: str
    p50_ms: float
    p99_ms: float
    share: float


@dataclass(frozen=True, slots=True)
class TaskTime:
    """One (camera, task): how often it ran and what its network takes alone and in the pipeline."""

    camera: str
    task: str
    results: int
    bare_p50_ms: float
    bare_p99_ms: float
    pipeline_p50_ms: float
    pipeline_p99_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """What one run measured."""

    machine: str
    threads: int
    measured_s: float
    results_per_s: float
    ratio_to_bare: float
    received_by_subscriber: int
    memory_bytes: int
    dropped: int
    stages: tuple[StageTime, ...]
    tasks: tuple[TaskTime, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class _Samples:
    """What is noted while measuring: milliseconds per stage, and per (camera, task) in the pipeline and bare."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, after warming up."""
        self.stages: dict[str, list[float]] = defaultdict(list)
        self.work: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.bare: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.inferred: Counter[tuple[str, str]] = Counter()
        self.busy_s = 0.0

    def note(self, result: Result) -> None:
        """A result of the pipeline."""
        for stage, seconds in result.stage_s.items():
            self.stages[stage].append(seconds * 1000)
        key = (result.frame.camera, result.task)
        self.work[key].append(sum(result.stage_s.get(s, 0.0) for s in STAGES[1:]) * 1000)
        self.inferred[key] += "inference" in result.stage_s


def _saturated(config: Config) -> Config:
    """The configuration with every task on every frame, recordings fast enough that one always waits, and no health."""
    data = config.model_copy(deep=True)
    cameras = tuple(
        c.model_copy(update={"source": c.source.model_copy(update={"fps": _REPLAY_HZ})})
        if c.source.type == "replay"
        else c
        for c in data.cameras
    )
    tasks = {
        name: getattr(data.tasks, name).model_copy(update={"every_s": None, "every_frames": 1})
        for name in ("depth", "layout", "lighting")
    }
    return data.model_copy(
        update={
            "cameras": cameras,
            "tasks": data.tasks.model_copy(update=tasks),
            "health": data.health.model_copy(update={"every_s": 3600.0}),
        }
    )


def _pipeline_round(daemon: Daemon, samples: _Samples) -> None:
    """Run the pipeline on the calling thread and note how long it was busy."""
    until_s = time.monotonic() + _ROUND_S
    while (begun_s := time.monotonic()) < until_s:
        if daemon.pipeline.step():
            samples.busy_s += time.monotonic() - begun_s
        else:
            time.sleep(0.0005)


def _bare_round(daemon: Daemon, samples: _Samples) -> None:
    """Run the same engines on the same tensors, and nothing else."""
    work = daemon.pipeline.prepared()
    until_s = time.monotonic() + _ROUND_S
    while work and time.monotonic() < until_s:
        for key, (engine, tensor) in work.items():
            begun_s = time.monotonic()
            engine.backend.run(tensor)
            samples.bare[key].append((time.monotonic() - begun_s) * 1000)


def measure(config: Config, *, seconds: float, on_progress: Callable[[str], None]) -> Report:
    """Measure for about `seconds`, half of it in the pipeline and half bare.

    Raises:
        EdgeError: a part does not start.
    """
    samples = _Samples()
    daemon = Daemon(_saturated(config), on_progress=on_progress, on_result=samples.note)
    try:
        daemon.start(infer=False)
        assert daemon.endpoint is not None
        assert daemon.publisher is not None
        watcher = Watcher(daemon.endpoint, base=config.device.base_topic, device=config.device.name)
        watcher.start()
        on_progress("warming up")
        _pipeline_round(daemon, samples)
        samples.forget()
        rounds = max(1, round(seconds / (2 * _ROUND_S)))
        on_progress(f"measuring: {rounds} rounds of {_ROUND_S:.0f} s pipeline and {_ROUND_S:.0f} s bare")
        for _ in range(rounds):
            _pipeline_round(daemon, samples)
            _bare_round(daemon, samples)
        memory, statistics, received = memory_bytes(), daemon.publisher.statistics(), watcher.state.received
        watcher.stop()
    finally:
        tally = daemon.stop()
    threads = config.inference.threads or default_threads()
    return _report(samples, statistics, threads, memory, received, tally.dropped)


def _report(
    samples: _Samples, statistics: PublisherStatistics, threads: int, memory: int, received: int, dropped: int
) -> Report:
    tasks, bare_ms = [], 0.0
    for key, taken in sorted(samples.work.items()):
        alone, together = percentiles(samples.bare[key]) or (0.0, 0.0), percentiles(taken) or (0.0, 0.0)
        tasks.append(TaskTime(key[0], key[1], len(taken), *alone, *together))
        bare_ms += samples.inferred[key] * sum(samples.bare[key]) / max(len(samples.bare[key]), 1)
    times = {stage: percentiles(samples.stages[stage]) or (0.0, 0.0) for stage in STAGES}
    times |= {"encode": statistics.encode_ms or (0.0, 0.0), "publish": statistics.publish_ms or (0.0, 0.0)}
    whole_ms = max(sum(p50 for p50, _ in times.values()), 1e-9)
    busy_s = max(samples.busy_s, 1e-9)
    return Report(
        machine=f"{platform.machine()}, {default_threads()} cores",
        threads=threads,
        measured_s=busy_s,
        results_per_s=sum(t.results for t in tasks) / busy_s,
        ratio_to_bare=bare_ms / 1000 / busy_s,
        received_by_subscriber=received,
        memory_bytes=memory,
        dropped=dropped,
        stages=tuple(StageTime(stage, p50, p99, p50 / whole_ms) for stage, (p50, p99) in times.items()),
        tasks=tuple(tasks),
    )


def tables(report: Report) -> list[Table]:
    """The report for people."""
    title = (
        f"whole pipeline {report.results_per_s:.1f} results/s = {report.ratio_to_bare:.2f} of bare inference; "
        f"{report.threads} threads, {report.memory_bytes / 2**20:.0f} MiB with capture processes ({report.machine})"
    )
    stages = Table(title=title, title_justify="left", show_edge=False)
    for column in ("stage", "p50 ms", "p99 ms", "share"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for s in report.stages:
        stages.add_row(s.stage, f"{s.p50_ms:.2f}", f"{s.p99_ms:.2f}", f"{s.share:.1%}")
    tasks = Table(title="per camera and task", title_justify="left", show_edge=False)
    for column in ("camera", "task", "results", "bare p50 ms", "bare p99 ms", "in pipeline p50 ms", "p99 ms"):
        tasks.add_column(column, justify="left" if column in ("camera", "task") else "right")
    for t in report.tasks:
        times = (t.bare_p50_ms, t.bare_p99_ms, t.pipeline_p50_ms, t.pipeline_p99_ms)
        tasks.add_row(t.camera, t.task, str(t.results), *(f"{x:.2f}" for x in times))
    return [stages, tasks]
