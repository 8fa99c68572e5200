"""Measuring a model on everything given, each set of data by itself, and saying so in a table and a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge.errors import DataError
from edge.inference.base import Backend
from edge.inference.manifest import Manifest, Metric
from training.config import Recipe, load_recipe
from training.data import evaluation
from training.export.runners import open_model
from training.measure.depth import depth_rows
from training.measure.layout import layout_rows, view_rows
from training.measure.lighting import constant_light, lighting_rows
from training.tasks.base import read_checkpoint

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Places:
    """Where the data is; None = not measured on it. `real` holds folders named depth, layout and lighting."""

    rooms: Path | None = None
    split: str = "test"
    split_seed: int = 0
    hdri: Path | None = None
    hold_out_hdri: tuple[str, ...] = ()
    real: Path | None = None

    @property
    def rooms_name(self) -> str:
        """For tables."""
        return f"rendered rooms, {self.split} split"


def recipe_of(model: Path, manifest: Manifest) -> Recipe | None:
    """The recipe that made a checkpoint or a model folder; None for another party's model."""
    if model.suffix == ".ckpt":
        return read_checkpoint(model)[0]
    path = _ROOT / manifest.provenance.recipe
    return load_recipe(path) if path.is_file() else None


def _measure_depth(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    if places.rooms is not None:
        cases = evaluation.room_depth_cases(places.rooms, places.split, places.split_seed)
        rows += depth_rows(manifest, backend, cases, places.rooms_name)
    if places.real is not None:
        for name, cases in evaluation.real_depth_cases(places.real / "depth").items():
            rows += depth_rows(manifest, backend, cases, f"{places.real.name}: {name}")
    return rows


def _measure_layout(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    if places.rooms is not None:
        cases = evaluation.room_layout_cases(places.rooms, places.split, places.split_seed)
        rows += layout_rows(manifest, backend, cases, places.rooms_name)
        rows += view_rows(manifest, backend, cases, places.rooms_name)
    if places.real is not None:
        folder = places.real / "layout"
        cases = evaluation.real_layout_cases(folder)
        rows += layout_rows(manifest, backend, cases, f"{places.real.name}: {folder.name}")
    return rows


def _measure_lighting(manifest: Manifest, backend: Backend, places: Places) -> list[Metric]:
    rows: list[Metric] = []
    constants = {}
    if places.hdri is not None:
        known = tuple(n for n in evaluation.places_in(places.hdri) if n not in places.hold_out_hdri)
        learnt = evaluation.hdri_cases(places.hdri, known)
        for shape in ("panorama", "view"):
            truths = [c.coefficients for name, cases in learnt.items() if name.endswith(shape) for c in cases]
            constants[shape] = constant_light(truths)
    if places.hdri is not None and places.hold_out_hdri:
        for name, cases in evaluation.hdri_cases(places.hdri, places.hold_out_hdri).items():
            constant = constants[name.split()[-1]]
            rows += lighting_rows(manifest, backend, cases, f"validation: held-out HDRIs, {name}", constant)
    if places.rooms is not None:
        learnt_rooms = evaluation.room_lights(places.rooms, "train", places.split_seed)
        cases = evaluation.room_lighting_cases(places.rooms, places.split, places.split_seed)
        rows += lighting_rows(manifest, backend, cases, places.rooms_name, constant_light(learnt_rooms))
    if places.real is not None:
        for name, cases in evaluation.hdri_cases(places.real / "lighting").items():
            rows += lighting_rows(
                manifest, backend, cases, f"{places.real.name}: {name}", constants.get(name.split()[-1])
            )
    return rows


def evaluate(model: Path, places: Places, *, threads: int = 0) -> tuple[Metric, ...]:
    """Measure a checkpoint or a model folder on everything given.

    Raises:
        DataError: nothing was given to measure on, or a folder is laid out otherwise.
        EngineError: the model cannot be loaded or run.
    """
    manifest, backend = open_model(model, threads=threads)
    measure = {"depth": _measure_depth, "layout": _measure_layout, "lighting": _measure_lighting}[manifest.task]
    with backend:
        rows = measure(manifest, backend, places)
    if not rows:
        raise DataError("nothing to measure on: give --rooms, --hdri or --real")
    return tuple(rows)


def print_table(rows: tuple[Metric, ...], console: Console) -> None:
    """A table for people."""
    table = Table("metric", "data", "model", "baseline", "which baseline")
    for m in rows:
        base = "" if m.baseline is None else f"{m.baseline:.3f}"
        table.add_row(m.name, m.data, f"{m.value:.3f}{m.unit and ' ' + m.unit}", base, m.baseline_name)
    console.print(table)


def write_json(rows: tuple[Metric, ...], model: Path, path: Path) -> None:
    """What `edge-train export --metrics` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"model": str(model), "metrics": [m.model_dump(mode="json") for m in rows]}
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
