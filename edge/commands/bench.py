"""`edge bench`: what the pipeline costs on top of the bare networks, stage by stage, in one run.

The daemon runs as configured, but every task on every frame, so that the accelerator is never idle; a real subscriber
listens. Rounds alternate with rounds in which the same engines, with the same threads, run on the same input tensors
and nothing else, the cameras capturing on. The ratio is the time that bare inference of the same work takes, one
picture after the other, over the time that the pipeline took: 1 means that all else costs nothing. A network that
answers for several nouns counts once for all that read its answer.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.table import Table

from edge.config.sections import CameraConfig, Config
from edge.daemon.supervisor import Daemon
from edge.errors import EdgeError
from edge.inference.opening import serving_threads
from edge.inference.ort import cores
from edge.monitor.metrics import Metrics
from edge.monitor.process import cpu_s, memory_bytes
from edge.monitor.throughput import percentiles
from edge.mqtt.link import Link
from edge.pipeline.pipeline import Result
from edge.publish.publisher import PublisherStatistics

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
class Report:
    """What one run measured."""

    machine: str
    threads: int
    cameras: int
    broker: str
    load_average: float
    """Of the last minute, before it began: what others were doing."""
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
        return asdict(self)


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
        tasks = {
            name: getattr(config.tasks, name).model_copy(update={"every_s": None, "every_frames": 1})
            for name in ("depth", "layout", "lighting")
        }
        update["tasks"] = config.tasks.model_copy(update=tasks)
    if endpoint is not None:
        update["mqtt"] = config.mqtt.model_copy(update={"host": endpoint[0], "port": endpoint[1]})
    return config.model_copy(update=update | {"cameras": chosen})


@contextmanager
def _mosquitto(wanted: bool) -> Iterator[tuple[str, int] | None]:
    """A Mosquitto of our own where it is installed: the embedded broker is for first runs, and runs in our process."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not wanted or program is None:
        yield None
        return
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mosquitto.conf"
        path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="ascii")
        process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for_port(port)
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait()


def _wait_for_port(port: int) -> None:
    until_s = time.monotonic() + _BROKER_START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError as e:
            if time.monotonic() > until_s:
                raise EdgeError(f"mosquitto does not answer on port {port}; start it by hand to see why") from e
            time.sleep(0.05)


class _Subscriber:
    """Counts what arrives; understanding it would cost the machine what no subscriber costs it in service."""

    def __init__(self, daemon: Daemon) -> None:
        assert daemon.endpoint is not None
        device = daemon.config.device
        self.received = 0
        topic = f"{device.base_topic}/{device.name}/#"
        self._link = Link(daemon.endpoint, "edge-bench", subscriptions=(topic,), on_message=self._count)
        self._link.open()

    def _count(self, _: object) -> None:
        self.received += 1

    def close(self) -> None:
        self._link.close()


def _pipeline_round(daemon: Daemon, samples: _Samples) -> None:
    """Run the pipeline on the calling thread and note how long it was busy."""
    assert daemon.publisher is not None
    before, cpu_before_s, round_s = daemon.publisher.statistics(), cpu_s(), time.monotonic()
    while (begun_s := time.monotonic()) < round_s + _ROUND_S:
        if daemon.pipeline.step():
            samples.busy_s += time.monotonic() - begun_s
        else:
            time.sleep(0.0005)
    daemon.pipeline.finish()
    samples.wall_s += time.monotonic() - round_s
    samples.cpu_s += cpu_s() - cpu_before_s
    after = daemon.publisher.statistics()
    samples.publishing_s += after.busy_s - before.busy_s
    samples.memory.append((time.monotonic(), memory_bytes()))


def _bare_round(daemon: Daemon, samples: _Samples) -> None:
    """Run the same engines on the same tensors, and nothing else, on the thread that runs them in the pipeline."""
    work = daemon.pipeline.prepared()

    def run() -> None:
        until_s = time.monotonic() + _ROUND_S
        while work and time.monotonic() < until_s:
            for key, (engine, tensor) in work.items():
                begun_s = time.monotonic()
                engine.backend.run(tensor)
                samples.bare[key].append((time.monotonic() - begun_s) * 1000)

    daemon.accelerator.submit(run).result()


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
        on_progress: told what is being done.
        cameras: so many replayed cameras instead of those configured.
        saturated: every task on every frame; else at the configured cadences.

    Raises:
        EdgeError: a part does not start.
    """
    load = os.getloadavg()[0]
    samples = _Samples()
    with _mosquitto(config.mqtt.host is None) as endpoint:
        settings = _prepared(config, cameras, saturated, endpoint)
        daemon = Daemon(settings, on_progress=on_progress, on_result=lambda r: samples.note(r))
        try:
            daemon.start(infer=False)
            assert daemon.publisher is not None
            daemon.publisher.wait_connected(_BROKER_START_S)
            subscriber = _Subscriber(daemon)
            on_progress("warming up")
            _pipeline_round(daemon, samples)
            samples = _Samples()
            before, dropped_before = _counted(daemon.pipeline.counters), daemon.publisher.statistics().dropped
            bare_s = _ROUND_S if saturated else 0.0
            rounds = max(1, round(seconds / (_ROUND_S + bare_s)))
            on_progress(f"measuring: {rounds} rounds of {_ROUND_S:.0f} s pipeline and {bare_s:.0f} s bare")
            for _ in range(rounds):
                _pipeline_round(daemon, samples)
                if saturated:  # else the cadences would run on meanwhile, and all that came be late
                    _bare_round(daemon, samples)
            statistics, received = daemon.publisher.statistics(), subscriber.received
            dropped = _counted(daemon.pipeline.counters) | statistics.dropped
            pictures, inferences = _batches(daemon.pipeline.counters)
            subscriber.close()
        finally:
            daemon.stop()
    since = {reason: n - (before | dropped_before).get(reason, 0) for reason, n in dropped.items()}
    return Report(
        machine=f"{platform.machine()}, {cores()} cores",
        threads=config.inference.threads or serving_threads(),
        cameras=len(settings.cameras),
        broker="mosquitto" if endpoint is not None else "embedded" if config.mqtt.host is None else config.mqtt.host,
        load_average=round(load, 2),
        measured_s=samples.wall_s,
        results_per_s=sum(len(taken) for taken in samples.work.values()) / max(samples.wall_s, 1e-9),
        ratio_to_bare=_bare_s(samples) / max(samples.busy_s, 1e-9) if saturated else None,
        publishing_share=samples.publishing_s / max(samples.wall_s, 1e-9),
        publish_ms=statistics.publish_ms,
        latency_ms=_latency(samples),
        pictures_per_inference=pictures / max(inferences, 1),
        received_by_subscriber=received,
        cpu_cores=samples.cpu_s / max(samples.wall_s, 1e-9),
        memory_bytes=samples.memory[-1][1],
        memory_growth_bytes_per_s=_slope(samples.memory),
        dropped={reason: n for reason, n in since.items() if n},
        stages=_stages(samples, statistics),
        tasks=_tasks(samples),
    )


def _counted(counters: Metrics) -> dict[str, int]:
    kinds = {"inference too slow": counters.missed, "stale": counters.stale, "after the deadline": counters.late}
    return {reason: counts.total for reason, counts in kinds.items()}


def _batches(counters: Metrics) -> tuple[int, int]:
    """Pictures inferred, and inferences."""
    return sum(int(size) * n for (size,), n in counters.batches.items()), counters.batches.total


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


def headline(report: Report) -> str:
    """The report in four lines."""
    p50, p99, longest = report.latency_ms
    sent = "" if report.publish_ms is None else f", {report.publish_ms[0]:.1f} ms until the broker has it"
    ratio = "at the configured cadences"
    if report.ratio_to_bare is not None:
        ratio = f"= {report.ratio_to_bare:.2f} of bare inference"
    return (
        f"{report.cameras} cameras, {report.results_per_s:.1f} results/s {ratio}\n"
        f"latency p50 {p50:.0f}, p99 {p99:.0f}, longest {longest:.0f} ms; "
        f"{report.pictures_per_inference:.1f} pictures an inference\n"
        f"{report.cpu_cores:.2f} cores, {report.memory_bytes / 2**20:.0f} MiB with capture processes, "
        f"{report.memory_growth_bytes_per_s / 2**10:+.1f} KiB/s; publishing {report.publishing_share:.1%}{sent}\n"
        f"{report.threads} threads, broker {report.broker} ({report.machine}, load {report.load_average:.2f} before)"
    )


def tables(report: Report) -> list[Table]:
    """The report's details for people."""
    stages = Table(show_edge=False, caption=_dropped(report), caption_justify="left")
    for column in ("stage", "p50 ms", "p99 ms", "of the time"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for s in report.stages:
        stages.add_row(s.stage, f"{s.p50_ms:.2f}", f"{s.p99_ms:.2f}", f"{s.share:.1%}")
    tasks = Table(title="per camera and task", title_justify="left", show_edge=False)
    for column in ("camera", "task", "results", "bare p50 ms", "p99", "in pipeline p50 ms", "p99"):
        side: Literal["left", "right"] = "left" if column in ("camera", "task") else "right"
        tasks.add_column(column, justify=side)
    for t in report.tasks:
        times = (t.bare_p50_ms, t.bare_p99_ms, t.pipeline_p50_ms, t.pipeline_p99_ms)
        tasks.add_row(t.camera, t.task, str(t.results), *("–" if x is None else f"{x:.2f}" for x in times))
    return [stages, tasks]


def _dropped(report: Report) -> str:
    if not report.dropped:
        return "nothing dropped"
    return "not inferred or published: " + ", ".join(f"{reason} {n}" for reason, n in report.dropped.items())
