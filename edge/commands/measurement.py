"""What `edge bench` measures: what the pipeline costs on top of the bare networks, stage by stage, in one run.

The daemon runs as configured, but every task on every frame, so that the accelerator is never idle; a real subscriber
listens. Rounds alternate with rounds in which the same engines, with the same threads, run on the same input tensors
and nothing else, the cameras capturing on. The ratio is the time that bare inference of the same work takes, one
picture after the other, over the time that the pipeline took: 1 means that all else costs nothing. A network that
answers for several nouns counts once for all that read its answer.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.commands.mosquitto import Mosquitto, mosquitto_program
from edge.config.cameras import CameraConfig
from edge.config.sections import Config
from edge.daemon.supervisor import Daemon
from edge.errors import EdgeError
from edge.inference.opening import serving_threads
from edge.inference.ort import cores
from edge.monitor.process import cpu_s, memory_bytes
from edge.monitor.throughput import percentiles
from edge.mqtt.link import Link
from edge.pipeline.pipeline import Result
from edge.publish.statistics import PublisherStatistics
from edge.scene import TASKS

STAGES = ("preprocess", "inference", "postprocess")
"""What inference's and the network's own thread do; `encode` and `send` happen on the publishing thread."""
_ROUND_S = 2.0
_REPLAY_HZ = 15.0
_BROKER_START_S = 5.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's milliseconds, and its share of all that was measured.

    Stages overlap: the network runs while other threads prepare, read and publish, so shares may sum to more than 1.
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
    bare_p50_ms: float | None
    """None at the configured cadences: then nothing is run bare."""
    bare_p99_ms: float | None
    pipeline_p50_ms: float
    pipeline_p99_ms: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """What was measured, and on what."""

    machine: str
    threads: int
    cameras: int
    broker: str
    load_average: float
    """Of the last minute, before it began: what others were doing."""


def _numbers() -> array[float]:
    """Numbers in eight bytes each: what is noted must not show in the memory that is measured."""
    return array("d")


@dataclass(slots=True)
class _Samples:
    """What is noted while measuring: milliseconds per stage, and per (camera, task) in the pipeline and bare."""

    stages: dict[str, array[float]] = field(default_factory=lambda: defaultdict(_numbers))
    work: dict[tuple[str, str], array[float]] = field(default_factory=lambda: defaultdict(_numbers))
    bare: dict[tuple[str, str], array[float]] = field(default_factory=lambda: defaultdict(_numbers))
    inferred: Counter[tuple[str, str]] = field(default_factory=Counter)
    latency_ms: array[float] = field(default_factory=_numbers)
    busy_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    publishing_s: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)

    def note(self, result: Result) -> None:
        """A result of the pipeline."""
        for stage, seconds in result.stage_s.items():
            self.stages[stage].append(seconds * 1000)
        key = (result.frame.camera, result.task)
        self.work[key].append(sum(result.stage_s.get(s, 0.0) for s in STAGES) * 1000)
        self.inferred[key] += "inference" in result.stage_s
        self.latency_ms.append((time.monotonic() - result.frame.captured_monotonic_s) * 1000)


def _replayed(cameras: tuple[CameraConfig, ...], count: int) -> tuple[CameraConfig, ...]:
    """So many cameras, by turns like those configured.

    Raises:
        EdgeError: none of those configured replays a recording.
    """
    models = [c for c in cameras if c.source.type == "replay"]
    if not models:
        raise EdgeError("--cameras copies cameras that replay recordings; configure one (config.yaml shows how)")
    return tuple(
        models[n % len(models)].model_copy(update={"name": f"{models[n % len(models)].name}-{n + 1}"})
        for n in range(count)
    )


def _prepared(config: Config, cameras: int | None, saturated: bool, endpoint: tuple[str, int] | None) -> Config:
    """The configuration to measure: so many cameras, no health, and if saturated every task on every frame."""
    update: dict[str, Any] = {"health": config.health.model_copy(update={"every_s": 3600.0})}
    chosen = config.cameras if cameras is None else _replayed(config.cameras, cameras)
    if saturated:
        chosen = tuple(
            c.model_copy(update={"source": c.source.model_copy(update={"fps": _REPLAY_HZ})})
            if c.source.type == "replay"
            else c
            for c in chosen
        )
        tasks: dict[str, Any] = {
            task: config.tasks[task].model_copy(update={"every_s": None, "every_frames": 1}) for task in TASKS
        }
        update["tasks"] = config.tasks.model_copy(update=tasks)
    if endpoint is not None:
        update["mqtt"] = config.mqtt.model_copy(update={"host": endpoint[0], "port": endpoint[1]})
    return config.model_copy(update=update | {"cameras": chosen})


@dataclass(frozen=True, slots=True)
class _Counts:
    """Everything that is counted from the start, at one moment."""

    dropped: dict[str, int]
    pictures: int
    inferences: int
    received: int
    publishing: PublisherStatistics


@dataclass(frozen=True, slots=True)
class Report:
    """What one run measured."""

    conditions: Conditions
    measured_s: float
    results_per_s: float
    ratio_to_bare: float | None
    """None at the configured cadences: then the networks are idle most of the time."""
    publishing_share: float
    """Processor time of encoding and sending, of the time measured; the target is 0.05."""
    publish_ms: tuple[float, float] | None
    """From handing a message over until the broker has it: median, 99th percentile."""
    latency_ms: tuple[float, float, float]
    """From capture to message: median, 99th percentile, longest."""
    pictures_per_inference: float
    received_by_subscriber: int
    cpu_cores: float
    """Processor time over time while the pipeline ran, capture processes included."""
    memory_bytes: int
    memory_growth_bytes_per_s: float
    """Slope of the resident memory over the rounds; noise in a short run."""
    dropped: dict[str, int]
    """By reason. Saturated on purpose, a pipeline passes over most frames: "inference too slow"."""
    stages: tuple[StageTime, ...]
    tasks: tuple[TaskTime, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        measured = asdict(self)
        conditions: dict[str, Any] = measured.pop("conditions")
        return conditions | measured

    @classmethod
    def of(
        cls, conditions: Conditions, samples: _Samples, before: _Counts, after: _Counts, *, saturated: bool
    ) -> Report:
        """What the samples come to, with what was counted from `before` until `after`."""
        wall_s = max(samples.wall_s, 1e-9)
        since = {reason: n - before.dropped.get(reason, 0) for reason, n in after.dropped.items()}
        return cls(
            conditions=conditions,
            measured_s=samples.wall_s,
            results_per_s=sum(len(taken) for taken in samples.work.values()) / wall_s,
            ratio_to_bare=_bare_s(samples) / max(samples.busy_s, 1e-9) if saturated else None,
            publishing_share=samples.publishing_s / wall_s,
            publish_ms=after.publishing.publish_ms,
            latency_ms=_latency(samples),
            pictures_per_inference=(after.pictures - before.pictures) / max(after.inferences - before.inferences, 1),
            received_by_subscriber=after.received - before.received,
            cpu_cores=samples.cpu_s / wall_s,
            memory_bytes=samples.memory[-1][1],
            memory_growth_bytes_per_s=_slope(samples.memory),
            dropped={reason: n for reason, n in since.items() if n},
            stages=_stages(samples, after.publishing),
            tasks=_tasks(samples),
        )


class _Run:
    """A running daemon whose pipeline the caller steps, a subscriber to it, and what is noted meanwhile."""

    def __init__(self, config: Config, on_progress: Callable[[str], None]) -> None:
        self.samples = _Samples()
        self._received = 0
        self._daemon = Daemon(config, on_progress=on_progress, on_result=self._note)
        self._subscriber: Link | None = None

    def _note(self, result: Result) -> None:
        self.samples.note(result)

    def _count(self, _: object) -> None:
        """Understanding what arrives would cost the machine what no subscriber costs it in service."""
        self._received += 1

    def start(self) -> None:
        self._daemon.start(infer=False)
        self._daemon.publisher.wait_connected(_BROKER_START_S)
        device = self._daemon.config.device
        topic = f"{device.base_topic}/{device.name}/#"
        self._subscriber = Link(self._daemon.endpoint, "edge-bench", subscriptions=(topic,), on_message=self._count)
        self._subscriber.open()

    def stop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.close()
        self._daemon.stop()

    def counts(self) -> _Counts:
        metrics, publishing = self._daemon.metrics, self._daemon.publisher.statistics()
        kinds = {"inference too slow": metrics.missed, "stale": metrics.stale, "after the deadline": metrics.late}
        return _Counts(
            dropped={reason: counter.total for reason, counter in kinds.items()} | publishing.dropped,
            pictures=sum(int(size) * n for (size,), n in metrics.batches.read().items()),
            inferences=metrics.batches.total,
            received=self._received,
            publishing=publishing,
        )

    def round(self) -> None:
        """Run the pipeline on the calling thread and note how long it was busy."""
        pipeline, publisher, samples = self._daemon.pipeline, self._daemon.publisher, self.samples
        before, cpu_before_s, round_s = publisher.statistics(), cpu_s(), time.monotonic()
        while (begun_s := time.monotonic()) < round_s + _ROUND_S:
            if pipeline.step():
                samples.busy_s += time.monotonic() - begun_s
            else:
                time.sleep(0.0005)
        pipeline.finish()
        samples.wall_s += time.monotonic() - round_s
        samples.cpu_s += cpu_s() - cpu_before_s
        samples.publishing_s += publisher.statistics().busy_s - before.busy_s
        samples.memory.append((time.monotonic(), memory_bytes()))

    def bare_round(self) -> None:
        """Run the same engines on the same tensors, and nothing else, on the thread that runs them in the pipeline."""
        work, bare = self._daemon.pipeline.prepared(), self.samples.bare

        def infer() -> None:
            until_s = time.monotonic() + _ROUND_S
            while work and time.monotonic() < until_s:
                for key, (engine, tensor) in work.items():
                    begun_s = time.monotonic()
                    engine.backend.run(tensor)
                    bare[key].append((time.monotonic() - begun_s) * 1000)

        self._daemon.accelerator.submit(infer).result()


@contextmanager
def _running(config: Config, on_progress: Callable[[str], None]) -> Iterator[_Run]:
    run = _Run(config, on_progress)
    try:
        run.start()
        yield run
    finally:
        run.stop()


@contextmanager
def _own_broker(config: Config) -> Iterator[tuple[str, int] | None]:
    """A Mosquitto of our own where none is configured and it is installed; else None."""
    if config.mqtt.host is not None or mosquitto_program() is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder)).start()
        try:
            yield "127.0.0.1", broker.port
        finally:
            broker.stop()


def measure(
    config: Config,
    *,
    seconds: float,
    on_progress: Callable[[str], None],
    cameras: int | None = None,
    saturated: bool = True,
) -> Report:
    """Measure for about `seconds`: saturated, half of it in the pipeline and half bare.

    Args:
        config: what to run.
        seconds: measuring time.
        on_progress: called with what is being done.
        cameras: so many replayed cameras instead of those configured.
        saturated: every task on every frame; else at the configured cadences.

    Raises:
        EdgeError: a part does not start.
    """
    load = os.getloadavg()[0]
    with _own_broker(config) as endpoint:
        settings = _prepared(config, cameras, saturated, endpoint)
        with _running(settings, on_progress) as run:
            on_progress("warming up")
            run.round()
            run.samples, before = _Samples(), run.counts()
            bare_s = _ROUND_S if saturated else 0.0
            rounds = max(1, round(seconds / (_ROUND_S + bare_s)))
            on_progress(f"measuring: {rounds} rounds of {_ROUND_S:.0f} s pipeline and {bare_s:.0f} s bare")
            for _ in range(rounds):
                run.round()
                if saturated:  # else the cadences would run on meanwhile, and all that came be late
                    run.bare_round()
            samples, after = run.samples, run.counts()
    conditions = Conditions(
        machine=f"{platform.machine()}, {cores()} cores",
        threads=config.inference.threads or serving_threads(),
        cameras=len(settings.cameras),
        broker="mosquitto" if endpoint is not None else "embedded" if config.mqtt.host is None else config.mqtt.host,
        load_average=round(load, 2),
    )
    return Report.of(conditions, samples, before, after, saturated=saturated)


def _bare_s(samples: _Samples) -> float:
    """What the pipeline's inferences would have taken bare."""
    return sum(n * float(np.mean(samples.bare[key])) for key, n in samples.inferred.items() if samples.bare[key]) / 1000


def _latency(samples: _Samples) -> tuple[float, float, float]:
    if not samples.latency_ms:
        return 0.0, 0.0, 0.0
    p50, p99, longest = np.percentile(samples.latency_ms, (50, 99, 100))
    return float(p50), float(p99), float(longest)


def _slope(samples: list[tuple[float, int]]) -> float:
    if len(samples) < 2:
        return 0.0
    at_s, size = np.array(samples, dtype=np.float64).T
    return float(np.polyfit(at_s - at_s[0], size, 1)[0])


def _tasks(samples: _Samples) -> tuple[TaskTime, ...]:
    out = []
    for key, taken in sorted(samples.work.items()):
        bare = percentiles(samples.bare[key]) or (None, None)
        out.append(TaskTime(*key, len(taken), bare[0], bare[1], *(percentiles(taken) or (0.0, 0.0))))
    return tuple(out)


def _stages(samples: _Samples, statistics: PublisherStatistics) -> tuple[StageTime, ...]:
    wall_ms = max(samples.wall_s, 1e-9) * 1000
    out = [
        StageTime(stage, *(percentiles(samples.stages[stage]) or (0.0, 0.0)), sum(samples.stages[stage]) / wall_ms)
        for stage in STAGES
    ]
    published = samples.publishing_s * 1000 / wall_ms
    return (*out, StageTime("encode and send", *(statistics.encode_ms or (0.0, 0.0)), published))
