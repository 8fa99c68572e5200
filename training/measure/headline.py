"""One number of each noun on a few held-out rooms: what a change of a model's file is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from edge.scene import Task
from training.data import evaluation
from training.data.mix.entries import spread
from training.measure.depth import measure_depth
from training.measure.layout import measure_layout
from training.measure.lighting import answers_of, baselines, measure_lighting
from training.measure.report import Measured

HEADLINES: Mapping[Task, str] = {
    "depth": "metric absrel",
    "layout": "2D IoU",
    "lighting": "scale-invariant irradiance RMSE",
}
_WHERE = "rendered rooms, test split"


def _measured(task: Task, part: Manifest, backend: Backend, rooms: Path, seed: int, most: int) -> Measured | None:
    if task == "depth":
        return measure_depth(part, backend, spread(evaluation.room_depth_cases(rooms, "test", seed), most), _WHERE)
    if task == "layout":
        return measure_layout(part, backend, spread(evaluation.room_layout_cases(rooms, "test", seed), most), _WHERE)
    entries = spread(evaluation.room_lighting_cases(rooms, "test", seed), most)
    return measure_lighting(answers_of(part, backend), entries, _WHERE, baselines(None, None))


def headline_of(manifest: Manifest, rooms: Path, seed: int, most: int = 40) -> Callable[[Backend], tuple[Metric, ...]]:
    """What measures a backend of this model on at most so many pictures of rendered rooms: a number for each noun."""

    def measure(backend: Backend) -> tuple[Metric, ...]:
        found = [_measured(task, manifest.part(task), backend, rooms, seed, most) for task in manifest.parts]
        rows = [row for measured in found if measured is not None for row in measured.rows]
        wanted = [HEADLINES[task] for task in manifest.parts]
        first = {row.name: row for row in reversed(rows)}
        return tuple(first[name] for name in wanted if name in first)

    return measure
