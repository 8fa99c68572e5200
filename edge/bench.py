"""`edge bench`: what the pipeline costs on top of the bare networks, stage by stage, in one run.

The daemon runs as configured, but every task on every frame, so that the accelerator is never idle; a real
subscriber listens. Rounds alternate with rounds in which the same engines, with the same threads, run on the same input
tensors and nothing else, the cameras capturing on. The ratio is the time that bare inference of the same work takes,
over the time that the pipeline took: 1 means that all else costs nothing.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
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
from edge.publish.watch import Watcher

STAGES = ("capture", "preprocess", "inference", "postprocess")
_ROUND_S = 2.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's milliseconds and its share of the inference thread's time; None where another thread does it."""

    stage: str
    p50_ms: float
    p99_ms: float
    share: float | None


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
    """Stage times per (camera, task) while the pipeline runs."""

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = defaultdict(list)
        self.work: dict[tuple[str, str], list[float]] = defaultdict(list)

    def forget(self) -> None:
        """Drop what was noted while warming up."""
        self.stages.clear()
        self.work.clear()

    def note(self, result: Result) -> None:
        for stage, seconds in result.stage_s.items():
            self.stages[stage].append(seconds * 1000)
        self.work[result.frame.camera, result.task].append(sum(result.stage_s[s] for s in STAGES[1:]) * 1000)


def _every_frame(config: Config) -> Config:
    """The configuration with every task on every frame and health out of the way."""
    data = config.model_copy(deep=True)
    tasks = {
        name: getattr(data.tasks, name).model_copy(update={"every_s": None, "every_frames": 1})
        for name in ("depth", "layout", "lighting")
    }
    return data.model_copy(
        update={
            "tasks": data.tasks.model_copy(update=tasks),
            "health": data.health.model_copy(update={"every_s": 3600.0}),
        }
    )


def _pipeline_round(daemon: Daemon, samples: _Samples, seconds: float) -> float:
    """Run the pipeline on the calling thread; returns the seconds it was busy."""
    busy_s = 0.0
    until_s = time.monotonic() + seconds
    while (begun_s := time.monotonic()) < until_s:
        if daemon.pipeline.step():
            busy_s += time.monotonic() - begun_s
        else:
            time.sleep(0.0005)
    return busy_s


def _bare_round(daemon: Daemon, bare: dict[tuple[str, str], list[float]], seconds: float) -> None:
    work = daemon.pipeline.prepared()
    until_s = time.monotonic() + seconds
    while work and time.monotonic() < until_s:
        for (camera, task), (engine, tensor) in work.items():
            begun_s = time.monotonic()
            engine.backend.run(tensor)
            bare[camera, task].append((time.monotonic() - begun_s) * 1000)


def measure(config: Config, *, seconds: float, on_progress: Callable[[str], None]) -> Report:
    """Measure for about `seconds`, half of it in the pipeline and half bare.

    Raises:
        EdgeError: a part does not start.
    """
    samples, bare = _Samples(), defaultdict[tuple[str, str], list[float]](list)
    daemon = Daemon(_every_frame(config), on_progress=on_progress, on_result=samples.note)
    measured_s = 0.0
    try:
        daemon.start(infer=False)
        assert daemon.endpoint is not None and daemon.publisher is not None
        watcher = Watcher(daemon.endpoint, base=config.device.base_topic, device=config.device.name)
        watcher.start()
        on_progress("warming up")
        _pipeline_round(daemon, samples, 2 * _ROUND_S)
        samples.forget()
        rounds = max(1, round(seconds / (2 * _ROUND_S)))
        on_progress(f"measuring: {rounds} rounds of {_ROUND_S:.0f} s pipeline and {_ROUND_S:.0f} s bare")
        for _ in range(rounds):
            measured_s += _pipeline_round(daemon, samples, _ROUND_S)
            _bare_round(daemon, bare, _ROUND_S)
        memory = memory_bytes()
        statistics = daemon.publisher.statistics()
        received = watcher.state.received
        watcher.stop()
    finally:
        tally = daemon.stop()
    return _report(
        config, samples, bare, measured_s, memory, received, tally.dropped, statistics.encode_ms, statistics.publish_ms
    )


def _report(
    config: Config,
    samples: _Samples,
    bare: dict[tuple[str, str], list[float]],
    measured_s: float,
    memory: int,
    received: int,
    dropped: int,
    encode_ms: tuple[float, float] | None,
    publish_ms: tuple[float, float] | None,
) -> Report:
    tasks, bare_ms, results = [], 0.0, 0
    for key, taken in sorted(samples.work.items()):
        alone, together = percentiles(bare[key]) or (0.0, 0.0), percentiles(taken) or (0.0, 0.0)
        tasks.append(TaskTime(key[0], key[1], len(taken), *alone, *together))
        bare_ms += len(taken) * sum(bare[key]) / max(len(bare[key]), 1)
        results += len(taken)
    stages = []
    for stage in STAGES:
        p50, p99 = percentiles(samples.stages[stage]) or (0.0, 0.0)
        share = None if stage == "capture" else sum(samples.stages[stage]) / 1000 / max(measured_s, 1e-9)
        stages.append(StageTime(stage, p50, p99, share))
    for stage, times in (("encode", encode_ms), ("publish", publish_ms)):
        stages.append(StageTime(stage, *(times or (0.0, 0.0)), None))
    return Report(
        machine=f"{platform.machine()}, {default_threads()} cores",
        threads=config.inference.threads or default_threads(),
        measured_s=measured_s,
        results_per_s=results / max(measured_s, 1e-9),
        ratio_to_bare=bare_ms / 1000 / max(measured_s, 1e-9),
        received_by_subscriber=received,
        memory_bytes=memory,
        dropped=dropped,
        stages=tuple(stages),
        tasks=tuple(tasks),
    )


def tables(report: Report) -> list[Table]:
    """The report for people."""
    title = (
        f"whole pipeline {report.results_per_s:.1f} results/s = {report.ratio_to_bare:.2f} of bare inference; "
        f"{report.threads} threads, {report.memory_bytes / 2**20:.0f} MiB with capture processes ({report.machine})"
    )
    stages = Table(title=title, title_justify="left", show_edge=False)
    for column in ("stage", "p50 ms", "p99 ms", "share of inference thread"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for s in report.stages:
        share = "other threads" if s.share is None else f"{s.share:.1%}"
        stages.add_row(s.stage, f"{s.p50_ms:.2f}", f"{s.p99_ms:.2f}", share)
    tasks = Table(title="per camera and task", title_justify="left", show_edge=False)
    for column in ("camera", "task", "results", "bare p50 ms", "bare p99 ms", "in pipeline p50 ms", "p99 ms"):
        tasks.add_column(column, justify="left" if column in ("camera", "task") else "right")
    for t in report.tasks:
        times = (t.bare_p50_ms, t.bare_p99_ms, t.pipeline_p50_ms, t.pipeline_p99_ms)
        tasks.add_row(t.camera, t.task, str(t.results), *(f"{x:.2f}" for x in times))
    return [stages, tasks]
